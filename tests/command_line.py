"""Runs the command line as its users do, over recorded hosts."""

import os
import subprocess
import sys
from functools import cache

from tests.recorded import FOLDER

BROKEN = FOLDER / "docker-user-drops-replies-trixie.json.gz"
DEGRADED = FOLDER / "network-unmasqueraded-trixie.json.gz"
OK = FOLDER / "plain-trixie.json.gz"
UNKNOWN = FOLDER / "user-without-root-trixie.json.gz"


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dockerdiag", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@cache
def runs_for_everybody() -> bool:
    """Whether another user may run this interpreter."""
    become = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    program = (*become, sys.executable, "-m", "dockerdiag", "--version")
    return subprocess.run(program, capture_output=True, check=False).returncode == 0
