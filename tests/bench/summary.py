"""Shows what was measured at the end of a test run: ratios are told, and never fail it."""

import pytest

MEASURED = "measured"
"""The property of a test's report that holds a line."""


def show(reporter: pytest.TerminalReporter) -> None:
    """Prints the lines of all tests, if there are any."""
    lines = [
        str(value)
        for report in reporter.stats.get("passed", ())
        for name, value in getattr(report, "user_properties", ())
        if name == MEASURED and report.when == "call"
    ]
    if lines:
        reporter.section("measured")
        for line in lines:
            reporter.line(line)
