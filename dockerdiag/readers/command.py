"""Runs a host's tool: no shell, a deadline, bounded output, and nothing left running."""

import atexit
import contextlib
import os
import select
import selectors
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import IO

from dockerdiag.dataclass import dataclass
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.snapshot.secrets import mask_text

MAXIMUM_OUTPUT = 256 * 1024 * 1024
_MAXIMUM_ERRORS = 64 * 1024
_SECONDS_TO_START = 1.0
_MAXIMUM_COMPLAINT = 300
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_REFUSALS = (
    "operation not permitted",
    "permission denied",
    "must be root",
    "you need to be root",
    "insufficient permissions",
)


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool printed, and how it ended."""

    text: str
    errors: str
    status: int


def find_tool(*names: str) -> str | None:
    """Path of the first of `names` that is installed; a plain user's PATH leaves out the sbin directories."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_PATH))
    return next((found for name in names if (found := _found(name, path))), None)


@cache
def _found(name: str, path: str) -> str | None:
    # The same few tools are run in every container's network namespace.
    return shutil.which(name, path=path)


def python_module(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command that runs a module of ours in a process of its own, and the environment it needs."""
    # -P: a module of the same name in the current directory must not be run as root.
    path = os.pathsep.join(entry for entry in sys.path if entry.startswith("/"))
    # To import there leaves no compiled files on the host.
    environment = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return [sys.executable, "-P", "-m", module, *arguments], environment


def run(
    arguments: Sequence[str],
    deadline: Deadline,
    *,
    environment: Mapping[str, str] | None = None,
    maximum: int = MAXIMUM_OUTPUT,
) -> Output:
    """Runs a tool, its first argument, to its end.

    Raises:
        ReadError: where it is not installed, does not end in time, or prints more than `maximum` bytes.
    """
    executable = find_tool(arguments[0])
    name = arguments[0].rpartition("/")[2]
    if executable is None:
        raise ReadError(f"{name} is not installed")
    try:
        process = TOOLS.start(
            [executable, *arguments[1:]], {**os.environ, "LC_ALL": "C", **(environment or {})}, deadline
        )
    except OSError as error:
        raise ReadError(f"{name} cannot be run: {(error.strerror or str(error)).lower()}") from None
    with process:
        try:
            output, errors = _collect(process, name, deadline, maximum)
            status = _status(process, deadline)
        except subprocess.TimeoutExpired:
            raise ReadError(f"{name}: {deadline.late}") from None
        finally:
            TOOLS.end(process)
    return Output(output.decode(errors="replace"), errors.decode(errors="replace"), status)


def checked(
    arguments: Sequence[str], deadline: Deadline, *, environment: Mapping[str, str] | None = None
) -> str:
    """What a tool prints.

    Raises:
        ReadError: as `run`, and where it fails: with what it said.
    """
    output = run(arguments, deadline, environment=environment)
    if output.status != 0:
        raise failure(arguments[0], output)
    return output.text


def failure(tool: str, output: Output) -> ReadError:
    """The error for a tool that failed."""
    said = complaint(output)
    if any(refusal in said.lower() for refusal in _REFUSALS):
        return ReadError(denied())
    name = tool.rpartition("/")[2]
    ended = f"was killed by signal {-output.status}" if output.status < 0 else f"failed ({output.status})"
    return ReadError(f"{name} {ended}{': ' if said else ''}{said}")


def complaint(output: Output) -> str:
    """The beginning of what it said on stderr, in one line and without credentials."""
    return mask_text(" ".join(output.errors.split())).text[:_MAXIMUM_COMPLAINT]


def _status(process: subprocess.Popen[bytes], deadline: Deadline) -> int:
    """How a tool that prints no more ended.

    Raises:
        subprocess.TimeoutExpired: it has not.
    """
    # The library looks again after half a millisecond, which is too early and then too late by as much.
    # Before Linux 5.3, or no descriptor is left; Pythons that were built with older headers, and PyPy, lack the call.
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.pidfd_open(process.pid)
        try:
            waiting = select.poll()
            waiting.register(descriptor, select.POLLIN)
            waiting.poll(1000 * deadline.remaining)
        finally:
            os.close(descriptor)
    return process.wait(timeout=max(deadline.remaining, 0.01))


def _collect(
    process: subprocess.Popen[bytes], name: str, deadline: Deadline, maximum: int
) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101 - both were asked for as pipes
    assert process.stderr is not None  # noqa: S101
    chunks: dict[IO[bytes], list[bytes]] = {process.stdout: [], process.stderr: []}
    sizes = dict.fromkeys(chunks, 0)
    with selectors.DefaultSelector() as selector:
        for pipe in chunks:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline.remaining)
            if not ready:
                raise ReadError(f"{name}: {deadline.late}")
            for key, _ in ready:
                pipe = process.stdout if key.fileobj is process.stdout else process.stderr
                chunk = os.read(key.fd, 1 << 20)
                if not chunk:
                    selector.unregister(pipe)
                    continue
                sizes[pipe] += len(chunk)
                if pipe is process.stdout and sizes[pipe] > maximum:
                    raise ReadError(f"{name} printed more than {maximum // 1024**2} MiB")
                if pipe is process.stdout or sizes[pipe] <= _MAXIMUM_ERRORS:
                    chunks[pipe].append(chunk)
    return b"".join(chunks[process.stdout]), b"".join(chunks[process.stderr])


class Tools:
    """Every tool that runs: a thread that waits for one is left behind when time is up; the tool must not be."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        # None is started while all are ended, nor afterwards.
        self._starting = threading.Lock()
        atexit.register(self.close)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], deadline: Deadline
    ) -> "subprocess.Popen[bytes]":
        """Starts one, in a session of its own.

        Raises:
            OSError: where it cannot be started.
            ReadError: where the program ends, or another one cannot be started for as long as there is time.
        """
        # To start a program may hang, where the file system does that it lies on.
        if not self._starting.acquire(timeout=deadline.remaining):
            raise ReadError(deadline.late)
        try:
            if self._closed:
                raise ReadError(deadline.passed)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process)
        finally:
            self._starting.release()
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """Ends one, and forgets it."""
        end(process)
        self._running.discard(process)

    def close(self) -> None:
        """Ends all, and starts no other."""
        began = self._starting.acquire(timeout=_SECONDS_TO_START)
        self._closed = True
        for process in tuple(self._running):
            end(process)
        if began:
            self._starting.release()


TOOLS = Tools()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of a process and of its children (it leads a session of its own)."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
