"""Runs a host's tool: no shell, a deadline, bounded output, and nothing left running."""

import atexit
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import IO

from dockerdiag.dataclass import dataclass
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.snapshot.secrets import mask_text

MAXIMUM_OUTPUT = 256 * 1024 * 1024
_MAXIMUM_ERRORS = 64 * 1024
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
        process = subprocess.Popen(
            [executable, *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise ReadError(f"{name} cannot be run: {(error.strerror or str(error)).lower()}") from None
    with process, _ended_at_exit(process):
        try:
            output, errors = _collect(process, name, deadline, maximum)
            status = process.wait(timeout=max(deadline.remaining, 0.01))
        except subprocess.TimeoutExpired:
            raise ReadError(f"{name}: {deadline.late}") from None
        finally:
            end(process)
    return Output(output.decode(errors="replace"), errors.decode(errors="replace"), status)


def checked(arguments: Sequence[str], deadline: Deadline) -> str:
    """What a tool prints.

    Raises:
        ReadError: as `run`, and where it fails: with what it said.
    """
    output = run(arguments, deadline)
    if output.status != 0:
        raise failure(arguments[0], output)
    return output.text


def failure(tool: str, output: Output) -> ReadError:
    """The error for a tool that failed."""
    said = mask_text(" ".join(output.errors.split())).text[:300]
    if any(refusal in said.lower() for refusal in _REFUSALS):
        return ReadError(denied())
    name = tool.rpartition("/")[2]
    ended = f"was killed by signal {-output.status}" if output.status < 0 else f"failed ({output.status})"
    return ReadError(f"{name} {ended}{': ' if said else ''}{said}")


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


@contextmanager
def _ended_at_exit(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A thread that waits for a tool is left behind when the total deadline passes; the tool must not be."""
    hook = partial(end, process)
    atexit.register(hook)
    try:
        yield
    finally:
        atexit.unregister(hook)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of a process and of its children (it leads a session of its own)."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
