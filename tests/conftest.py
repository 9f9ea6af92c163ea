"""What is printed at the end of a run."""

import pytest

from tests.kernel import summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summary.show(terminalreporter)
