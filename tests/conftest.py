"""What is printed at the end of a run."""

import pytest
from hypothesis import settings

from tests.bench import summary as measured
from tests.kernel import summary

# A busy machine is no defect: a test that must be quick measures its own processor time.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summary.show(terminalreporter)
    measured.show(terminalreporter)
