import subprocess
import sys
import threading
import time

import pytest

from dockerdiag.readers.deadline import Deadline, SideBySide, within
from dockerdiag.readers.errors import ReadError
from dockerdiag.snapshot import Unread


def test_what_is_open_when_the_deadline_passes_is_unread() -> None:
    forever = threading.Event()
    done: list[str] = []
    started = time.monotonic()
    results = SideBySide(
        {"quick": lambda: 1, "slow": forever.wait, "broken": lambda: 1 / 0}, Deadline(0.3), done.append
    ).results()
    assert time.monotonic() - started < 2
    assert results["quick"] == 1
    assert results["slow"] == Unread("not read within 0.3 s")
    assert results["broken"] == Unread("ZeroDivisionError: division by zero")
    assert sorted(done) == ["read broken", "read quick"]
    forever.set()


def test_they_work_side_by_side() -> None:
    both = threading.Barrier(2, timeout=5)
    results = SideBySide({"one": both.wait, "two": both.wait}, Deadline(5)).results()
    assert sorted(results.values()) == [0, 1]


def test_one_takes_what_another_found() -> None:
    begin, forever = threading.Event(), threading.Event()

    def first() -> int:
        begin.wait(5)
        return 20

    others = SideBySide({"first": first, "broken": lambda: 1 / 0}, Deadline(20))
    dependent = SideBySide({"second": lambda: others.awaited("first") + 1}, Deadline(20))
    begin.set()
    assert dependent.results() == {"second": 21}
    assert (
        others.awaited("broken") == others.awaited("broken") == Unread("ZeroDivisionError: division by zero")
    )
    assert others.results()["first"] == 20
    late = SideBySide({"slow": forever.wait}, Deadline(0.2))
    assert late.awaited("slow") == Unread("not read within 0.2 s")
    forever.set()


def test_one_call_within_a_deadline() -> None:
    forever = threading.Event()
    assert within(Deadline(5), lambda: "answer") == "answer"
    with pytest.raises(ReadError, match=r"no answer within 0\.1 s"):
        within(Deadline(0.1), forever.wait)
    with pytest.raises(KeyError):
        within(Deadline(5), lambda: {}["missing"])
    forever.set()


def test_what_hangs_does_not_keep_the_process_alive() -> None:
    code = """
import threading
from dockerdiag.readers.deadline import Deadline, SideBySide
print(SideBySide({"hangs": threading.Event().wait}, Deadline(0.1)).results())
"""
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; exec({code!r})"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert "not read within 0.1 s" in done.stdout
