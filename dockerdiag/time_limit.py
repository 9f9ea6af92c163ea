"""A deadline for code that looks at no clock: checks and walks."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class TimeIsUp(BaseException):
    """The deadline passed."""


class TimeLimit:
    """A total deadline, from now on.

    Args:
        seconds: How long; None for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, at least 0; None for ever."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.remaining == 0

    @property
    def reason(self) -> str:
        """Why something is unknown that it ended."""
        return f"{self.told} before it was judged"

    @property
    def told(self) -> str:
        """That it passed, in words."""
        return f"the deadline of {self._seconds:g} s passed"

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Ends what runs within when the deadline passes; in the main thread, where signals arrive.

        Raises:
            TimeIsUp: it passed.
        """
        remaining = self.remaining
        if remaining is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        if remaining == 0:
            raise TimeIsUp
        before = signal.signal(signal.SIGALRM, _ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, remaining)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _ring(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - signal.signal's signature
    raise TimeIsUp


UNLIMITED = TimeLimit(None)
