"""The command line. Each command imports what it needs when it runs."""

from dockerdiag.cli.running import run

__all__ = ["run"]
