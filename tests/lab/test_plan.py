"""The lab's plan, which needs no lab."""

from tests.lab.engine29 import BACKENDS
from tests.lab.engine29_cases import CASES
from tests.lab.engines import SUITES
from tests.lab.scenario import Hit
from tests.lab.scenarios import all_scenarios, suites_in_rotation


def test_every_scenario_runs_once_and_the_founding_ones_everywhere() -> None:
    plan = suites_in_rotation(matrix=False)
    for scenario in all_scenarios():
        suites = [suite for each, suite in plan if each is scenario]
        assert len(suites) == (len(scenario.suites) if scenario.founding else 1)
        assert set(suites) <= set(scenario.suites)


def test_the_rotation_reaches_every_engine() -> None:
    assert {suite for scenario, suite in suites_in_rotation(matrix=False) if not scenario.founding} == set(
        SUITES
    )


def test_a_matrix_runs_everything_everywhere() -> None:
    assert len(suites_in_rotation(matrix=True)) == sum(len(each.suites) for each in all_scenarios())


def test_one_engine_alone_runs_what_fits_it() -> None:
    plan = suites_in_rotation(matrix=False, offered=("sid",))
    assert plan == [(scenario, "sid") for scenario in all_scenarios() if "sid" in scenario.suites]


def test_scenarios_agree_with_themselves() -> None:
    for scenario in all_scenarios():
        if scenario.hits is not Hit.NOTHING:
            assert scenario.cause, f"{scenario.name} stops traffic and names no cause"
            assert scenario.mend, f"{scenario.name} cannot be rehearsed: nothing mends it"
        if scenario.cause:
            assert scenario.exit_code in {1, 2}, scenario.name


def test_cases_of_engine_29_have_a_name_of_their_own_with_each_backend() -> None:
    for backend in BACKENDS:
        names = [case.scenario.name for case in CASES if backend in case.backends]
        assert len(names) == len(set(names))
        assert any(case.always for case in CASES if backend in case.backends)
    for case in CASES:
        assert {one.name for one in case.scenario.containers} == {one.name for one in case.page.containers}
