"""The whole judgement over snapshots of real hosts: verdict, cause and evidence as their scenarios say."""

from fnmatch import fnmatchcase

import pytest

from dockerdiag.registry import checks
from dockerdiag.report import EXIT_CODES, Status
from tests.lab.scenarios import all_scenarios
from tests.recorded import Recorded, name_of, recorded

RECORDED = recorded()
NOT_IN_THE_LAB = {
    "connection-tracking": "nf_conntrack_max is the machine's own, and read-only in a namespace",
    "probe": "recorded hosts were sent none: tests/checks/test_probe.py has those",
    "kernel-modules": "the lab's kernel may be built without modules, and they are the machine's own",
}
"""Checks that no lab host can fail, and why; their own tests change a recorded one."""
ALARMS = (Status.FAIL, Status.WARN, Status.UNKNOWN)


@pytest.mark.parametrize("one", RECORDED, ids=name_of)
def test_verdict_and_cause(one: Recorded) -> None:
    report = one.report()
    assert (report.verdict, report.exit_code) == (one.scenario.verdict, one.scenario.exit_code)
    if one.scenario.verdict == "ok":
        alarms = [f for result in report.results for f in result.findings if f.status in ALARMS]
        assert alarms == []
    wanted = one.scenario.cause
    if wanted is None:
        return
    assert report.cause is not None
    assert fnmatchcase(report.cause.check, wanted.check)
    assert any(fnmatchcase(report.cause.subject, pattern) for pattern in wanted.subjects), (
        report.cause.subject
    )
    told = "\n".join(f"{piece.source}: {piece.text}" for piece in report.cause.evidence)
    assert [piece for piece in wanted.evidence if piece not in told] == []


def test_every_scenario_is_recorded() -> None:
    assert {scenario.name for scenario in all_scenarios()} == {one.scenario.name for one in RECORDED}


@pytest.mark.parametrize("check", [one.name for one in checks()[0] if one.name not in NOT_IN_THE_LAB])
def test_every_check_has_hosts_on_which_it_passes_and_hosts_on_which_it_does_not(check: str) -> None:
    statuses = {result.status for one in RECORDED for result in one.report().results if result.check == check}
    assert statuses & {Status.PASS, Status.NOTE}
    assert statuses & {Status.FAIL, Status.WARN}


def test_exit_codes_cover_every_verdict() -> None:
    assert set(EXIT_CODES.values()) == {0, 1, 2, 3}
