from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import DOUBT, Doubted, diagnose, traced
from dockerdiag.report import Disposition, Finding, Report, Status, Verdict
from dockerdiag.settling import settled
from dockerdiag.snapshot import Engine, Snapshot, Unread
from dockerdiag.time_limit import UNLIMITED, TimeLimit
from tests.checks.hosts import SHIPPED, first_in, host

WELL = host()
DROPS = host(first_in("FORWARD", "-j DROP"))
BY_CHANCE = host(first_in("FORWARD", "-m statistic --mode random --probability 0.5 -j DROP"))
UNTRANSLATED = host(first_in("nat:POSTROUTING", "-j ACCEPT"))


class Read(NamedTuple):
    snapshot: Snapshot


def restarted(snapshot: Snapshot, pid: int) -> Snapshot:
    """The host with another process in its container, of the same name."""
    engine = snapshot.engine
    assert isinstance(engine, Engine)
    assert not isinstance(engine.containers, Unread)
    return replace(
        snapshot,
        engine=replace(engine, containers=tuple(replace(one, pid=pid) for one in engine.containers)),
    )


def reading(
    *snapshots: Snapshot, limit: TimeLimit = UNLIMITED, expected: str | None = None, walks: bool = False
) -> tuple[Report, int]:
    """The report on a host that is at each reading as one of these, and how often it was read."""
    left: Iterator[Snapshot] = iter(snapshots)

    def judge(read: Read, doubted: Doubted | None) -> Report:
        if walks:
            return traced(read.snapshot, Asked.parse(), doubted=doubted)
        return diagnose(read.snapshot, Asked.parse(), SHIPPED, expected=lambda _: expected, doubted=doubted)

    _, report = settled(lambda: Read(next(left)), judge, limit)
    return report, len(snapshots) - len(list(left))


def doubts(report: Report) -> list[Finding]:
    return [one for result in report.results for one in result.findings if one.status is Status.UNKNOWN]


@pytest.mark.parametrize(
    ("snapshots", "verdict"),
    [
        ((WELL,), Verdict.OK),
        ((DROPS, WELL), Verdict.OK),
        ((DROPS, DROPS), Verdict.BROKEN),
        ((DROPS, UNTRANSLATED, WELL), Verdict.OK),
        ((WELL, DROPS), Verdict.OK),
        ((BY_CHANCE, WELL), Verdict.OK),
        ((BY_CHANCE, BY_CHANCE), Verdict.UNKNOWN),
    ],
)
def test_what_is_wrong_or_not_known_is_so_in_two_readings_in_a_row(
    snapshots: tuple[Snapshot, ...], verdict: Verdict
) -> None:
    report, read = reading(*snapshots)
    assert report.verdict is verdict
    assert read == (1 if snapshots[0] is WELL else len(snapshots))


def test_what_another_reading_does_not_show_is_unknown() -> None:
    report, read = reading(DROPS, UNTRANSLATED, DROPS)
    assert (report.verdict, report.cause, read) == (Verdict.UNKNOWN, None, 3)
    assert {result.reason for result in report.results if result.status is Status.UNKNOWN} == {DOUBT}
    assert doubts(report)
    assert all(one.summary.lower().startswith(DOUBT) and not one.remedies for one in doubts(report))
    assert {walk.disposition for walk in report.walks} == {Disposition.UNKNOWN}


def test_what_was_shown_before_stays_a_fault_beside_it() -> None:
    both = host(first_in("FORWARD", "-j DROP"), first_in("nat:POSTROUTING", "-j ACCEPT"))
    report, read = reading(UNTRANSLATED, DROPS, both)
    assert (report.verdict, read) == (Verdict.BROKEN, 3)
    assert report.cause is not None
    assert doubts(report)


def test_the_fault_of_a_container_is_none_of_its_successor() -> None:
    one, two, three = (restarted(DROPS, pid) for pid in (1, 2, 3))
    report, read = reading(one, two, three, walks=True)
    assert (report.verdict, read) == (Verdict.UNKNOWN, 3)
    assert reading(one, one, walks=True)[0].verdict is Verdict.BROKEN


def test_the_only_reading_is_believed_where_there_is_no_time_for_another() -> None:
    report, read = reading(DROPS, WELL, limit=TimeLimit(0.01))
    assert (report.verdict, read) == (Verdict.BROKEN, 1)


def test_what_is_expected_is_not_read_again() -> None:
    report, read = reading(DROPS, expected="we know")
    assert (report.verdict, read) == (Verdict.OK, 1)
