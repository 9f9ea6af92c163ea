"""The network namespaces of running containers: a few are read by threads that enter them, many by processes."""

import atexit
import json
import os
import queue
import select
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import IO, TYPE_CHECKING

from dockerdiag.readers.command import MAXIMUM_OUTPUT, end, python_module
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.visit import visit
from dockerdiag.snapshot import NetworkNamespace, Unread

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_MAXIMUM_WORKERS = 4
_NAMESPACE_SECONDS = 15.0
_SECONDS_TO_END = 1.0
_FEW = 16
"""Namespaces that are read in less time than processes take to start, which then read side by side."""


def read_namespaces(
    processes: Mapping[str, int],
    destinations: Sequence[str],
    deadline: Deadline,
    progress: Callable[[str], None] | None = None,
) -> dict[str, NetworkNamespace | Unread]:
    """Reads each namespace, by its name, through a process in it.

    Args:
        processes: A PID for each namespace's name.
        destinations: Addresses to which each namespace's kernel routes are asked.
        deadline: What is open when it passes is `Unread`.
        progress: Called with a few words whenever one is done.
    """
    if not processes:
        return {}
    pending: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    for item in processes.items():
        pending.put(item)
    answers: queue.SimpleQueue[tuple[str, NetworkNamespace | Unread]] = queue.SimpleQueue()
    count = min(len(processes), os.cpu_count() or 1, _MAXIMUM_WORKERS)
    kind = _Visitor if len(processes) <= _FEW else _Worker
    workers = [kind(deadline, destinations) for _ in range(count)]
    for worker in workers:
        threading.Thread(target=_work, args=(worker, pending, answers), daemon=True).start()
    found: dict[str, NetworkNamespace | Unread] = {}
    try:
        while len(found) < len(processes):
            name, answer = answers.get(timeout=deadline.remaining)
            found[name] = answer
            if progress is not None:
                progress(f"read the namespaces of containers: {len(found)} of {len(processes)}")
    except queue.Empty:
        pass
    finally:
        for worker in workers:
            worker.close()
    return {name: found.get(name, Unread(deadline.passed)) for name in processes}


@cache
def _adapter() -> "TypeAdapter[NetworkNamespace | Unread]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - as in the store: building validators is what costs

    return TypeAdapter(NetworkNamespace | Unread)


class _Visitor:
    """Enters namespaces by itself, that is with the thread that asks it, which must do nothing else before or after."""

    def __init__(self, deadline: Deadline, destinations: Sequence[str]) -> None:
        self._deadline = deadline
        self._destinations = tuple(destinations)

    def ask(self, name: str, pid: int) -> NetworkNamespace | Unread:
        """Reads one namespace.

        Raises:
            ReadError: where it cannot be entered.
        """
        return visit(pid, name, self._deadline.at_most(_NAMESPACE_SECONDS), self._destinations)

    def close(self) -> None:
        """Nothing stays: the threads end with their work, or are left behind where they hang."""


class _Worker:
    """A process that enters namespaces; started when it is first asked, and again once it hung or crashed."""

    def __init__(self, deadline: Deadline, destinations: Sequence[str]) -> None:
        self._deadline = deadline
        self._destinations = tuple(destinations)
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        atexit.register(self.close)

    def ask(self, name: str, pid: int) -> NetworkNamespace | Unread:
        """Reads one namespace.

        Raises:
            ReadError: where the process gives no answer.
        """
        process = self._started()
        assert process.stdin is not None  # noqa: S101 - both were asked for as pipes
        assert process.stdout is not None  # noqa: S101
        # The worker ends in time by itself; what hangs below it does not.
        limit = self._deadline.at_most(_NAMESPACE_SECONDS)
        request = {
            "pid": pid,
            "name": name,
            "seconds": limit.seconds * 0.9,
            "destinations": self._destinations,
        }
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = _line(process.stdout, limit)
        except (OSError, ReadError) as error:
            self._end()
            raise error if isinstance(error, ReadError) else ReadError("its reader ended") from None
        return _adapter().validate_json(line)

    def close(self) -> None:
        """Ends the process, and starts no other."""
        atexit.unregister(self.close)
        self._closed = True
        self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise ReadError(self._deadline.passed)
        if self._process is None:
            command, environment = python_module("dockerdiag.readers.namespace_worker")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C", **environment},
                start_new_session=True,
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # It ends the tools that it runs, which lead sessions of their own.
            process.terminate()
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                end(process)
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _work(
    worker: _Worker | _Visitor,
    pending: "queue.SimpleQueue[tuple[str, int]]",
    answers: "queue.SimpleQueue[tuple[str, NetworkNamespace | Unread]]",
) -> None:
    while True:
        try:
            name, pid = pending.get_nowait()
        except queue.Empty:
            return
        try:
            answers.put((name, worker.ask(name, pid)))
        except (ReadError, ValueError, OSError) as error:
            answers.put((name, Unread(str(error))))


def _line(pipe: IO[bytes], deadline: Deadline) -> bytes:
    descriptor = pipe.fileno()
    chunks: list[bytes] = []
    size = 0
    while True:
        if not select.select([descriptor], [], [], deadline.remaining)[0]:
            raise ReadError(deadline.late)
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            raise ReadError("its reader ended")
        chunks.append(chunk)
        size += len(chunk)
        if size > MAXIMUM_OUTPUT:
            raise ReadError(f"it is larger than {MAXIMUM_OUTPUT // 1024**2} MiB")
        if chunk.endswith(b"\n"):
            return b"".join(chunks)
