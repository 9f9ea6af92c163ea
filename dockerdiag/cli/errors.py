"""How a run ends that gives no report: exit codes, and sentences on stderr."""

import contextlib
import os
import sys
import traceback
from typing import Any, NoReturn

import typer

EX_USAGE, EX_SOFTWARE, EX_IOERR = 64, 70, 74
"""sysexits.h: wrong usage, an error of our own, a file that cannot be written."""


class NoReportError(Exception):
    """The run ends without a report, with an exit code that others have as well; why was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


UsageError: Any = typer.BadParameter.__mro__[1]
ClickException: Any = typer.BadParameter.__mro__[2]
"""Click's classes; typer 0.26 and later carry a click of their own, earlier ones use the package."""

_said: list[str] = []


def say(text: str) -> None:
    """Tells the person at the terminal; stdout carries the result and nothing else."""
    line = harmless(text)
    _said.append(line)
    _to_stderr(f"dockerdiag: {line}")


def last_said() -> str:
    """What was told last, for a monitor that shows no stderr; empty where nothing was."""
    return _said[-1] if _said else ""


def show_traceback(error: BaseException) -> None:
    """The traceback of an error, as `say` would tell it."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        _to_stderr(harmless(line))


def harmless(text: str) -> str:
    """A line for a terminal: no credential, and no control and no direction mark of the host's names."""
    from dockerdiag.snapshot.secrets import mask_text  # noqa: PLC0415 - most runs say nothing

    return printable(mask_text(text).text)


def printable(text: str) -> str:
    """A line for a terminal of what holds no credential any more: no control, no direction mark."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def give_up_stdout(error: OSError) -> None:
    """Says that stdout cannot be written to; what its buffer still holds must not raise at exit."""
    if not isinstance(error, BrokenPipeError):
        say(f"cannot write to stdout: {error.strerror}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _to_stderr(line: str) -> None:
    if sys.stderr is None:  # closed; print would take stdout then
        return
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)  # noqa: T201 - stderr is where progress and errors go


def fail_usage(text: str) -> NoReturn:
    """Ends the run: what was asked for makes no sense."""
    raise typer.BadParameter(text)
