"""Where reports go: stdout, and files."""

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dockerdiag.cli.changes_told import told
from dockerdiag.cli.errors import EX_IOERR, EX_SOFTWARE, fail_usage, give_up_stdout, say
from dockerdiag.cli.options import FailOn

if TYPE_CHECKING:
    from dockerdiag.changes import Changes
    from dockerdiag.cli.preparation import Prepared
    from dockerdiag.formatting import Format, RenderOptions
    from dockerdiag.report import Report


RENDERING_SECONDS = 20.0
"""How long each format may take, also after the deadline: what was found must be told."""


def format_named(known: "Mapping[str, Format]", name: str) -> "Format":
    """The format of that name; wrong usage where there is none."""
    if name not in known:
        fail_usage(f"there is no format {name!r}; there are {', '.join(sorted(known))}")
    return known[name]


def format_of(known: "Mapping[str, Format]", path: Path) -> "Format":
    """The format that the suffix of a file names; wrong usage where it names none."""
    for one in known.values():
        if path.name.endswith(tuple(one.suffixes)):
            return one
    suffixes = ", ".join(suffix for one in known.values() for suffix in one.suffixes)
    raise typer.BadParameter(f"the suffix of {path} names no format; there are {suffixes}")


def deliver(
    report: "Report",
    prepared: "Prepared",
    *,
    verbose: bool = False,
    quiet: bool = False,
    fail_on: FailOn = "warn",
    changes: "Changes | None" = None,
    keep: Callable[[], int] | None = None,
) -> int:
    """Writes the files, keeps the run for the next one, shows the report, and returns the exit code.

    Text for people shows `changes` first, where they are given, and nothing at all where nothing changed. A
    monitor's format shows nothing where a file could not be written: its first line must not say OK then.
    """
    from dockerdiag.report import Verdict  # noqa: PLC0415

    code = report.exit_code
    if (fail_on == "fail" and code in (1, 3)) or (fail_on == "unknown" and code == 1):
        code = 0
    for path, one in prepared.files:
        whole = rendered(one, report, prepared.options(report, verbose=True))
        code = (EX_SOFTWARE if whole is None else write(path, whole.encode(errors="replace"))) or code
    if keep is not None:
        code = keep() or code
    chosen = prepared.chosen
    if code == EX_IOERR and chosen.failure is not None:
        return code
    for_people = chosen.name == "text"
    silent = quiet and report.verdict is Verdict.OK
    if changes is not None and for_people:
        silent = silent or not changes
    if not silent:
        options = replace(prepared.options(report, verbose=verbose), colour=_colour(), width=_width())
        if changes is not None and for_people:
            # In more words than the report keeps of them.
            shown = rendered(chosen, replace(report, changes=None), options)
            shown = None if shown is None else "\n".join((*told(changes), "", shown))
        else:
            shown = rendered(chosen, report, options)
        if shown is None:
            return EX_SOFTWARE
        code = print_result(shown) or code
    return code


def rendered(form: "Format", report: "Report", options: "RenderOptions") -> str | None:
    """The report in a format; None, and why on stderr, where another package's format fails, or it takes too long."""
    from dockerdiag.time_limit import TimeIsUp, TimeLimit  # noqa: PLC0415

    try:
        with TimeLimit(RENDERING_SECONDS).interrupting():
            return form.render(report, options)
    except TimeIsUp:
        say(f"the report in format {form.name} was not ready within {RENDERING_SECONDS:g} s")
        return None
    except Exception as error:
        if form.distribution == "dockerdiag":
            raise
        say(f"format {form.name}, which the package {form.distribution} brings, failed: {error}")
        return None


def print_result(text: str) -> int:
    """Prints to stdout; returns 0, or 74 where that cannot be."""
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except OSError as error:
        give_up_stdout(error)
        return EX_IOERR
    return 0


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width() -> int:
    return min(os.get_terminal_size(sys.stdout.fileno()).columns, 100) if sys.stdout.isatty() else 80


def write(path: Path, content: bytes) -> int:
    """Writes a file as a whole or not at all; an old one stays until the new one is complete."""
    import tempfile  # noqa: PLC0415

    try:
        # stat, since that obeys the kernel's protection of links in folders that everybody may write to.
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                return _write_special(path, content)
        target = path.resolve()
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as temporary:
            try:
                temporary.write(content)
                temporary.flush()
                os.fsync(temporary.fileno())
                # node_exporter reads its textfiles as a user of its own; they hold no name but networks'.
                os.fchmod(temporary.fileno(), 0o644 if target.suffix == ".prom" else 0o600)
                Path(temporary.name).replace(target)
            except BaseException:
                Path(temporary.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        say(f"cannot write {path}: {error.strerror}")
        return EX_IOERR
    return 0


def _write_special(path: Path, content: bytes) -> int:
    """Writes to a device or a FIFO, never waiting for somebody who would read it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "wb") as file:
        os.set_blocking(file.fileno(), True)
        file.write(content)
    return 0
