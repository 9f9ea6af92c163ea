"""The long comparison: `python -m tests.kernel.long 50000` runs that many cases and writes docs/agreement.md.

Seeds are taken from 0 on (`--seed` to begin elsewhere), and the rule sets of an engine's own tests first, where they are
beside this checkout. It takes root, and makes network namespaces of its own. It exits with 1 if anything disagreed.
"""

import argparse
import datetime as dt
import platform
import sys
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from tests.kernel.comparison import Trial, compare
from tests.kernel.kernel import Kernel
from tests.kernel.namespaces import Namespaces, run
from tests.kernel.tally import RESULTS, Tally
from tests.kernel.trials import golden_trials, trials

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agreement.md"
_DIVISIONS = {
    "origin": "What the rules are made like",
    "tool": "The tools that loaded them",
    "table": "Families of tables that the packet may meet",
    "contents": "What is among the rules",
    "packet": "The packet",
    "way": "Its way",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=PAGE)
    options = parser.parse_args()
    began = time.monotonic()
    tally, last_seed = run_cases(options.cases, options.seed)
    seconds = time.monotonic() - began
    seeds = f"{options.seed} to {last_seed}"
    options.to.write_text(page(tally, seeds, seconds, options.cases), encoding="utf-8")
    print("\n".join((*tally.lines(), *tally.disagreements, *tally.refused)))
    return 1 if tally.disagreements else 0


def run_cases(cases: int, first_seed: int) -> tuple[Tally, int]:
    """Compares until there are as many cases; also tells the last seed that was used."""
    tally = Tally()
    last_seed = first_seed

    def made() -> Iterator[Trial]:
        nonlocal last_seed
        for last_seed in count(first_seed):
            yield from trials([last_seed])

    with Namespaces() as namespaces:
        kernel = Kernel(namespaces)
        kernel.open()
        for trial in chain(golden_trials(), made()):
            compare(kernel, [trial], tally)
            if tally.rule_sets % 100 == 0:
                print(f"{tally.cases} cases, {len(tally.disagreements)} disagree", file=sys.stderr)
            if tally.cases >= cases:
                break
        kernel.close()
    return tally, last_seed


def page(tally: Tally, seeds: str, seconds: float, asked: int) -> str:
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
        f"- Command: `python -m tests.kernel.long {asked}`, as root",
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
