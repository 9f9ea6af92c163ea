"""Runs commands in turn and prints what each cost, as JSON: on the measured host, with its own Python.

`python3 turns.py RUNS NAME=COMMAND...`; a command's cost is that of all processes that it started and waited for. Where
there is more than one turn, another one before them is not counted.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def cost(command):
    """Wall and processor seconds, and the megabytes of its largest process."""
    with Path(os.devnull).open("wb") as null:
        began = time.monotonic()
        process = subprocess.Popen(["/bin/sh", "-c", "exec " + command], stdout=null, stderr=null)
        _, _, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = 0
    return {"wall": wall, "processor": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024}


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
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
