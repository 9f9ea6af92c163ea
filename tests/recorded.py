"""The recorded snapshots, and the scenario that each was made by."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import checks
from dockerdiag.report import Report
from dockerdiag.snapshot import Snapshot
from dockerdiag.snapshot.store import load
from tests.lab.scenario import Scenario
from tests.lab.scenarios import all_scenarios

FOLDER = Path(__file__).parent / "fixtures"


class Recorded(NamedTuple):
    """One snapshot on disk."""

    path: Path
    scenario: Scenario
    suite: str

    @property
    def snapshot(self) -> Snapshot:
        return load(self.path)

    def report(self) -> Report:
        """Judged as the scenario asks: its `-c` and no other option."""
        return _judged(self.path, self.scenario.arguments)


@cache
def _judged(path: Path, arguments: tuple[str, ...]) -> Report:
    containers = [arguments[at + 1] for at, word in enumerate(arguments) if word == "-c"]
    return diagnose(load(path), Asked.parse(containers=containers), *checks())


def recorded() -> list[Recorded]:
    by_name = {scenario.name: scenario for scenario in all_scenarios()}
    found = []
    for path in sorted(FOLDER.glob("*.json.gz")):
        name, _, suite = path.name.removesuffix(".json.gz").rpartition("-")
        found.append(Recorded(path, by_name[name], suite))
    return found


def name_of(one: Recorded) -> str:
    return f"{one.scenario.name}-{one.suite}"
