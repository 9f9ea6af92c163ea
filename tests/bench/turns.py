"""Runs commands in turn and prints what each cost, as JSON: on the measured host, with its own Python.

`python3 turns.py RUNS NAME=COMMAND...`; a command's cost is that of all processes that it started and waited for. Where
there is more than one turn, another one before them is not counted. Memory is measured in one more run of each, since to
look for it takes time.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path


def cost(command):
    """Wall and processor seconds."""
    with Path(os.devnull).open("wb") as null:
        began = time.monotonic()
        process = subprocess.Popen(["/bin/sh", "-c", "exec " + command], stdout=null, stderr=null)
        _, _, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = 0
    return {"wall": wall, "processor": used.ru_utime + used.ru_stime}


def peak(command):
    """The most megabytes that the command and its children had at one moment, what they share counted once."""
    with Path(os.devnull).open("wb") as null:
        process = subprocess.Popen(["/bin/sh", "-c", "exec " + command], stdout=null, stderr=null)
        most = 0
        while process.poll() is None:
            most = max(most, sum(map(proportional, family(process.pid))))
            time.sleep(0.05)
    return most / 1024


def family(pid):
    """A process and all that descend from it."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def proportional(pid):
    """Kilobytes of a process, pages that several share divided among them; none of one that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def main():
    runs = int(sys.argv[1])
    commands = dict(argument.split("=", 1) for argument in sys.argv[2:])
    if runs > 1:
        for command in commands.values():
            cost(command)
    costs = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            costs[name].append(cost(command))
    for name, command in commands.items():
        most = peak(command)
        for one in costs[name]:
            one["megabytes"] = most
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
