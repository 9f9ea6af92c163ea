"""Reading in a process beside, with readers made for the purpose; the real ones are run by the whole program's tests."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerdiag.dataclass import replace
from dockerdiag.readers import begin_reading, command
from dockerdiag.readers.beside import Reading
from dockerdiag.readers.deadline import Deadline
from dockerdiag.snapshot import Snapshot
from tests.packet.hosts import snapshot

MADE = snapshot(3)
Progress = Callable[[str], None] | None


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def by_whom(seconds: float, progress: Progress) -> Snapshot:
    """Says who reads, in place of the tool's version."""
    assert seconds > 0
    if progress is not None:
        progress("read one")
        progress("read\ntwo")
    return replace(MADE, tool_version=str(os.getpid()))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_another_process_reads_and_tells_its_progress() -> None:
    heard: list[str] = []
    with Reading(by_whom, 20) as reading:
        found = reading.snapshot(heard.append)
    assert found.tool_version != str(os.getpid())
    assert replace(found, tool_version="0") == MADE
    assert heard == ["read one", "read two"]


def test_with_one_processor_it_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with Reading(by_whom, 20) as reading:
        assert reading.snapshot().tool_version == str(os.getpid())


def test_where_no_further_process_can_be_had_it_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    before = open_files()
    with Reading(by_whom, 20) as reading:
        assert reading.snapshot().tool_version == str(os.getpid())
    assert open_files() == before


def test_what_ends_the_other_process_is_made_up_for() -> None:
    ours = os.getpid()

    def killed_elsewhere(seconds: float, progress: Progress) -> Snapshot:
        if os.getpid() != ours:
            os.kill(os.getpid(), signal.SIGKILL)
        return by_whom(seconds, progress)

    with Reading(killed_elsewhere, 20) as reading:
        assert reading.snapshot().tool_version == str(ours)


def test_an_error_of_the_reader_s_own_is_not_hidden() -> None:
    def wrong(seconds: float, progress: Progress) -> Snapshot:  # noqa: ARG001
        raise KeyError("a mistake")

    with Reading(wrong, 20) as reading, pytest.raises(KeyError, match="a mistake"):
        reading.snapshot()


def test_a_process_that_does_not_answer_is_given_up_in_time() -> None:
    ours = os.getpid()

    def hangs_elsewhere(seconds: float, progress: Progress) -> Snapshot:  # noqa: ARG001
        if os.getpid() != ours:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(600)
        return replace(MADE, tool_version=str(os.getpid()))

    began = time.monotonic()
    with Reading(hangs_elsewhere, 0.5) as reading:
        assert reading.snapshot().tool_version == str(ours)
    assert time.monotonic() - began < 10


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    """The process clears away what it runs, and is gone itself, when nobody wants its answer any more."""
    told = tmp_path / "pids"

    def runs_a_tool(seconds: float, progress: Progress) -> Snapshot:  # noqa: ARG001
        script = f"echo $$ {os.getpid()} >{told}.new; mv {told}.new {told}; sleep 600; sleep 600"
        command.run(["sh", "-c", script], Deadline(600))
        raise AssertionError("nothing ends it before")

    with Reading(runs_a_tool, 600):
        while not told.exists():
            time.sleep(0.01)
    for pid in told.read_text().split():
        assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_the_real_readers() -> None:
    with begin_reading(deadline=30, destinations=["1.1.1.1"]) as reading:
        found = reading.snapshot()
    assert found.host.hostname == os.uname().nodename
    assert any(answer.destination == "1.1.1.1" for answer in found.network.route_answers)
