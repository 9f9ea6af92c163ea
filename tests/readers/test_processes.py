"""Which processes are daemons, and which only look like one."""

import shutil
import subprocess
import sys
from pathlib import Path

from dockerdiag.readers.processes import read_daemons

FORKS = """
import os, sys
open("/proc/self/comm", "w").write("dockerd")
child = os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""
WAITS = 'echo "$$"; read nothing'


def daemons() -> set[int]:
    return {one.pid for one in read_daemons()}


def test_a_daemons_child_that_has_not_executed_its_program_yet_is_no_second_daemon() -> None:
    command = [sys.executable, "-c", FORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        child = int(daemon.stdout.readline())
        assert Path(f"/proc/{child}/comm").read_text() == "dockerd\n"
        assert {daemon.pid, child} & daemons() == {daemon.pid}


def test_a_script_of_the_daemons_name_that_waits_for_it_is_none(tmp_path: Path) -> None:
    script, program = tmp_path / "dockerd", tmp_path / "real" / "dockerd"
    program.parent.mkdir()
    shutil.copy("/bin/sh", program)
    script.write_text(f"#!/bin/sh\n{program} -c '{WAITS}'\necho ended\n")
    script.chmod(0o755)
    with subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as wrapper:
        assert wrapper.stdout is not None
        daemon = int(wrapper.stdout.readline())
        assert Path(f"/proc/{wrapper.pid}/comm").read_text() == "dockerd\n"
        assert {wrapper.pid, daemon} & daemons() == {daemon}
