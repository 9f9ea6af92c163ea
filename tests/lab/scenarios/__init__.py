"""Every scenario of the lab, found in the modules of this folder by their `SCENARIOS`."""

import importlib
import pkgutil
from pathlib import Path

from tests.lab.engines import SUITES
from tests.lab.scenario import Scenario

FIXTURES = Path(__file__).parents[2] / "fixtures"


def all_scenarios() -> tuple[Scenario, ...]:
    found: list[Scenario] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        found.extend(importlib.import_module(f"{__name__}.{module.name}").SCENARIOS)
    names = [scenario.name for scenario in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"scenarios of the same name: {', '.join(sorted(twice))}")
    return tuple(found)


def named(name: str) -> Scenario:
    for scenario in all_scenarios():
        if scenario.name == name:
            return scenario
    raise KeyError(f"no scenario {name!r}; there are: {', '.join(each.name for each in all_scenarios())}")


def suites_in_rotation(matrix: bool, offered: tuple[str, ...] = SUITES) -> list[tuple[Scenario, str]]:
    """What runs where: each scenario on one engine, in turn; founding ones, and a matrix, on all.

    The one engine is one on which the scenario was recorded, where there is such a recording.
    """
    plan: list[tuple[Scenario, str]] = []
    for index, scenario in enumerate(all_scenarios()):
        fitting = [suite for suite in scenario.suites if suite in offered]
        if fitting and not (matrix or scenario.founding):
            recorded = [
                suite for suite in fitting if (FIXTURES / f"{scenario.name}-{suite}.json.gz").exists()
            ]
            fitting = [(recorded or fitting)[index % len(recorded or fitting)]]
        plan.extend((scenario, suite) for suite in fitting)
    return plan
