"""Shows what was compared with the kernel at the end of a test run, whichever worker ran which part."""

from collections.abc import Callable

import pytest

from tests.kernel.tally import Tally

_PROPERTY = "agreement with the kernel"
Recorder = Callable[[Tally], None]


def recorder(record_property: Callable[[str, object], None]) -> Recorder:
    """Makes a tally part of a test's report."""
    return lambda tally: record_property(_PROPERTY, tally.as_json())


def show(reporter: pytest.TerminalReporter) -> None:
    """Prints the sum of all tallies, if there are any."""
    total = Tally()
    for outcome in ("passed", "failed"):
        for report in reporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == _PROPERTY and report.when == "call":
                    total.add(Tally.from_json(value))
    if total.cases:
        reporter.section("agreement with the kernel")
        for line in total.lines():
            reporter.line(line)
