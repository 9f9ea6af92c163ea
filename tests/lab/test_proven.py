"""The page of what is proven, held together with the scenarios and their kept results; needs no lab."""

from tests.lab import proven, results
from tests.lab.scenario import Fault
from tests.lab.scenarios import all_scenarios, pairs

CAUSES = [cause for group in proven.catalogue() for cause in group["causes"]]
CATALOGUED = {name for cause in CAUSES for name in cause.get("scenarios", ())}


def test_the_page_is_up_to_date() -> None:
    assert proven.PAGE.read_text() == proven.page(results.load()), "python -m tests.lab.proven"


def test_every_cause_is_proven_or_says_why_not() -> None:
    names = [cause["name"] for cause in CAUSES]
    assert len(names) == len(set(names))
    assert [
        cause["name"] for cause in CAUSES if not cause.get("scenarios") and not cause.get("unproven")
    ] == []


def test_every_scenario_that_is_catalogued_exists() -> None:
    assert {scenario.name for scenario in all_scenarios()} >= CATALOGUED


def test_every_fault_of_the_lab_is_catalogued() -> None:
    paired = {scenario.name for scenario in pairs.SCENARIOS}
    faults = {scenario.name for scenario in all_scenarios() if isinstance(scenario, Fault)} - paired
    assert sorted(faults - CATALOGUED) == []


def test_no_run_that_is_kept_has_failed() -> None:
    failed = [
        f"{name} on {suite}"
        for name, by in results.load().items()
        for suite, steps in by.items()
        if not steps
    ]
    assert failed == []
