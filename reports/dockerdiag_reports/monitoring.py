"""What a monitor reads of a report: its state, what counts, and text that no monitor obeys."""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import EXIT_CODES, Disposition, Report, Status, Verdict
from dockerdiag_reports.last_word import last_word
from dockerdiag_reports.outline import Outline

STATES: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.OK: "OK",
        Verdict.DEGRADED: "WARNING",
        Verdict.BROKEN: "CRITICAL",
        Verdict.UNKNOWN: "UNKNOWN",
    }
)
BY_EXIT_CODE: Mapping[int, str] = MappingProxyType(
    {EXIT_CODES[verdict]: state for verdict, state in STATES.items()}
)
COUNTED = (Status.FAIL, Status.WARN, Status.UNKNOWN)

# A bar starts performance data; Checkmk makes a line end of a backslash and an n; either may show tags as HTML.
_OBEYED = str.maketrans({"|": "\u00a6", "\\": "/", "<": "\u2039", ">": "\u203a"})


def plain(text: str) -> str:
    """A line without the characters that mean something to a monitor; look-alikes stand for them."""
    return text.translate(_OBEYED)


def why(told: Outline, width: int) -> str:
    """The report in a phrase; the verdict where a host's text is nothing but what a terminal obeys."""
    return plain(last_word(told, width)) or told.report.verdict.value


def exit_code(report: Report, options: RenderOptions) -> int:
    """What the run ends with: a monitor believes the code, and what it is told must say the same."""
    return report.exit_code if options.exit_code is None else options.exit_code


def judged(report: Report) -> Iterator[tuple[str, str, Status]]:
    """Check, subject and status of all that the verdict rests on.

    That is every finding that nobody expects; a check without findings counts itself, with an empty subject.
    """
    for result in report.results:
        if not result.findings:
            yield result.check, "", result.status
        for finding in result.findings:
            if finding.expected is None:
                yield result.check, finding.subject, finding.status


def tally(report: Report) -> dict[str, int]:
    """Counts with their names, the same names for every report."""
    statuses = Counter(status for _, _, status in judged(report))
    ends = Counter(walk.disposition for walk in report.walks)
    told = ends[Disposition.DELIVERED] + ends[Disposition.UNKNOWN]
    return {
        **{status.value: statuses[status] for status in COUNTED},
        "walks_delivered": ends[Disposition.DELIVERED],
        "walks_stopped": ends.total() - told,
        "walks_unknown": ends[Disposition.UNKNOWN],
        "containers": len({name for walk in report.walks for name in walk.containers}),
    }
