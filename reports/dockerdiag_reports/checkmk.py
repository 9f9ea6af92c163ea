"""The report as the line of a Checkmk local check: state, service, metrics, text."""

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import EXIT_CODES, Report, Verdict
from dockerdiag_reports.layout import cut
from dockerdiag_reports.monitoring import exit_code, plain, tally, why
from dockerdiag_reports.outline import outline
from dockerdiag_reports.untrusted import clean, line

_TEXT = 240
"""Columns of the text: a line of the service list."""


def render(report: Report, options: RenderOptions) -> str:
    """One line, whose state is the exit code."""
    metrics = "|".join(f"{name}={count}" for name, count in tally(report).items())
    text = why(outline(clean(report)), _TEXT)
    return f'{exit_code(report, options)} "dockerdiag" {metrics} {report.verdict.value}: {text}\n'


def failure(reason: str) -> str:
    """The line of a run that gives no report."""
    return f'{EXIT_CODES[Verdict.UNKNOWN]} "dockerdiag" - {plain(cut(line(reason), _TEXT))}\n'


FORMAT = Format(
    name="checkmk",
    suffixes=(".checkmk",),
    media_type="text/plain; charset=utf-8",
    render=render,
    failure=failure,
)
