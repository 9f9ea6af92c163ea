"""What a configuration file expects, held against one report: why a finding does not count, and what is out of date."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from dockerdiag.dataclass import replace
from dockerdiag.report import Evidence, Finding, Report, Result, Status

if TYPE_CHECKING:
    from dockerdiag.expectations import Expectation, Expectations
    from dockerdiag.snapshot.redact import RedactionMap

CHECK = "expectations"
"""The result that tells of expectations which match nothing."""


class Expecting:
    """The expectations on the day on which a host was read; patterns meet real names, also where they are redacted."""

    def __init__(self, expectations: "Expectations", taken_at: str, names: "RedactionMap | None") -> None:
        self._expectations = expectations
        self._day = date.fromisoformat(taken_at[:10])
        self._names = names

    def reason(self, finding: Finding) -> str | None:
        """Why a finding is expected, and until when; None where it is not."""
        one = next((one for one in self._about(finding) if one.holds(self._day)), None)
        return None if one is None else self._shown(str(one))

    def told(self, report: Report, *, whole: bool) -> Report:
        """The report with what has ended said at its finding, and a note on what matches none of a `whole` run."""
        if not self._expectations:
            return report
        results = tuple(
            replace(result, findings=tuple(map(self._ended, result.findings))) for result in report.results
        )
        cause = report.cause
        if cause is not None:
            ended = self._ended(
                Finding(cause.code, cause.status, cause.subject, cause.summary, evidence=cause.evidence)
            )
            cause = replace(cause, evidence=ended.evidence)
        unused = tuple(self._unused(report)) if whole else ()
        if unused:
            title = "Does all that is expected still occur?"
            results = (*results, Result(CHECK, title, Status.NOTE, None, unused))
        return replace(report, results=results, cause=cause)

    def _ended(self, finding: Finding) -> Finding:
        if finding.expected is not None:
            return finding
        ended = [one for one in self._about(finding) if not one.holds(self._day)]
        evidence = (
            Evidence("configuration file", self._shown(f"it was expected until {one.until}: {one.reason}"))
            for one in ended[:1]
        )
        return replace(finding, evidence=(*finding.evidence, *evidence))

    def _unused(self, report: Report) -> Iterator[Finding]:
        findings = [finding for result in report.results for finding in result.findings]
        met = [one for finding in findings for one in self._about(finding)]
        for one in self._expectations:
            if one in met:
                continue
            ended = "" if one.holds(self._day) else f", and it ended on {one.until}"
            pattern = f"{one.code} {one.subject}"
            yield Finding(
                code="expectation-unused",
                status=Status.NOTE,
                subject="file:dockerdiag.toml",
                summary=self._shown(
                    f"Nothing that was found matches the expected {pattern}{ended}: {one.reason}"
                ),
            )

    def _about(self, finding: Finding) -> "Iterator[Expectation]":
        subject = self._names.revealed(finding.subject) if self._names else finding.subject
        return (one for one in self._expectations if one.matches(finding, subject))

    def _shown(self, text: str) -> str:
        return self._names.redacted(text) if self._names else text
