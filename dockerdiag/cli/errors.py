"""How a run ends that gives no report: exit codes, and sentences on stderr."""

import sys
from typing import Any, NoReturn

import typer

EX_USAGE, EX_SOFTWARE, EX_IOERR = 64, 70, 74
"""sysexits.h: wrong usage, an error of our own, a file that cannot be written."""

UsageError: Any = typer.BadParameter.__mro__[1]
ClickException: Any = typer.BadParameter.__mro__[2]
"""Click's classes; typer 0.26 and later carry a click of their own, earlier ones use the package."""


def say(text: str) -> None:
    """Tells the person at the terminal; stdout carries the result and nothing else."""
    print(f"dockerdiag: {text}", file=sys.stderr)  # noqa: T201 - stderr is where progress and errors go


def fail_usage(text: str) -> NoReturn:
    """Ends the run: what was asked for makes no sense."""
    raise typer.BadParameter(text)
