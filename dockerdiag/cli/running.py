"""Runs the command line, and turns whatever happens into an exit code."""

import os
import signal
import traceback
from typing import NoReturn

import typer

from dockerdiag.cli import catalogue, comparing, judging, revealing  # noqa: F401 - they add their commands
from dockerdiag.cli.application import app
from dockerdiag.cli.errors import EX_IOERR, EX_SOFTWARE, EX_USAGE, ClickException, UsageError, say


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, and never raises."""
    signal.signal(signal.SIGTERM, _end_by_signal)
    try:
        code = app(args=arguments, standalone_mode=False)
    except ClickException as error:
        error.show()
        return EX_USAGE if isinstance(error, UsageError) else EX_IOERR
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EX_SOFTWARE
    except Exception as error:  # noqa: BLE001 - whatever went wrong, an admin gets a sentence
        say(f"an error of dockerdiag's own: {type(error).__name__}: {error}")
        if os.environ.get("DOCKERDIAG_DEBUG"):
            traceback.print_exc()
        else:
            say("run it again with DOCKERDIAG_DEBUG=1 to see where")
        return EX_SOFTWARE
    return code if isinstance(code, int) else 0


def _end_by_signal(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - signal.signal's signature
    raise SystemExit(128 + number)
