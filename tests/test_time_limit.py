"""A deadline ends what looks at no clock, and what is open then is unknown."""

import signal
import threading
import time

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose, traced
from dockerdiag.registry import check, checks
from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot.store import load
from dockerdiag.time_limit import UNLIMITED, TimeIsUp, TimeLimit
from tests.command_line import OK


def stubborn(_: object) -> list:
    while True:
        try:
            time.sleep(30)
        except Exception:  # noqa: BLE001 - as a careless check does
            continue


SLOW = check("slow", title="Slow?", group="Test", place=1, page="")(stubborn)


def test_a_check_that_hangs_is_unknown_and_those_after_it_too() -> None:
    started = time.monotonic()
    known = checks()[0]
    report = diagnose(load(OK), Asked.parse(), (known[0], SLOW, *known[1:]), limit=TimeLimit(2))
    assert time.monotonic() - started < 10
    assert report.verdict is Verdict.UNKNOWN
    assert report.results[0].status is Status.PASS
    assert report.results[1].status is Status.UNKNOWN
    # A snapshot that is older than what a check needs says so without asking it.
    asked = [result for result in report.results[1:] if result.status is not Status.SKIP]
    assert {result.status for result in asked} == {Status.UNKNOWN}
    assert all("deadline of 2 s" in (result.reason or "") for result in asked)
    assert report.walks


def test_walks_that_were_not_walked_are_unknown() -> None:
    report = diagnose(load(OK), Asked.parse(), checks()[0], limit=TimeLimit(0))
    assert report.verdict is Verdict.UNKNOWN
    assert report.walks == ()
    assert traced(load(OK), Asked.parse(), TimeLimit(0)).verdict is Verdict.UNKNOWN


def test_nothing_rings_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with TimeLimit(60).interrupting():
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before
    with pytest.raises(TimeIsUp), TimeLimit(0.1).interrupting():
        time.sleep(10)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_elsewhere_than_in_the_main_thread_it_only_looks_at_the_clock() -> None:
    limit = TimeLimit(0.05)
    ended: list[bool] = []

    def work() -> None:
        with limit.interrupting():
            time.sleep(0.1)
        ended.append(limit.passed)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
    assert UNLIMITED.remaining is None
    assert not UNLIMITED.passed
