"""Runs the trials of some seeds: `python -m tests.kernel.once SEED…` prints what disagrees, and what is unknown."""

import sys

from tests.kernel.comparison import compare
from tests.kernel.kernel import Kernel
from tests.kernel.namespaces import Namespaces
from tests.kernel.tally import Tally
from tests.kernel.trials import trials


def main(seeds: list[int]) -> int:
    """The number of disagreements."""
    tally = Tally()
    with Namespaces() as namespaces:
        kernel = Kernel(namespaces)
        kernel.open()
        compare(kernel, trials(seeds), tally)
        kernel.close()
    for line in (*tally.lines(), *tally.disagreements, *tally.refused):
        print(line)
    return len(tally.disagreements)


if __name__ == "__main__":
    sys.exit(main([int(seed) for seed in sys.argv[1:]]))
