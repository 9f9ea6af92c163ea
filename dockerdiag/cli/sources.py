"""Where snapshots and reports come from: this host, or a file."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerdiag.bounded_file import read_bounded
from dockerdiag.cli.errors import fail_usage
from dockerdiag.cli.options import ROOT_VARIABLE
from dockerdiag.dataclass import replace

if TYPE_CHECKING:
    from dockerdiag.formatting import Format
    from dockerdiag.readers.beside import Reading
    from dockerdiag.report import Report
    from dockerdiag.snapshot import Snapshot
    from dockerdiag.time_limit import TimeLimit

MAXIMUM_REPORT = 64 * 1024 * 1024
"""Bytes of a report that are read back; one of a thousand containers has a few MB."""


READING_SHARE = 0.8
"""How much of the time reading may take; what was read must be judged too."""


PROBING_SHARE = 0.8
"""As much of what is left then, for the probes."""


def read_host(
    limit: "TimeLimit",
    asked: Any,
    root: Path | None = None,
    *,
    probe: bool = False,
    begun: "Reading | None" = None,
    before: "Snapshot | None" = None,
) -> "Snapshot":
    """Reads this host, where that has not `begun`, and sends probes where they are asked for; tells the progress.

    After a reading `before`, which it is to confirm, it is read anew, and that one's probes are kept.
    """
    with _progress() as progress:
        if begun is not None and before is None:
            snapshot = begun.snapshot(progress)
        else:
            from dockerdiag.readers import read_snapshot  # noqa: PLC0415

            snapshot = read_snapshot(
                deadline=_reading_seconds(limit, probe=probe and before is None),
                destinations=asked.addresses,
                progress=progress,
                root=root,
            )
        if not probe:
            return snapshot
        if before is not None:
            return replace(snapshot, probes=before.probes)
        from dockerdiag.probing import with_probes  # noqa: PLC0415

        return with_probes(snapshot, asked, PROBING_SHARE * _remaining(limit), progress)


@contextmanager
def reading(
    limit: "TimeLimit", asked: Any, root: Path | None, from_file: Path | None, *, probe: bool = False
) -> "Iterator[Reading | None]":
    """Begins to read this host, which goes on while what judges it is imported; None where a file is judged."""
    root = root_unless_from_file(root, from_file)
    if from_file is not None:
        yield None
        return
    from dockerdiag.readers import begin_reading  # noqa: PLC0415

    seconds = _reading_seconds(limit, probe=probe)
    with begin_reading(deadline=seconds, destinations=asked.addresses, root=root) as begun:
        yield begun


def _reading_seconds(limit: "TimeLimit", *, probe: bool) -> float:
    seconds = READING_SHARE * _remaining(limit)
    return seconds / 2 if probe else seconds


def _remaining(limit: "TimeLimit") -> float:
    return 3600 if limit.remaining is None else limit.remaining


def root_unless_from_file(root: Path | None, from_file: Path | None) -> Path | None:
    """The host's directory, None with `--from`; both asked for is wrong usage, an image's default gives way."""
    if from_file is None:
        return root
    if root is not None and str(root) != os.environ.get(ROOT_VARIABLE):
        fail_usage("--root reads this host, --from a file")
    return None


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True).status("reading the host") as status:
        yield lambda text: status.update(Text(text))


def load_file(path: Path, known: "Mapping[str, Format]", limit: "TimeLimit") -> "Snapshot | Report":
    """Reads a snapshot, or a report in a format that can be read back.

    Raises:
        AskedError: it is neither, or to read it takes longer than there is time.
    """
    from dockerdiag.asked import AskedError  # noqa: PLC0415
    from dockerdiag.time_limit import TimeIsUp  # noqa: PLC0415

    try:
        with limit.interrupting():
            return _loaded(path, known)
    except TimeIsUp:
        raise AskedError(f"{path} cannot be read: {limit.told} first") from None


def _loaded(path: Path, known: "Mapping[str, Format]") -> "Snapshot | Report":
    from dockerdiag import report_masking  # noqa: PLC0415
    from dockerdiag.asked import AskedError  # noqa: PLC0415
    from dockerdiag.snapshot.masking import without_credentials  # noqa: PLC0415
    from dockerdiag.snapshot.store import SnapshotError, load  # noqa: PLC0415

    reasons: list[str] = []
    for one in known.values():
        if one.read is not None and path.name.endswith(tuple(one.suffixes)):
            try:
                # Whoever made it may have known fewer forms of credentials, or written it by hand.
                return report_masking.without_credentials(one.read(_bounded_text(path)))
            except (OSError, ValueError) as error:
                reasons.append(f"as a report: {getattr(error, 'strerror', None) or error}")
    try:
        return without_credentials(load(path))
    except SnapshotError as error:
        raise AskedError(f"{path} cannot be read: {'; '.join((*reasons, str(error)))}") from None


def _bounded_text(path: Path) -> str:
    return read_bounded(path, MAXIMUM_REPORT).decode()
