"""A total deadline, and reading under it: side by side, never waiting for what hangs."""

import _thread
import queue
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import Event
from typing import Any, TypeVar

from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.snapshot import Unread

T = TypeVar("T")

_TIME_TO_ANSWER = 0.1
"""Who had less cannot be blamed."""


class Deadline:
    """A moment that nothing outlasts."""

    def __init__(self, seconds: float, total: float | None = None) -> None:
        self.seconds = seconds
        self._total = seconds if total is None else total
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, 0 where it has passed."""
        return max(0.0, self._end - time.monotonic())

    def at_most(self, seconds: float) -> "Deadline":
        """This deadline, or one in `seconds` where that comes first."""
        return Deadline(min(seconds, self.remaining), self._total)

    @property
    def passed(self) -> str:
        """The reason for what is open when the whole time is over."""
        return f"not read within {self._total:.3g} s"

    @property
    def late(self) -> str:
        """The reason for one that did not answer in the time it had."""
        return f"no answer within {self.seconds:.2g} s" if self.seconds >= _TIME_TO_ANSWER else self.passed


def in_thread(function: Callable[[], None]) -> None:
    """Calls `function` in a thread that does not keep the process from ending where it hangs.

    Raises:
        ReadError: where the system gives no thread.
    """
    try:
        # Not by threading, which would wait for a thread that memory did not suffice to begin.
        _thread.start_new_thread(function, ())
    except RuntimeError:
        raise ReadError("a limit on this run's processes or memory lets it start no further thread") from None


def within(deadline: Deadline, function: Callable[[], T]) -> T:
    """Calls `function` in a thread of its own, which is left behind where the deadline passes.

    Raises:
        ReadError: when it passes; anything that `function` raises.
    """
    answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put((True, function()))
        except BaseException as error:  # noqa: BLE001 - carried to the caller, who raises it
            answers.put((False, error))

    in_thread(answer)
    try:
        succeeded, result = answers.get(timeout=deadline.remaining)
    except queue.Empty:
        raise ReadError(deadline.late) from None
    if not succeeded:
        raise result
    return result  # type: ignore[no-any-return]  # the queue does not know T


class SideBySide:
    """Functions at work, each in a thread of its own."""

    def __init__(
        self,
        parts: Mapping[str, Callable[[], Any]],
        deadline: Deadline,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Starts them; `progress` gets the name of each part that is done, from `results`."""
        self._names = tuple(parts)
        self._deadline = deadline
        self._progress = progress
        self._answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._found: dict[str, Any] = {}
        self._done = {name: Event() for name in parts}
        for name, function in parts.items():
            try:
                in_thread(partial(self._answer, name, function))
            except ReadError as error:
                self._told(name, Unread(reason(error)))

    def _answer(self, name: str, function: Callable[[], Any]) -> None:
        self._told(name, unread_on_error(function))

    def _told(self, name: str, result: Any) -> None:
        self._found[name] = result
        self._done[name].set()
        self._answers.put((name, result))

    def awaited(self, name: str) -> Any:
        """What one of them returned, for another thread that depends on it; `Unread` as in `results`."""
        self._done[name].wait(self._deadline.remaining)
        return self._found.get(name, Unread(self._deadline.passed))

    def results(self) -> dict[str, Any]:
        """What each returned; `Unread` for what failed, or is open when the deadline passes."""
        results: dict[str, Any] = {}
        while len(results) < len(self._names):
            try:
                name, result = self._answers.get(timeout=self._deadline.remaining)
            except queue.Empty:
                break
            results[name] = result
            if self._progress is not None:
                self._progress(f"read {name.replace('_', ' ')}")
        return {name: results.get(name, Unread(self._deadline.passed)) for name in self._names}


def unread_on_error(function: Callable[[], T]) -> T | Unread:
    """What `function` returns, or `Unread` with the reason for which it failed."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - one source's failure must not cost the others
        return Unread(reason(error))
