"""Measures parsing and walking a host of 50,000 rules against printing these: `python -m tests.bench.scale`.

The rules are loaded for real in a network namespace of its own, which takes root. Times are processor time, which other
work on the machine disturbs least; the best of some runs, in which printing, and parsing with walking, take turns. It
prints a table and writes it into docs/performance.md.
"""

import argparse
import datetime as dt
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.rules import Size, iptables_rules, nft_rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_BACKENDS: dict[str, tuple[Callable[[Size], str], tuple[str, ...]]] = {
    "iptables-nft": (iptables_rules, ("iptables-nft-restore",)),
    "nftables": (nft_rules, ("nft", "-f", "-")),
}
_SMALL, _LARGE = Size(50), Size(500)


@dataclass(frozen=True, slots=True)
class Result:
    """The best times of one backend and size, in seconds."""

    backend: str
    size: Size
    rules: int
    chains: int
    printing: float
    parse: float
    likeness: float
    """Telling which containers are alike and need one walk only."""
    walks: float
    total: float
    megabytes: float


def measure(backend: str, size: Size, repeats: int) -> Result:
    """Loads the rules, prints them, parses them and walks."""
    make, loader = _BACKENDS[backend]
    with _namespace() as name, tempfile.TemporaryDirectory() as folder:
        _inside(name, *loader, text=make(size))
        printing, runs = [], []
        for _ in range(repeats):
            began = _processor_time()
            nft = _inside(name, "nft", "-j", "list", "ruleset")
            saved = _inside(name, "iptables-nft-save", "-c")
            printing.append(_processor_time() - began)
            Path(folder, "nft").write_text(nft, encoding="utf-8")
            Path(folder, "iptables_nft").write_text(saved, encoding="utf-8")
            runs.append(
                json.loads(_run(sys.executable, "-m", "tests.bench.measure", folder, str(size.networks)))
            )
    return Result(
        backend=backend,
        size=size,
        rules=int(runs[0]["rules"]),
        chains=int(runs[0]["chains"]),
        printing=min(printing),
        parse=min(run["parse"] for run in runs),
        likeness=min(run["likeness"] for run in runs),
        walks=min(run["walks"] for run in runs),
        total=min(run["parse"] + run["likeness"] + run["walks"] for run in runs),
        megabytes=max(run["megabytes"] for run in runs),
    )


def _processor_time() -> float:
    """What the tools that were run have used, the kernel's part with it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _namespace() -> Iterator[str]:
    name = f"ddb{os.getpid()}"
    _run("ip", "netns", "add", name)
    try:
        yield name
    finally:
        _run("ip", "netns", "del", name)


def _inside(name: str, *command: str, text: str | None = None) -> str:
    return _run("ip", "netns", "exec", name, *command, text=text)


def _run(*command: str, text: str | None = None) -> str:
    return subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, check=True).stdout


def table(results: list[Result]) -> list[str]:
    """The figures in Markdown."""
    columns = (
        "rules by", "rules", "chains", "networks", "containers", "printing", "parsing", "telling alike", "walks",
        "walks / printing", "parsing and walks / printing", "all three / printing", "peak memory",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for one in results:
        counts = (one.rules, one.chains, one.size.networks, one.size.containers)
        seconds = (one.printing, one.parse, one.likeness, one.walks)
        ratios = (part / one.printing for part in (one.walks, one.parse + one.walks, one.total))
        cells = [one.backend, *(str(count) for count in counts), *(f"{second:.2f} s" for second in seconds)]
        cells += [*(f"{ratio:.2f}" for ratio in ratios), f"{one.megabytes:.0f} MB"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def growth(results: list[Result]) -> list[str]:
    """With which power of the number of rules the time grows."""
    lines = []
    for backend in _BACKENDS:
        small, large = (one for one in results if one.backend == backend)
        exponent = math.log(large.total / small.total) / math.log(large.rules / small.rules)
        lines.append(f"- {backend}: all three grow with the power {exponent:.2f} of the number of rules")
    return lines


def page(results: list[Result], repeats: int) -> str:
    """docs/performance.md."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    nft = _run("nft", "--version").strip()
    return "\n".join(
        [
            "# Performance",
            "",
            "How long dockerdiag takes to parse the rules of a large host and to walk a packet and its reply for every",
            "container, measured against the time in which `nft -j list ruleset` and `iptables-nft-save -c` print the same",
            "rules. The rules are loaded for real in a network namespace, in the shape that an engine gives them, with",
            "policy rules for each container beside them. No two containers are alike: that is found out first (telling",
            "alike), then each is walked. Links, addresses and routes of the host are made up, and the containers' own",
            "namespaces hold no rules.",
            "",
            "- Command: `python -m tests.bench.scale`, as root",
            f"- Date: {today}; processor time, the best of {repeats} runs in turns; peak memory is the highest of them",
            f"- Linux {platform.release()}, {nft}, Python {platform.python_version()}, {os.cpu_count()} processors",
            "",
            *table(results),
            "",
            *growth(results),
        ]
    ) + "\n"  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--to", type=Path, default=PAGE)
    options = parser.parse_args()
    results = [measure(backend, size, options.repeats) for backend in _BACKENDS for size in (_SMALL, _LARGE)]
    # What other benchmarks have written into the page stays.
    _, heading, others = options.to.read_text(encoding="utf-8").partition("\n## ")
    options.to.write_text(page(results, options.repeats) + heading + others, encoding="utf-8")
    print("\n".join((*table(results), "", *growth(results))))


if __name__ == "__main__":
    main()
