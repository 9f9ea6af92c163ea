"""The long comparison: `python -m tests.kernel.long 50000` runs that many cases and writes docs/agreement.md.

Seeds are taken from 0 on (`--seed` to begin elsewhere) by some workers in turn, and the rule sets of an engine's own tests
first, where they are beside this checkout. One case in fifty is a whole walk through a host whose routes, policy rules and
switches are random too. It takes root, and makes network namespaces of its own. It exits with 1 if anything disagreed, or
a family was unknown too often.
"""

import argparse
import datetime as dt
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, count
from multiprocessing import get_context
from pathlib import Path

from tests.kernel.comparison import Trial, compare
from tests.kernel.kernel import Kernel
from tests.kernel.namespaces import Namespaces, run
from tests.kernel.tally import RESULTS, Tally
from tests.kernel.trials import golden_trials, trials
from tests.kernel.walk_comparison import compare_walks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agreement.md"
_DIVISIONS = {
    "origin": "What the rules are made like",
    "tool": "The tools that loaded them",
    "table": "Families of tables that the packet may meet",
    "contents": "What is among the rules",
    "packet": "The packet",
    "way": "Its way",
    "changed": "What is changed about the hosts of whole walks",
}
WHOLE_WALKS = 50
"""One case in so many is a whole walk, which takes a host of its own, and waits for answers that do not come."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--workers", type=int, default=4, help="most of the time is spent waiting for packets"
    )
    parser.add_argument("--to", type=Path, default=PAGE)
    options = parser.parse_args()
    began = time.monotonic()
    tally, seeds = Tally(), []
    shares = [
        options.cases // options.workers + (n < options.cases % options.workers)
        for n in range(options.workers)
    ]
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        runs = [
            pool.submit(run_cases, share, options.seed + number, options.workers, golden=number == 0)
            for number, share in enumerate(shares)
        ]
        for number, run_of_one in enumerate(runs):
            part, last_seed = run_of_one.result()
            tally.add(part)
            seeds.append(f"{options.seed + number} to {last_seed}")
    seconds = time.monotonic() - began
    steps = f" in steps of {options.workers}" if options.workers > 1 else ""
    command = f"python -m tests.kernel.long {' '.join(sys.argv[1:])}"
    options.to.write_text(page(tally, ", ".join(seeds) + steps, seconds, command), encoding="utf-8")
    print("\n".join((*tally.lines(), *tally.disagreements, *tally.refused)))
    doubtful = tally.too_often_unknown()
    for division, family in doubtful:
        print(f"unknown too often: {division} {family}")
    return 1 if tally.disagreements or doubtful else 0


def run_cases(cases: int, first_seed: int, step: int, *, golden: bool) -> tuple[Tally, int]:
    """Compares until there are as many cases; also tells the last seed that was used."""
    tally = Tally()
    last_seed = first_seed

    def made() -> Iterator[Trial]:
        nonlocal last_seed
        for last_seed in count(first_seed, step):
            yield from trials([last_seed])

    compare_walks(f"ddl{os.getpid()}", count(first_seed, step), tally, cases // WHOLE_WALKS)
    with Namespaces() as namespaces:
        kernel = Kernel(namespaces)
        kernel.open()
        for number, trial in enumerate(chain(golden_trials() if golden else (), made()), 1):
            before = len(tally.disagreements)
            compare(kernel, [trial], tally)
            news = tally.disagreements[before:]
            if number % 100 == 0:
                news.append(f"{tally.cases} of {cases}, {len(tally.disagreements)} disagree")
            for line in news:
                print(line, file=sys.stderr, flush=True)
            if tally.cases >= cases:
                break
        kernel.close()
    return tally, last_seed


def page(tally: Tally, seeds: str, seconds: float, command: str) -> str:
    """The figures of one run, in Markdown."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    versions = [f"Linux {platform.release()}", run("nft", "--version"), run("iptables", "--version")]
    tools = ", ".join(
        (*(text.strip() for text in versions), run("ipset", "--version").splitlines()[0].strip())
    )
    agreed, unknown, disagreed = (tally.results[result] for result in RESULTS)
    lines = [
        "# Agreement with the kernel",
        "",
        "What dockerdiag predicts for a packet is compared with what the kernel then does to it. A case is one packet",
        "through one rule set, in network namespaces: the rules are loaded with their own tools and read back as from",
        "any host; the packet's verdict, the rule that drops it, the place where it arrives and its addresses there are",
        "predicted; then it is sent, and `nft`'s trace (for iptables-legacy the rules' counters) and the receivers tell",
        "what it met. The answer of a packet that arrives is the next case.",
        "",
        "One case in fifty is a whole walk instead: a host with a container, a bridge and two uplinks, whose rules, NAT,",
        "routes, policy rules and sysctls are random together, is read as any host is. Whether the datagram arrives, and",
        "its answer, must be as the walk says, and the rule that it names must have counted the packet.",
        "",
        f"- Command: `{command}`, as root",
        f"- Date: {today}; {seconds / 60:.0f} minutes",
        f"- {tools}",
        f"- Seeds: {seeds}, and the engine's own rule sets where the table names them",
        f"- Cases: {tally.cases}, through {tally.rule_sets} rule sets ({len(tally.refused)} more were refused by the tools)",
        f"- **Agreed {agreed}, unknown {unknown}, disagreed {disagreed}**",
        "",
        "A case counts in every family that it belongs to, so the tables overlap.",
    ]
    rows = list(tally.rows())
    for division, title in _DIVISIONS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| family | agreed | unknown | disagreed |",
            "| --- | ---: | ---: | ---: |",
        ]
        for of, family, *counts in rows:
            if of == division:
                lines.append(f"| {family} | " + " | ".join(str(number) for number in counts) + " |")
    lines += ["", "## Why cases were unknown", ""]
    lines += ["| cases | reason |", "| ---: | --- |"] if tally.doubts else ["None was."]
    lines += [f"| {number} | {doubt} |" for doubt, number in tally.doubts.most_common()]
    lines += [
        "",
        "[What is unknown by design](packet.md#what-is-unknown-by-design) lists more than the generator makes.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
