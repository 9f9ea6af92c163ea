"""What a run leaves for the next: its report, and the last snapshot of a host in order."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockerdiag import report_json, report_masking
from dockerdiag.bounded_file import read_bounded
from dockerdiag.dataclass import dataclass
from dockerdiag.report import Report
from dockerdiag.snapshot import Snapshot, store
from dockerdiag.snapshot.masking import without_credentials
from dockerdiag.validation import refuse_too_many_values

STATE_VERSION = 1
MAXIMUM_SIZE = store.MAXIMUM_SIZE
_BEGINNING = b'{"state_version":'
"""What every state begins with, also a damaged one and one of another version."""


class OverlapError(Exception):
    """Another run holds the state file."""


class StateError(Exception):
    """A state file that cannot be used; the message says why."""


class ForeignFileError(Exception):
    """A file that is no state: somebody else's, which must not be overwritten."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The run before this one."""

    report: Report
    good: Snapshot | None
    """The last snapshot that was judged ok, None where there was none yet."""

    def dump(self) -> bytes:
        """As a file's content."""
        good = None if self.good is None else json.loads(store.dump(self.good))
        values = {
            "state_version": STATE_VERSION,
            "report": report_json.to_dict(self.report),
            "good": good,
        }
        return json.dumps(values).encode() + b"\n"


def load(path: Path) -> LastRun | None:
    """The run that left `path`; None where there is no such file yet, or an empty one.

    Raises:
        StateError: it is no state of this version.
        ForeignFileError: it is no state at all.
        OSError: it cannot be read.
    """
    try:
        content = read_bounded(path, MAXIMUM_SIZE)
    except FileNotFoundError:
        return None
    if content and not content.startswith(_BEGINNING):
        raise ForeignFileError
    return loads(content) if content else None


def loads(content: bytes) -> LastRun:
    """The run that a state file holds.

    Raises:
        StateError: it is no state of this version.
    """
    try:
        refuse_too_many_values(content)
        values = json.loads(content)
        version = values["state_version"]
        if version != STATE_VERSION:
            raise StateError(f"it has state version {version}, this dockerdiag reads {STATE_VERSION}")
        good = values["good"]
        # As they would be kept today: else a credential of a form that is new here would be a change.
        return LastRun(
            report_masking.without_credentials(report_json.from_dict(values["report"])),
            None if good is None else without_credentials(store.loads(json.dumps(good).encode())),
        )
    except (ValueError, TypeError, KeyError, RecursionError, store.SnapshotError) as error:
        raise StateError(f"it is no state of dockerdiag's: {error}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `path` against other runs, by a lock file beside it.

    Raises:
        OverlapError: another run holds it.
        OSError: the lock file cannot be made.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OverlapError from None
        yield
    finally:
        os.close(descriptor)
