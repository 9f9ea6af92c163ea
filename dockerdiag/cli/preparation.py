"""What commands that give a report begin with: formats, files, the time that they have, and what they judge."""

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from dockerdiag.cli import delivery, sources
from dockerdiag.cli.errors import say
from dockerdiag.dataclass import dataclass

if TYPE_CHECKING:
    from dockerdiag.asked import Asked
    from dockerdiag.formatting import Format, RenderOptions
    from dockerdiag.readers.beside import Reading
    from dockerdiag.report import Report
    from dockerdiag.snapshot import Snapshot
    from dockerdiag.time_limit import TimeLimit


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that makes sense, before anything is read."""

    known: "Mapping[str, Format]"
    chosen: "Format"
    """What stdout gets."""
    files: "tuple[tuple[Path, Format], ...]"
    limit: "TimeLimit"
    from_file: Path | None = None
    root: Path | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    """Under which heading each check is listed."""
    probe: bool = False
    """Whether to send packets to what is asked about."""
    begun: float = field(default_factory=time.monotonic)

    def load(self, path: Path) -> "Snapshot | Report":
        """What a file holds."""
        return sources.load_file(path, self.known, self.limit)

    def read(
        self, asked: "Asked", begun: "Reading | None" = None, before: "Snapshot | None" = None
    ) -> "Snapshot":
        """This host, as it is read since `begun`, or once more after `before`."""
        return sources.read_host(self.limit, asked, self.root, probe=self.probe, begun=begun, before=before)

    def options(self, report: "Report", *, verbose: bool) -> "RenderOptions":
        """How the report is shown; the command line is left out where names are replaced, since it may hold some."""
        from dockerdiag.formatting import RenderOptions  # noqa: PLC0415
        from dockerdiag.snapshot.secrets import mask_arguments  # noqa: PLC0415

        command = shlex.join(("dockerdiag", *mask_arguments(sys.argv[1:])))
        return RenderOptions(
            verbose=verbose,
            command="" if report.redaction.get("redacted") else command,
            duration=time.monotonic() - self.begun,
            groups=self.groups,
        )


def prepare(
    format_name: str,
    output: list[Path],
    *,
    limit: "TimeLimit | None" = None,
    from_file: Path | None = None,
    root: Path | None = None,
    plugins: bool = True,
    groups: Mapping[str, str] | None = None,
    probe: bool = False,
) -> Prepared:
    """Finds out whether what was asked for makes sense; wrong usage where it does not."""
    from dockerdiag.time_limit import TimeLimit  # noqa: PLC0415

    root = sources.root_unless_from_file(root, from_file)
    limit = limit or TimeLimit(None)
    known = _formats(limit, plugins=plugins)
    return Prepared(
        known=known,
        chosen=delivery.format_named(known, format_name),
        files=tuple((path, delivery.format_of(known, path)) for path in output),
        limit=limit,
        from_file=from_file,
        root=root,
        groups=groups or {},
        probe=probe,
    )


def _formats(limit: "TimeLimit", *, plugins: bool) -> "dict[str, Format]":
    from dockerdiag.registry import formats  # noqa: PLC0415

    known, broken = formats(plugins=plugins, limit=limit)
    for one in broken:
        say(f"format {one.name} of {one.distribution} could not be loaded: {one.reason}")
    return known
