"""The console script. `--version` answers before anything heavy is imported."""

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from dockerdiag.version import __version__


def main() -> int:
    """Runs the command line and ends with its exit code; returns that of `--version`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the command line takes signals itself: ends with the same code, and without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_standard_descriptors()
    if sys.argv[1:] == ["--version"]:
        try:
            print(f"dockerdiag {__version__}", flush=True)  # noqa: T201 - the version is the result
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 74
        return 0
    # A run makes objects that stay, hardly any garbage: by default it is looked for after every few hundred of them.
    gc.set_threshold(20_000)
    try:
        from dockerdiag.cli import run  # noqa: PLC0415 - typer costs more than all of --version

        code = run()
    except Exception as error:  # noqa: BLE001 - no module that is missing, and no lack of memory, may look like a verdict
        _give_up(error)
    return _end(code)


def _give_up(error: Exception) -> NoReturn:
    """Ends with the code of an error of our own, in a sentence that takes neither modules nor much memory."""
    said = "not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
    with suppress(OSError):
        os.write(2, f"dockerdiag: it cannot run: {said}\n".encode(errors="replace"))
    os._exit(70)


def _end(code: int) -> NoReturn:
    """Ends at once: to take a run's objects apart takes a tenth of it."""
    atexit._run_exitfuncs()  # noqa: SLF001 - os._exit leaves them out, and nothing else runs them
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):  # what could not be written was told, or cannot be
                stream.flush()
    os._exit(code)


def _open_standard_descriptors() -> None:
    """Gives the streams that were closed a place: the next file or pipe would take their numbers otherwise."""
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            # Read-only, so that to write the result there is refused and said.
            opened = os.open(os.devnull, os.O_RDONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            if number == 1:
                sys.stdout = os.fdopen(1, "w", closefd=False)


if __name__ == "__main__":
    sys.exit(main())
