"""The network namespaces of running containers: a few are read by threads that enter them, many by processes."""

import os
import pickle
import queue
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from dockerdiag.readers.deadline import Deadline, in_thread
from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.readers.visit import visit
from dockerdiag.readers.worker import Worker
from dockerdiag.snapshot import NetworkNamespace, Unread

_MAXIMUM_WORKERS = 4
_THREADS_FOR_EACH_PROCESSOR = 2
"""Half of the time a thread waits for a tool."""
_NAMESPACE_SECONDS = 15.0
_FEW = 128
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
    kind = _Visitor if len(processes) <= _FEW else _Reader
    side_by_side = (os.cpu_count() or 1) * (_THREADS_FOR_EACH_PROCESSOR if kind is _Visitor else 1)
    count = min(len(processes), side_by_side, _MAXIMUM_WORKERS)
    workers = [kind(deadline, destinations) for _ in range(count)]
    found: dict[str, NetworkNamespace | Unread] = {}
    try:
        for worker in workers:
            in_thread(partial(_work, worker, pending, answers))
    except ReadError as error:
        if worker is workers[0]:
            return dict.fromkeys(processes, Unread(str(error)))
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


class _Reader:
    """Has a process enter namespaces."""

    def __init__(self, deadline: Deadline, destinations: Sequence[str]) -> None:
        self._deadline = deadline
        self._destinations = tuple(destinations)
        self._worker = Worker("dockerdiag.readers.namespace_worker", deadline)
        self.close = self._worker.close

    def ask(self, name: str, pid: int) -> NetworkNamespace | Unread:
        """Reads one namespace.

        Raises:
            ReadError: where the process gives no answer.
        """
        # The worker ends in time by itself; what hangs below it does not.
        limit = self._deadline.at_most(_NAMESPACE_SECONDS)
        request = {
            "pid": pid,
            "name": name,
            "seconds": limit.seconds * 0.9,
            "destinations": self._destinations,
        }
        answer = pickle.loads(b64decode(self._worker.ask(request, limit)))  # noqa: S301 - of our own process
        if not isinstance(answer, NetworkNamespace | Unread):
            raise TypeError(f"its reader answered with a {type(answer).__name__}")
        return answer


def _work(
    worker: _Reader | _Visitor,
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
        except Exception as error:  # noqa: BLE001 - one namespace's failure must not cost the others
            answers.put((name, Unread(reason(error))))
