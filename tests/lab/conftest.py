"""Where the lab can run; elsewhere its tests are skipped, or fail if DOCKERDIAG_LAB_REQUIRED is set."""

import os
import shutil
from pathlib import Path

import pytest

from tests.lab import cgroups
from tests.lab.results import Results, keep

TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare", "ip", "strace")


def why_not() -> str | None:
    """What keeps this machine from booting a lab host; None if nothing does."""
    if os.geteuid() != 0:
        return "the lab needs root: it makes namespaces and boots hosts in them"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"the lab needs {', '.join(missing)} (apt: mmdebstrap systemd-container util-linux iproute2 strace)"
    if cgroups.unified_hierarchy() is None:
        return cgroups.HIDDEN
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    if reason and not os.environ.get("DOCKERDIAG_LAB_REQUIRED"):
        for item in items:
            if item.get_closest_marker("lab"):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With several workers only the one that collects their reports keeps anything."""
    told = dict(report.user_properties)
    results = os.environ.get("DOCKERDIAG_LAB_RESULTS")
    if (
        not results
        or "scenario" not in told
        or report.when != "call"
        or os.environ.get("PYTEST_XDIST_WORKER")
    ):
        return
    steps = [str(value) for name, value in report.user_properties if name == "proven"]
    run: Results = {str(told["scenario"]): {str(told["suite"]): steps if report.passed else []}}
    keep(run, Path(results))
