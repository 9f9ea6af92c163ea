"""A table of connections that is full, almost full, or was."""

from dataclasses import replace

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import LogLine, Unread
from tests.checks.hosts import Change, cause_of, judged, network, sysctls, told

FULL = LogLine(0.0, "kernel", "nf_conntrack: nf_conntrack: table full, dropping packet")


def tracked(count: int, maximum: int = 65536) -> Change:
    return sysctls(
        {"net/netfilter/nf_conntrack_count": str(count), "net/netfilter/nf_conntrack_max": str(maximum)}
    )


def counters(**values: int) -> Change:
    return network(conntrack_counters=values)


def said(*lines: LogLine) -> Change:
    return lambda snapshot: replace(snapshot, kernel_log=lines)


def test_a_full_table_that_drops() -> None:
    report = judged(tracked(65536), counters(drop=17))
    assert cause_of(report)[:2] == ("connection-tracking", "conntrack-table-full")
    assert report.verdict is Verdict.BROKEN
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("sysctl -w net.netfilter.nf_conntrack_max=131072",)
    assert any("nf_conntrack_max = 131072" in line for line in report.cause.remedies[0].lasting)
    assert judged(tracked(65500), counters(drop=0), said(FULL)).verdict is Verdict.BROKEN


def test_an_almost_full_table_that_drops_nothing_yet() -> None:
    assert told(judged(tracked(63000), counters(drop=0)))["conntrack-table-full"].status is Status.WARN


def test_one_that_was_full_within_the_hour() -> None:
    assert (
        told(judged(tracked(900), counters(drop=9), said(FULL)))["conntrack-table-full"].status is Status.WARN
    )


@pytest.mark.parametrize("count", [0, 32768, 52000])
def test_a_table_with_room(count: int) -> None:
    assert (
        judged(tracked(count), counters(drop=3, early_drop=5, insert_failed=9, invalid=400)).verdict
        is Verdict.OK
    )


def test_what_was_not_read_is_not_judged() -> None:
    report = judged(tracked(65536), network(conntrack_counters=Unread("no")))
    assert "connection-tracking" in {one.check for one in report.results if one.status is Status.UNKNOWN}
    assert judged(sysctls({}), counters()).verdict is Verdict.OK
