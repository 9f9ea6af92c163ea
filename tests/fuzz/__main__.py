"""`python -m tests.fuzz [TARGET]...`: the long run of the fuzzers, a table of figures on stdout.

By default a million inputs for each target; `--keep` keeps those that break something.
"""

import argparse
import sys
from pathlib import Path

from tests.fuzz.long import run
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each target")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each target at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that break something")
    arguments = parser.parse_args()
    chosen = [TARGETS[name] for name in arguments.targets or TARGETS]
    print("| target | inputs | seconds | inputs/s | slowest input | bugs |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    broken = 0
    for target in chosen:
        figures = run(target, arguments.inputs, arguments.seconds, arguments.seed, arguments.keep)
        print(figures, flush=True)
        broken += len(figures.broken)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
