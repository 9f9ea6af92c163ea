"""Each scenario on a real host: broken for real, named by dockerdiag, mended by what it prints.

DOCKERDIAG_LAB_MATRIX=1 runs every scenario on every engine it fits, DOCKERDIAG_LAB_ENGINE=sid restricts the
engines; without them each runs on one engine, in rotation, and the founding ones on all. With
DOCKERDIAG_LAB_LASTING=1 remedies are undone, run again and proven through a reboot too.
DOCKERDIAG_LAB_RESULTS=FILE keeps what each run has proven, for docs/proven.md.
"""

import os
from collections.abc import Callable

import pytest

from tests.lab import judge
from tests.lab.drive import (
    assert_traffic_flows,
    assert_traffic_is_hit,
    break_host,
    set_up,
    wait_for_containers,
)
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost
from tests.lab.results import Step
from tests.lab.scenario import Hit, Json, Scenario
from tests.lab.scenarios import suites_in_rotation

PLAN = suites_in_rotation(bool(os.environ.get("DOCKERDIAG_LAB_MATRIX")), chosen_suites())

pytestmark = pytest.mark.lab


Proven = Callable[[Step], None]


@pytest.mark.parametrize(
    ("scenario", "suite"), [pytest.param(*each, id=f"{each[0].name}-{each[1]}") for each in PLAN]
)
def test_scenario(scenario: Scenario, suite: str, record_property: Callable[[str, object], None]) -> None:
    def proven(step: Step) -> None:
        record_property("proven", step.value)

    record_property("scenario", scenario.name)
    record_property("suite", suite)
    with LabHost(suite) as host:
        set_up(host, scenario)
        if not scenario.broken_from_the_start and not scenario.reboot:
            assert_traffic_flows(host, scenario, "before the break")
        break_host(host, scenario)
        assert_traffic_is_hit(host, scenario)
        proven(Step.FLOWS if scenario.hits is Hit.NOTHING else Step.STOPPED)
        ran = judge.ask(host, scenario)
        report = judge.assert_expected(ran, scenario)
        if scenario.also:
            scenario.also(host, ran)
        proven(Step.NAMED if scenario.cause else Step.SILENT)
        if scenario.cause and scenario.remedy:
            remedy = judge.first_remedy(report)
            assert_remedy_mends(host, scenario, remedy)
            proven(Step.MENDED)
            if os.environ.get("DOCKERDIAG_LAB_LASTING"):
                assert_remedy_is_undone_and_lasts(host, scenario, remedy, proven)


def assert_remedy_mends(host: LabHost, scenario: Scenario, remedy: Json) -> None:
    for command in remedy["now"]:
        host.run(command).expect_success()
    wait_for_containers(host, scenario)
    assert_traffic_flows(host, scenario, f"after {remedy['now']}")
    judge.assert_ok(judge.ask(host, scenario), f"after {remedy['now']}")
    for command in remedy["verify"]:
        host.run(command).expect_success()


def assert_remedy_is_undone_and_lasts(
    host: LabHost, scenario: Scenario, remedy: Json, proven: Proven
) -> None:
    if remedy["undo"] and scenario.undone:
        host.run_all(remedy["undo"])
        wait_for_containers(host, scenario)
        assert_traffic_is_hit(host, scenario)
        judge.assert_expected(judge.ask(host, scenario), scenario)
        proven(Step.UNDONE)
        assert_remedy_mends(host, scenario, remedy)
    if scenario.lasts:
        assert_remedy_lasts(host, scenario, remedy)
        proven(Step.LASTS)


def assert_remedy_lasts(host: LabHost, scenario: Scenario, remedy: Json) -> None:
    host.run_all(remedy["lasting"])
    host.reboot()
    wait_for_containers(host, scenario)
    assert_traffic_flows(host, scenario, f"after a reboot, with {remedy['lasting']}")
    judge.assert_ok(judge.ask(host, scenario), f"after a reboot, with {remedy['lasting']}")
