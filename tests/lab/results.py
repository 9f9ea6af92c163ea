"""What the scenarios have proven: kept in a file, from which docs/make.py makes docs/proven.md."""

import json
from enum import StrEnum
from pathlib import Path

KEPT = Path(__file__).with_name("results.json")


class Step(StrEnum):
    """What one run on one engine has seen, in its order."""

    FLOWS = "traffic flows"
    STOPPED = "traffic stopped"
    SILENT = "no alarm"
    NAMED = "named"
    MENDED = "mended"
    UNDONE = "undone"
    LASTS = "lasts"


Results = dict[str, dict[str, list[str]]]
"""By scenario and suite: the steps, in order; empty for a run that failed."""


def load(file: Path = KEPT) -> Results:
    """What the file holds; nothing where it does not exist."""
    results: Results = json.loads(file.read_text()) if file.exists() else {}
    return results


def keep(new: Results, file: Path = KEPT) -> None:
    """Puts the results of new runs in the place of older ones."""
    results = load(file)
    for scenario, by_suite in new.items():
        results.setdefault(scenario, {}).update(by_suite)
    ordered = {name: dict(sorted(results[name].items())) for name in sorted(results)}
    file.write_text(json.dumps(ordered, indent=1) + "\n")
