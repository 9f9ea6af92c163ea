"""What is run once more, and what is printed at the end of a run."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.bench import summary as measured
from tests.kernel import summary

# A busy machine is no defect: a test that must be quick measures its own processor time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TIMED = tuple(Path("tests", name) for name in ("bench", "cli", "readers", "unbreakable"))
"""Tests with other processes whose moments the machine decides; so are those of real hosts, kernels and browsers."""
TIMED_MARKERS = ("lab", "kernel", "browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(config.rootpath)
        if any(map(item.get_closest_marker, TIMED_MARKERS)) or any(map(place.is_relative_to, TIMED)):
            # What did not end is not tried again: only the first time has a limit.
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=[r"Timeout \(>"]))


def _show_first_failures(reporter: pytest.TerminalReporter) -> None:
    """What passed the second time only is a defect to look for."""
    failed = {report.nodeid for report in reporter.stats.get("failed", ())}
    for report in reporter.stats.get("rerun", ()):
        if report.nodeid not in failed:
            reporter.section(f"failed at first: {report.nodeid}", sep="-")
            reporter.line(report.longreprtext)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _show_first_failures(terminalreporter)
    summary.show(terminalreporter)
    measured.show(terminalreporter)
