"""Runs the command line, and turns whatever happens into an exit code."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import typer

from dockerdiag.cli import catalogue, comparing, judging, revealing  # noqa: F401 - they add their commands
from dockerdiag.cli.application import app
from dockerdiag.cli.delivery import print_result
from dockerdiag.cli.errors import (
    EX_IOERR,
    EX_SOFTWARE,
    EX_USAGE,
    ClickException,
    UsageError,
    harmless,
    last_said,
    say,
    show_traceback,
)


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, and never raises."""
    signal.signal(signal.SIGTERM, _end_by_signal)
    code, reason = _outcome(arguments)
    if EX_USAGE <= code <= EX_IOERR:
        _tell_monitor(sys.argv[1:] if arguments is None else arguments, reason)
    return code


def _outcome(arguments: list[str] | None) -> tuple[int, str]:
    """The exit code, and in a sentence why there is no report where it says that there is none."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except ClickException as error:
        error.message = harmless(error.message)
        error.show()
        return EX_USAGE if isinstance(error, UsageError) else EX_IOERR, error.format_message()
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT, ""
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EX_SOFTWARE, last_said()
    except Exception as error:  # noqa: BLE001 - whatever went wrong, an admin gets a sentence
        say(f"an error of dockerdiag's own: {type(error).__name__}: {error}")
        reason = last_said()
        if os.environ.get("DOCKERDIAG_DEBUG"):
            show_traceback(error)
        else:
            say("run it again with DOCKERDIAG_DEBUG=1 to see where")
        return EX_SOFTWARE, reason
    return code if isinstance(code, int) else 0, last_said()


def _tell_monitor(arguments: Sequence[str], reason: str) -> None:
    """A monitor shows stdout alone: it is told there that nothing is known, in the format that it asked for."""
    name = _format_asked(arguments)
    if name is None:
        return
    # What went wrong may be in the way here as well; the exit code says it then.
    with suppress(Exception):
        from dockerdiag.registry import formats  # noqa: PLC0415 - most runs do not come here

        asked = formats(plugins="--no-plugins" not in arguments)[0].get(name)
        if asked is not None and asked.failure is not None:
            print_result(asked.failure(reason or "dockerdiag ended without a report"))


def _format_asked(arguments: Sequence[str]) -> str | None:
    """What `-f` says, also where the arguments as a whole make no sense."""
    asked = None
    for at, word in enumerate(arguments):
        if word in ("-f", "--format"):
            asked = arguments[at + 1] if at + 1 < len(arguments) else None
        elif word.startswith("--format="):
            asked = word.removeprefix("--format=")
        elif word.startswith("-f") and not word.startswith("--"):
            asked = word.removeprefix("-f")
    return asked


def _end_by_signal(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - signal.signal's signature
    raise SystemExit(128 + number)
