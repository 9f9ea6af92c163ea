"""Calls functions in child processes: whatever they do there, this process stays as it is, and free for other work."""

import contextlib
import ctypes
import os
import selectors
import signal
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, Self

from dockerdiag.dataclass import dataclass

MAXIMUM_ANSWER = 64 * 1024 * 1024
_MAXIMUM_PRINTED = 500
_LENGTH = struct.Struct("!cQ")
_ANSWER, _FAULT = b"+", b"-"
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_CHUNK = 1 << 20


class ApartError(Exception):
    """What ran apart gave no answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    content: bytes | bytearray
    printed: str
    """The beginning of what it wrote to stdout and stderr."""


def run_apart(function: Callable[[], bytes], seconds: float) -> Answer:
    """Calls `function` in a child process, which is gone when this returns, with all that it started in its session.

    Raises:
        ApartError: it raised, ended the process, gave more than `MAXIMUM_ANSWER` bytes, or took longer than `seconds`.
    """
    with Apart(function) as called:
        return called.answer(seconds)


class Apart:
    """A function at work in a child process, which leads a session of its own; to be closed by `with`.

    Args:
        function: What is called there; its result is the answer.
        to_end: Seconds in which it may clear away after SIGTERM; with 0 it is killed, with all of its session.

    Raises:
        OSError: no further process can be had.
    """

    def __init__(self, function: Callable[[], bytes], to_end: float = 0.0) -> None:
        self._to_end = to_end
        self._answers, theirs = os.pipe()
        self._printed, prints = os.pipe()
        try:
            self._child = os.fork()
        except OSError:
            for descriptor in (self._answers, theirs, self._printed, prints):
                os.close(descriptor)
            raise
        if self._child == 0:
            _be_the_child(function, theirs, prints, signal.SIGTERM if to_end else signal.SIGKILL)
        os.close(theirs)
        os.close(prints)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._to_end:
            self._wait_for_the_end()
        _end(self._child)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._child, 0)
        os.close(self._answers)
        os.close(self._printed)

    def answer(
        self, seconds: float, *, maximum: int = MAXIMUM_ANSWER, heard: Callable[[str], None] | None = None
    ) -> Answer:
        """Waits for it.

        Args:
            seconds: How long.
            maximum: Bytes that it may have.
            heard: Called with each line that the function prints.

        Raises:
            ApartError: as `run_apart`.
        """
        end = time.monotonic() + seconds
        received, said = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(self._printed, selectors.EVENT_READ)
            ended = False
            while not _is_whole(received, maximum):
                if time.monotonic() >= end:
                    raise ApartError(f"it gave no answer within {seconds:.2g} s")
                ready = selector.select(min(_POLL_SECONDS, max(end - time.monotonic(), 0)))
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK)
                    if not chunk:
                        selector.unregister(key.fd)
                    elif key.fd == self._answers:
                        received += chunk
                    else:
                        if heard is not None:
                            _tell(heard, chunk)
                        said += chunk[: _MAXIMUM_PRINTED - len(said)]
                if ended and not ready:
                    raise ApartError("it ended the process that it ran in")
                # One more round for what it wrote before; a grandchild may hold the pipes open for ever.
                ended = ended or _has_ended(self._child)
        kind = bytes(received[:1])
        del received[: _LENGTH.size]
        if kind == _FAULT:
            raise ApartError(received.decode(errors="replace"))
        return Answer(received, said.decode(errors="replace").strip())

    def _wait_for_the_end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGTERM)
        end = time.monotonic() + self._to_end
        while not _has_ended(self._child) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS / 10)


# -- the child ---------------------------------------------------------------------------------------------------


def _be_the_child(function: Callable[[], bytes], answers: int, prints: int, with_the_parent: int) -> NoReturn:
    try:
        os.setsid()
        # Were this process killed, nothing would be left behind.
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, with_the_parent, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(prints, 1)
        os.dup2(prints, 2)
        try:
            kind, content = _ANSWER, function()
        except BaseException as error:  # noqa: BLE001 - a stranger's code may fail in any way
            kind, content = _FAULT, f"{type(error).__name__}: {error}".encode(errors="replace")[:2000]
        _write(answers, _LENGTH.pack(kind, len(content)))
        _write(answers, content)
    finally:
        # No handler and no buffer of the parent's is run or written a second time.
        os._exit(0)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view[:_CHUNK]) :]


# -- the parent --------------------------------------------------------------------------------------------------


def _end(child: int) -> None:
    # The child by itself first: it may not have become a leader yet.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _has_ended(child: int) -> bool:
    # Not waited for yet: its number must not become another process's before it is killed with its session.
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _tell(heard: Callable[[str], None], chunk: bytes) -> None:
    """A line is written at once, so it comes whole."""
    for line in chunk.decode(errors="replace").splitlines():
        heard(line)


def _is_whole(received: bytearray, maximum: int) -> bool:
    if len(received) < _LENGTH.size:
        return False
    length: int = _LENGTH.unpack_from(received)[1]
    if length > maximum:
        raise ApartError(f"its answer is larger than {maximum // 1024**2} MiB")
    return len(received) >= _LENGTH.size + length
