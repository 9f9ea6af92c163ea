"""The remedies of a cause beyond its first: each mends what it is proposed for, and is taken back by its undo.

DOCKERDIAG_LAB_OTHERS=1 runs it, on the engines that the other scenarios run on; with DOCKERDIAG_LAB_LASTING=1 each
must outlive a restart of the engine and a reboot, too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import judge, restored
from tests.lab.drive import (
    FORGET_START_LIMIT,
    assert_traffic_flows,
    assert_traffic_is_hit,
    break_host,
    set_up,
    wait_for_containers,
)
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost
from tests.lab.scenario import RESTART, Json, Scenario
from tests.lab.scenarios import suites_in_rotation

PLAN = [
    (scenario, suite)
    for scenario, suite in suites_in_rotation(bool(os.environ.get("DOCKERDIAG_LAB_MATRIX")), chosen_suites())
    if scenario.cause
]
A_RULE_FOR_EACH = {"nft-drops-on-the-bridge", "raw-drops-answers"}
"""Two rules, each of which stops some of the packets, and is told and deleted by itself."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        "DOCKERDIAG_LAB_OTHERS" not in os.environ, reason="asked for by DOCKERDIAG_LAB_OTHERS"
    ),
]


@pytest.mark.parametrize(
    ("scenario", "suite"), [pytest.param(*each, id=f"{each[0].name}-{each[1]}") for each in PLAN]
)
def test_other_remedies(scenario: Scenario, suite: str) -> None:
    with broken_host(scenario, suite) as (host, cause):
        others = other_remedies(cause)
        # What cannot be taken back comes last, and of those one alone.
        undone = [remedy for remedy in others if remedy["undo"]]
        for_good = [remedy for remedy in others if not remedy["undo"]]
        before = restored.taken(host)
        for remedy in (*undone, *for_good[:1]):
            host.run(FORGET_START_LIMIT)
            assert_mends(host, scenario, cause, remedy)
            if remedy["undo"]:
                host.run_all(remedy["undo"])
                wait_for_containers(host, scenario)
                restored.assert_as_before(host, before, f"after {remedy['undo']}")
                assert_traffic_is_hit(host, scenario)
                judge.assert_expected(judge.ask(host, scenario), scenario)
    if os.environ.get("DOCKERDIAG_LAB_LASTING"):
        for index, remedy in enumerate(others):
            if remedy["lasting"]:
                assert_lasts(scenario, suite, index)


def assert_lasts(scenario: Scenario, suite: str, index: int) -> None:
    """On a host of its own, for its break may not outlive the reboot."""
    with broken_host(scenario, suite) as (host, cause):
        remedy = other_remedies(cause)[index]
        before = restored.taken(host)
        assert_mends(host, scenario, cause, remedy)
        host.run_all(remedy["lasting"])
        for again, what in ((restart_engine, "a restart of the engine"), (LabHost.reboot, "a reboot")):
            again(host)
            wait_for_containers(host, scenario)
            assert_mended(host, scenario, cause, f"after {what}, with {remedy['lasting']}")
        host.run_all(remedy["undo"])
        restored.assert_as_before(host, before, f"after {remedy['undo']}", ("files",))


def restart_engine(host: LabHost) -> None:
    host.run_all((FORGET_START_LIMIT, RESTART))


@contextmanager
def broken_host(scenario: Scenario, suite: str) -> Iterator[tuple[LabHost, Json]]:
    """With what dockerdiag blames."""
    with LabHost(suite) as host:
        set_up(host, scenario)
        break_host(host, scenario)
        assert_traffic_is_hit(host, scenario)
        yield host, judge.assert_expected(judge.ask(host, scenario), scenario)["cause"]


def other_remedies(cause: Json) -> list[Json]:
    return [remedy for remedy in cause["remedies"][1:] if remedy["now"]]


def assert_mends(host: LabHost, scenario: Scenario, cause: Json, remedy: Json) -> None:
    assert not succeed(host, remedy["verify"]), f"the host is broken, and {remedy['verify']} succeed"
    host.run_all(remedy["now"])
    wait_for_containers(host, scenario)
    verdict = assert_mended(host, scenario, cause, f"after {remedy['now']}")
    # Bare, it asks about the whole host, and something else of it may be told.
    host.run_all(command for command in remedy["verify"] if verdict == "ok" or command != "dockerdiag")


def assert_mended(host: LabHost, scenario: Scenario, cause: Json, when: str) -> str:
    """Gives the verdict."""
    report: Json = judge.ask(host, scenario).json()
    told = [
        (finding["code"], finding["evidence"][:1])
        for result in report["results"]
        for finding in result["findings"]
    ]
    assert (cause["code"], cause["evidence"][:1]) not in told, f"{when}\n{judge.outline(report)}"
    # Where the first alone does not mend the host either, something else stops the traffic as well.
    if scenario.remedy and scenario.name not in A_RULE_FOR_EACH:
        assert_traffic_flows(host, scenario, when)
    verdict: str = report["verdict"]
    return verdict


def succeed(host: LabHost, commands: list[str]) -> bool:
    return all(host.run(command).code == 0 for command in commands)
