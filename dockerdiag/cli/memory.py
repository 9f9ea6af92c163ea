"""`--state`: what this run remembers of the last one, and leaves for the next."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dockerdiag.cli.delivery import write
from dockerdiag.cli.errors import EX_IOERR, NoReportError, fail_usage, say
from dockerdiag.dataclass import replace

if TYPE_CHECKING:
    from dockerdiag.changes import Changes
    from dockerdiag.last_run import LastRun
    from dockerdiag.report import Report
    from dockerdiag.snapshot import Snapshot
    from dockerdiag.time_limit import TimeLimit

EX_UNKNOWN = 3
"""The verdict unknown: a run that another one keeps out has judged nothing."""


class Memory:
    """The state file of one run, from before it to after it."""

    def __init__(self, path: Path, last: "LastRun | None") -> None:
        self._path = path
        self._last = last
        self._next: LastRun | None = None

    def compare(
        self, report: "Report", snapshot: "Snapshot", judge: "Callable[[Snapshot], Report]"
    ) -> "tuple[Report, Changes | None]":
        """The report with what changed since the last run; None where this is the first."""
        from dockerdiag.changes import since_last_run  # noqa: PLC0415
        from dockerdiag.last_run import LastRun  # noqa: PLC0415
        from dockerdiag.report import Verdict  # noqa: PLC0415

        good = self._last.good if self._last is not None else None
        changes = None
        if self._last is not None:
            changes = since_last_run(self._last.report, good, report, snapshot, judge)
            report = replace(report, changes=changes.to_dict())
        self._next = LastRun(report, snapshot if report.verdict is Verdict.OK else good)
        return report, changes

    def keep(self) -> int:
        """Leaves this run for the next one; returns 0, or 74 where it cannot be written."""
        return 0 if self._next is None else write(self._path, self._next.dump())


@contextmanager
def remembering(path: Path | None, limit: "TimeLimit") -> Iterator[Memory | None]:
    """The memory that `--state` asks for; ends the program where another run holds it, or it is another's file."""
    if path is None:
        yield None
        return
    from dockerdiag.last_run import (  # noqa: PLC0415
        ForeignFileError,
        OverlapError,
        StateError,
        load,
        locked,
    )
    from dockerdiag.time_limit import TimeIsUp  # noqa: PLC0415

    last = None
    with ExitStack() as held:
        try:
            held.enter_context(locked(path))
            with limit.interrupting():
                last = load(path)
        except ForeignFileError:
            fail_usage(f"{path} is no state file of dockerdiag's, and is left as it is")
        except TimeIsUp:
            say(f"cannot use {path}: {limit.told} before it was read")
            raise typer.Exit(EX_IOERR) from None
        except OverlapError:
            say(f"another run holds {path}; this one ends")
            raise NoReportError(EX_UNKNOWN) from None
        except StateError as error:
            say(f"{path} cannot be used, and is begun anew: {error}")
        except OSError as error:
            say(f"cannot use {path}: {error.strerror or error}")
            raise typer.Exit(EX_IOERR) from None
        yield Memory(path, last)
