"""Runs dockerdiag from the one file that holds it; written so that any Python 3 can say what is wrong."""

import os
import sys

BUILT_FOR = ("@PYTHON@", "@MACHINE@")


def main():
    """Runs the command line, and returns its exit code."""
    here = ("%d.%d" % sys.version_info[:2], os.uname().machine)  # noqa: UP031
    if here != BUILT_FOR:
        message = "dockerdiag: this file is for Python %s on %s, and this is Python %s on %s\n"
        sys.stderr.write(message % (BUILT_FOR + here))
        return 70
    # Absolute, for the processes that it starts.
    sys.path[0] = os.path.abspath(sys.path[0])  # noqa: PTH100
    if sys.argv[1:] != ["--version"]:
        import native_modules  # noqa: PLC0415

        native_modules.install()
    from dockerdiag.__main__ import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
