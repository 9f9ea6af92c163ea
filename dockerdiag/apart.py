"""Runs what other packages bring in a child process: whatever it does there, this one stays as it is."""

import contextlib
import ctypes
import os
import selectors
import signal
import struct
import time
from collections.abc import Callable
from typing import Any, NoReturn

from dockerdiag.dataclass import dataclass

MAXIMUM_ANSWER = 64 * 1024 * 1024
_MAXIMUM_PRINTED = 500
_LENGTH = struct.Struct("!cQ")
_ANSWER, _FAULT = b"+", b"-"
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_CHUNK = 1 << 16


class ApartError(Exception):
    """What ran apart gave no answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    content: bytes
    printed: str
    """The beginning of what it wrote to stdout and stderr."""


def run_apart(function: Callable[[], bytes], seconds: float) -> Answer:
    """Calls `function` in a child process, which is gone when this returns, with all that it started in its session.

    Raises:
        ApartError: it raised, ended the process, gave more than `MAXIMUM_ANSWER` bytes, or took longer than `seconds`.
    """
    ours, theirs = os.pipe()
    printed, prints = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(function, theirs, prints)
    os.close(theirs)
    os.close(prints)
    try:
        return _received(child, ours, printed, seconds)
    finally:
        _end(child)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        os.close(ours)
        os.close(printed)


# -- the child ---------------------------------------------------------------------------------------------------


def _be_the_child(function: Callable[[], bytes], answers: int, prints: int) -> NoReturn:
    try:
        os.setsid()
        # Were this process killed, nothing would be left behind.
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
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
        _write(answers, _LENGTH.pack(kind, len(content)) + content)
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


def _received(child: int, answers: int, printed: int, seconds: float) -> Answer:
    end = time.monotonic() + seconds
    received, said = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(answers, selectors.EVENT_READ)
        selector.register(printed, selectors.EVENT_READ)
        ended = False
        while not _is_whole(received):
            if time.monotonic() >= end:
                raise ApartError(f"it gave no answer within {seconds:.2g} s")
            ready = selector.select(min(_POLL_SECONDS, max(end - time.monotonic(), 0)))
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fd)
                elif key.fd == answers:
                    received += chunk
                elif len(said) < _MAXIMUM_PRINTED:
                    said += chunk
            if ended and not ready:
                raise ApartError("it ended the process that it ran in")
            # One more round for what it wrote before; a grandchild may hold the pipes open for ever.
            ended = ended or os.waitpid(child, os.WNOHANG)[0] == child
    kind, content = bytes(received[:1]), bytes(received[_LENGTH.size :])
    if kind == _FAULT:
        raise ApartError(content.decode(errors="replace"))
    return Answer(content, said[:_MAXIMUM_PRINTED].decode(errors="replace").strip())


def _is_whole(received: bytearray) -> bool:
    if len(received) < _LENGTH.size:
        return False
    length: int = _LENGTH.unpack_from(received)[1]
    if length > MAXIMUM_ANSWER:
        raise ApartError(f"its answer is larger than {MAXIMUM_ANSWER // 1024**2} MiB")
    return len(received) >= _LENGTH.size + length
