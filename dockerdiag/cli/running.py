"""Runs the command line, and turns whatever happens into an exit code."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from itertools import zip_longest

import typer

from dockerdiag.cli import catalogue, comparing, judging, revealing  # noqa: F401 - they add their commands
from dockerdiag.cli.application import app
from dockerdiag.cli.delivery import print_result
from dockerdiag.cli.errors import (
    EX_IOERR,
    EX_SOFTWARE,
    EX_USAGE,
    ClickException,
    NoReportError,
    UsageError,
    give_up_stdout,
    harmless,
    last_said,
    say,
    show_traceback,
)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COMPLETION = "_DOCKERDIAG_COMPLETE"
"""Set by a shell that completes a line: the exit code is then click's answer to it."""
_NO_PLACE = (errno.EBADF, errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)


class EndedBySignal(BaseException):
    """Somebody ends the program: what runs is cleared away on the way out. No check's fault, so no Exception."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


_SECONDS_TO_CLEAR_AWAY = 1.5
_received: list[tuple[int, float]] = []
"""The signals that ended this run, each with its time."""
_reminders: list[threading.Timer] = []


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, and never raises."""
    _received.clear()
    try:
        return _run(arguments)
    except EndedBySignal as ended:
        return ended.code
    finally:
        while _reminders:
            _reminders.pop().cancel()


def _run(arguments: list[str] | None) -> int:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's & leave it
            signal.signal(number, _end_by_signal)
    _buffer_stdout()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8, a name that is none
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code, reason = _outcome(arguments)
        if _received:
            # What Python was doing may have swallowed the exception, or made another of it: a class being defined does.
            raise EndedBySignal(_received[0][0])
    except NoReportError as error:
        code, reason = error.code, last_said()
        _tell_monitor(given, reason)
    else:
        if EX_USAGE <= code <= EX_IOERR:
            _tell_monitor(given, reason)
    return code


def _buffer_stdout() -> None:
    """Undoes PYTHONUNBUFFERED: without a buffer, what a full disk takes only the beginning of is lost in silence."""
    unbuffered: object = getattr(sys.stdout, "buffer", None)
    if isinstance(unbuffered, FileIO):
        sys.stdout = TextIOWrapper(
            BufferedWriter(unbuffered), encoding=sys.stdout.encoding, line_buffering=unbuffered.isatty()
        )


def _outcome(arguments: list[str] | None) -> tuple[int, str]:
    """The exit code, and in a sentence why there is no report where it says that there is none."""
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except ClickException as error:
        error.message = harmless(error.message)
        _show(error)
        return EX_USAGE if isinstance(error, UsageError) else EX_IOERR, error.format_message()
    except NoReportError:
        raise
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT, ""
    except SystemExit as ended:
        if not ended.code or _COMPLETION in os.environ:
            return int(ended.code or 0), ""
        # The one that raises it is click, where stdout is a broken pipe: its 1 would be a verdict.
        give_up_stdout(BrokenPipeError())
        return EX_IOERR, last_said()
    except OSError as error:
        if error.errno not in _NO_PLACE:
            return _own_error(error)
        give_up_stdout(error)
        return EX_IOERR, last_said()
    except MemoryError:
        raise  # what tells it must not need more
    except Exception as error:  # noqa: BLE001 - whatever went wrong, an admin gets a sentence
        return (0, "") if _received else _own_error(error)
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


_SWITCHES = "qvh"
"""Options of one letter that take no value, behind which another may follow at once."""


def _format_asked(arguments: Sequence[str]) -> str | None:
    """What `-f` says, also where the arguments as a whole make no sense."""
    asked = None
    for word, following in zip_longest(arguments, arguments[1:]):
        if word == "--":
            break
        if word == "--format":
            asked = following
        elif word.startswith("--format="):
            asked = word.removeprefix("--format=")
        elif word.startswith("-") and not word.startswith("--"):
            last = word[1:].lstrip(_SWITCHES)
            if last.startswith("f"):
                asked = last[1:] or following
    return asked


def _show(error: ClickException) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            error.show()


def _own_error(error: Exception) -> tuple[int, str]:
    say(f"an error of dockerdiag's own: {type(error).__name__}: {error}")
    reason = last_said()
    if os.environ.get("DOCKERDIAG_DEBUG"):
        show_traceback(error)
    else:
        say("run it again with DOCKERDIAG_DEBUG=1 to see where")
    return EX_SOFTWARE, reason


def _end_by_signal(number: int, frame: object) -> None:  # noqa: ARG001 - signal.signal's signature
    now = time.monotonic()
    if _received and now - _received[-1][1] < _SECONDS_TO_CLEAR_AWAY:
        return  # a second one must not keep it from clearing away
    _received.append((number, now))
    # Where the exception is swallowed, the program would go on.
    reminder = threading.Timer(_SECONDS_TO_CLEAR_AWAY, signal.raise_signal, (number,))
    reminder.daemon = True
    _reminders.append(reminder)
    reminder.start()
    raise EndedBySignal(number)
