"""Runs the real program in namespaces of its own, and looks at what it leaves behind."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

AFTER_THE_DEADLINE = 2.0
_MARK = "DOCKERDIAG_TEST_RUN"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts")


@dataclass(frozen=True)
class Ended:
    """What a run came to."""

    code: int
    out: str
    errors: str
    seconds: float
    timeout: float
    left: tuple[str, ...]
    """Processes of the run that are still there."""

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def unread(self) -> dict[str, str]:
        return {one["part"]: one["reason"] for one in self.report["unread"]}

    def in_good_order(self, *codes: int) -> "Ended":
        """As every run must end, whatever it met; `codes` are the exit codes that may be."""
        assert "Traceback" not in self.errors, self.errors
        assert "Exception ignored" not in self.errors, self.errors
        assert "an error of dockerdiag's own" not in self.errors, self.errors
        assert self.code in (codes or (3,)), (self.code, self.out[-2000:], self.errors)
        # What the interpreter needs to start is the machine's speed, not the program's.
        assert self.seconds <= self.timeout + AFTER_THE_DEADLINE + start_up(), self.seconds
        assert self.left == ()
        return self


def command(*arguments: object, timeout: float) -> list[str]:
    return [sys.executable, "-m", "dockerdiag", "--timeout", f"{timeout:g}", *map(str, arguments)]


def check(
    *arguments: object,
    timeout: float = 20,
    setup: str = "",
    namespaces: Sequence[str] = ("--mount", "--net"),
    shell: str = "",
    **environment: str,
) -> Ended:
    """Runs a check in new namespaces, after the shell lines of `setup`; `shell` goes behind the command."""
    program = command(*arguments, timeout=timeout)
    whole = [*program]
    if namespaces or setup or shell:
        script = f"set -e\n{setup}\n" + (f'"$@" {shell}' if shell else 'exec "$@"')
        whole = ["sh", "-c", script, "sh", *program]
    if namespaces:
        whole = [
            "unshare",
            *namespaces,
            *(["--propagation", "private"] if "--mount" in namespaces else []),
            *whole,
        ]
    return finish(start(whole, **environment), timeout)


@dataclass(frozen=True)
class Started:
    """A run that goes on."""

    process: subprocess.Popen[str]
    mark: str
    began: float


def start(whole: Sequence[str], **environment: str) -> Started:
    mark = uuid.uuid4().hex
    began = time.monotonic()
    process = subprocess.Popen(
        whole,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**_environment(), **environment, _MARK: mark},
        start_new_session=True,
    )
    return Started(process, mark, began)


def finish(started: Started, timeout: float) -> Ended:
    try:
        out, errors = started.process.communicate(timeout=timeout + 60)
    except subprocess.TimeoutExpired:
        started.process.kill()
        raise
    seconds = time.monotonic() - started.began
    return Ended(started.process.returncode, out, errors, seconds, timeout, left(started.mark))


def left(mark: str) -> tuple[str, ...]:
    """Command lines of processes that inherited a run's environment; given a moment to end."""
    for _ in range(20):
        found = tuple(_marked(mark))
        if not found:
            return ()
        time.sleep(0.1)
    return found


def _marked(mark: str) -> list[str]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def _environment() -> dict[str, str]:
    dropped = ("DOCKER_", "XDG_", "PYTHONIOENCODING")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | {
        "DOCKER_HOST": "unix:///nonexistent/docker.sock"
    }


@cache
def start_up() -> float:
    """Seconds that the program takes on this machine to import, judge and print what it carries itself."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "dockerdiag", "demo"], capture_output=True, check=False)
    return time.monotonic() - began
