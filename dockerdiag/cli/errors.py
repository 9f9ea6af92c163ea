"""How a run ends that gives no report: exit codes, and sentences on stderr."""

import sys
import traceback
from typing import Any, NoReturn

import typer

EX_USAGE, EX_SOFTWARE, EX_IOERR = 64, 70, 74
"""sysexits.h: wrong usage, an error of our own, a file that cannot be written."""

UsageError: Any = typer.BadParameter.__mro__[1]
ClickException: Any = typer.BadParameter.__mro__[2]
"""Click's classes; typer 0.26 and later carry a click of their own, earlier ones use the package."""

_said: list[str] = []


def say(text: str) -> None:
    """Tells the person at the terminal; stdout carries the result and nothing else."""
    line = harmless(text)
    _said.append(line)
    print(f"dockerdiag: {line}", file=sys.stderr)  # noqa: T201 - stderr is where progress and errors go


def last_said() -> str:
    """What was told last, for a monitor that shows no stderr; empty where nothing was."""
    return _said[-1] if _said else ""


def show_traceback(error: BaseException) -> None:
    """The traceback of an error, as `say` would tell it."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        print(harmless(line), file=sys.stderr)  # noqa: T201


def harmless(text: str) -> str:
    """A line for a terminal: no credential, and no control and no direction mark of the host's names."""
    from dockerdiag.snapshot.secrets import mask_text  # noqa: PLC0415 - most runs say nothing

    masked = mask_text(text).text
    return "".join(character if character.isprintable() else "\ufffd" for character in masked)


def fail_usage(text: str) -> NoReturn:
    """Ends the run: what was asked for makes no sense."""
    raise typer.BadParameter(text)
