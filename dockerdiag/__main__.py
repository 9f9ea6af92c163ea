"""The console script. `--version` answers before anything heavy is imported."""

import sys

from dockerdiag.version import __version__


def main() -> int:
    """Runs the command line and returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        print(f"dockerdiag {__version__}")  # noqa: T201 - the version is the result
        return 0
    from dockerdiag.cli import run  # noqa: PLC0415 - typer costs more than all of --version

    return run()


if __name__ == "__main__":
    sys.exit(main())
