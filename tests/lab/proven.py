"""Makes docs/proven.md: which cause is proven on which engine, from what the scenarios' runs have kept.

python -m tests.lab.proven            writes the page
python -m tests.lab.proven --check    exits 1 where it is out of date
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.lab import engine29, engine29_cases, results
from tests.lab.engines import SUITES
from tests.lab.results import Results
from tests.lab.scenario import Hit, Scenario
from tests.lab.scenarios import all_scenarios
from tests.lab.traced import CASES

DOCS = Path(__file__).parents[2] / "docs"
CAUSES = DOCS / "causes.toml"
PAGE = DOCS / "proven.md"

HEAD = """# What is proven where

Made by `python -m tests.lab.proven` from what the lab's runs have kept in `tests/lab/results.json`. Each scenario is a
real Docker host on which the fault is made for real: *stopped* means that its containers' traffic was measured and did
not get through, *named* that the report's cause is this one, *mended* that the remedy, run as printed, brought the
traffic back and the next run said ok, *undone* that its undo brought the fault back, *lasts* that the remedy held over
a reboot. A fault that stops nothing yet, a time bomb or a weakness, is *named* while traffic *flows*.

"""
STAND_IN = """None of the three suites has engine 29: sid's own stands in for it. Real are the host, its kernel and systemd,
containers, networks, links and docker-proxy, and all traffic; the rules are those that engine 29.7.2 has printed in its
own tests. Not real are who loads them (a script, when the engine starts and when a container does), and the version and
the firewall backend that the engine's API tells."""


def catalogue() -> list[dict[str, Any]]:
    """The groups of causes, in their order, as docs/causes.toml has them."""
    groups: list[dict[str, Any]] = tomllib.loads(CAUSES.read_text())["group"]
    return groups


def page(kept: Results) -> str:
    """The page for these results."""
    scenarios = {scenario.name: scenario for scenario in all_scenarios()}
    parts = (
        _causes(scenarios, kept),
        _pairs(kept),
        _traced(kept),
        _healthy(scenarios.values(), kept),
        _engine_29(kept),
    )
    return HEAD + "\n".join(line for part in parts for line in part) + "\n"


def _causes(scenarios: dict[str, Scenario], kept: Results) -> Iterator[str]:
    for group in catalogue():
        yield from (
            f"## {group['title']}",
            "",
            _row("cause", "check", "scenario", *SUITES),
            _row(*["---"] * 6),
        )
        for cause in group["causes"]:
            head = f"**{cause['name']}**: {cause['says']}"
            if not cause.get("scenarios"):
                yield _row(head, "", _elsewhere(cause), "", "", "")
            for name in cause.get("scenarios", ()):
                found = scenarios[name].cause
                yield _row(head, f"`{found.check}`" if found else "", name, *_cells(name, kept))
                head = ""
        yield ""


def _elsewhere(cause: dict[str, Any]) -> str:
    said = [f"*{cause['elsewhere']}*"] if "elsewhere" in cause else []
    return "; ".join([*said, f"not in the lab: {cause['unproven']}"])


def _pairs(kept: Results) -> Iterator[str]:
    from tests.lab.scenarios import pairs  # noqa: PLC0415 - a module of scenarios, here for being a group

    yield from (
        "## Two at once",
        "",
        "The one that bites first is the cause, the other is told beside it.",
        "",
    )
    yield from (_row("hosts", "cause named", *SUITES), _row(*["---"] * 5))
    for scenario in pairs.SCENARIOS:
        check = f"`{scenario.cause.check}`" if scenario.cause else ""
        yield _row(scenario.name, check, *_cells(scenario.name, kept))
    yield ""


def _traced(kept: Results) -> Iterator[str]:
    yield from (
        "## Traced",
        "",
        "What `dockerdiag trace` names to the rule or route; the healthy twin of each is delivered.",
        "",
    )
    yield from (_row("hosts", "ends at", *SUITES), _row(*["---"] * 5))
    for case in CASES:
        yield _row(case.name, " … ".join(case.at).strip(), *_cells(f"trace: {case.name}", kept))
    yield ""


def _healthy(scenarios: Iterable[Scenario], kept: Results) -> Iterator[str]:
    yield from ("## Healthy hosts", "", "Odd and right: traffic flows, and dockerdiag raises no alarm.", "")
    yield from (_row("hosts", *SUITES), _row(*["---"] * 4))
    for scenario in scenarios:
        if scenario.hits is Hit.NOTHING and scenario.verdict == "ok":
            yield _row(scenario.name, *_cells(scenario.name, kept))


def _engine_29(kept: Results) -> Iterator[str]:
    backends = engine29.BACKENDS
    yield from ("", "## Engine 29, by a stand-in", "", STAND_IN, "")
    yield from (_row("hosts", "cause named", *backends), _row(*["---"] * 4))
    # What is made with either backend has one line.
    for scenario in {case.scenario.name: case.scenario for case in engine29_cases.CASES}.values():
        check = f"`{scenario.cause.check}`" if scenario.cause else ""
        yield _row(scenario.name, check, *_cells(f"engine 29: {scenario.name}", kept, backends))


def _cells(name: str, kept: Results, columns: Iterable[str] = SUITES) -> Iterator[str]:
    for suite in columns:
        steps = kept.get(name, {}).get(suite)
        yield "" if steps is None else ", ".join(step.removeprefix("traffic ") for step in steps) or "failed"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Writes or compares; returns the exit code."""
    text = page(results.load())
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
