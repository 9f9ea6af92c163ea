"""The command that tells what changed between two snapshots or reports."""

from pathlib import Path
from typing import Annotated

import typer

from dockerdiag.cli import sources
from dockerdiag.cli.application import app
from dockerdiag.cli.changes_told import told
from dockerdiag.cli.delivery import print_result
from dockerdiag.cli.errors import fail_usage

SECONDS = 60.0
"""How long to read one file, and to judge one snapshot, may take."""


@app.command(
    "diff",
    help="Tell what changed, what changed the verdict first. Ends with 0 where nothing did, else with 1.",
)
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A snapshot or a report (JSON or HTML).")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another, of a later time.")],
) -> int:
    """Compares two files; ends with 1 where they differ."""
    from dockerdiag.asked import Asked, AskedError  # noqa: PLC0415
    from dockerdiag.changes import compared_reports, compared_snapshots  # noqa: PLC0415
    from dockerdiag.diagnosis import diagnose  # noqa: PLC0415
    from dockerdiag.registry import checks, formats  # noqa: PLC0415
    from dockerdiag.report import Report  # noqa: PLC0415
    from dockerdiag.snapshot import Snapshot  # noqa: PLC0415
    from dockerdiag.time_limit import TimeLimit  # noqa: PLC0415

    def judge(snapshot: Snapshot) -> Report:
        return diagnose(snapshot, Asked.parse(), *checks(), limit=TimeLimit(SECONDS))

    known = formats()[0]
    try:
        before, after = (sources.load_file(one, known, TimeLimit(SECONDS)) for one in (old, new))
    except AskedError as error:
        fail_usage(str(error))
    if isinstance(before, Snapshot) and isinstance(after, Snapshot):
        changes = compared_snapshots(before, after, judge)
    else:
        reports = [judge(one) if isinstance(one, Snapshot) else one for one in (before, after)]
        changes = compared_reports(*reports)
    return print_result("\n".join(told(changes))) or int(bool(changes))
