"""Reads the host in a process beside this one, which meanwhile imports what it judges by: a third of a small run."""

import atexit
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from dockerdiag.apart import Apart, ApartError
from dockerdiag.readers.command import TOOLS
from dockerdiag.readers.deadline import Deadline
from dockerdiag.snapshot import Snapshot

Read = Callable[[float, Callable[[str], None] | None], Snapshot]
"""Reads the host in so many seconds, and tells its progress."""
_SECONDS_TO_END = 1.0
_SECONDS_TO_HAND_OVER = 1.0
_SHARE_TO_HAND_OVER = 0.1
"""What the other process may take after its deadline; with a thousand containers it takes a second."""
_MAXIMUM_SNAPSHOT = 1 << 32


class Reading:
    """A host that is being read; to be closed by `with`.

    Args:
        read: Reads it.
        seconds: How long it may take from now on.
    """

    def __init__(self, read: Read, seconds: float) -> None:
        self._read = read
        self._deadline = Deadline(seconds)
        self._held = ExitStack()
        self._process: Apart | None = None
        # One processor would read, pickle, and read that again, one after the other.
        if len(os.sched_getaffinity(0)) > 1:
            with suppress(OSError):  # where no further process can be had, it is read here
                self._process = self._held.enter_context(Apart(self._read_there, _SECONDS_TO_END))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def snapshot(self, progress: Callable[[str], None] | None = None) -> Snapshot:
        """What was read; here, in the time that is left, where the other process gave no answer.

        Args:
            progress: Called with a few words whenever a part is done.
        """
        process, self._process = self._process, None
        if process is not None:
            with self._held, suppress(ApartError):  # it was killed, for want of memory maybe
                hand_over = max(_SECONDS_TO_HAND_OVER, _SHARE_TO_HAND_OVER * self._deadline.seconds)
                seconds = self._deadline.remaining + hand_over
                answer = process.answer(seconds, maximum=_MAXIMUM_SNAPSHOT, heard=progress)
                found = pickle.loads(answer.content)  # noqa: S301 - of our own process
                if isinstance(found, Snapshot):
                    return found
        return self._read(self._deadline.remaining, progress)

    def _read_there(self) -> bytes:
        # What runs when the parent ends is the parent's.
        atexit._clear()  # noqa: SLF001 - nothing else leaves it out
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        try:
            return pickle.dumps(self._read(self._deadline.remaining, _tell), pickle.HIGHEST_PROTOCOL)
        finally:
            # What nobody waits for any more is ended so.
            TOOLS.close()
            atexit._run_exitfuncs()  # noqa: SLF001 - the process ends without


def _tell(progress: str) -> None:
    os.write(1, f"{' '.join(progress.split())}\n".encode())
