"""The report as a plugin of Nagios, Icinga and their kin prints it: state, performance data, then the long output."""

from collections.abc import Iterator

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Finding, Report, Verdict
from dockerdiag_reports.layout import cut
from dockerdiag_reports.monitoring import BY_EXIT_CODE, STATES, exit_code, plain, tally, why
from dockerdiag_reports.outline import Outline, ending, host_name, moment, outline, redaction, walker
from dockerdiag_reports.untrusted import clean, line

_TEXT = 240
"""Columns of the first line's text; with the performance data it stays in the 1024 bytes of an old NRPE."""
_LONG_LINE = 400
_RANGES = {"fail": ";;0;0", "warn": ";0;;0"}
"""warn;crit;min: any failure is critical, any warning a warning."""


def render(report: Report, options: RenderOptions) -> str:
    """`STATE: why | performance data`, then what is wrong and what mends it."""
    told = outline(clean(report))
    data = " ".join(f"{name}={count}{_RANGES.get(name, ';;;0')}" for name, count in tally(report).items())
    code = exit_code(report, options)
    let_pass = "" if code == report.exit_code else f"{report.verdict.value}, which --fail-on lets pass: "
    first = f"{BY_EXIT_CODE[code]}: {let_pass}{why(told, _TEXT - len(let_pass))} | {data}"
    return "\n".join((first, *map(_line, _wrong(told)), *_mending(told), *map(_line, _besides(told)))) + "\n"


def failure(reason: str) -> str:
    """The line of a run that gives no report."""
    return f"{STATES[Verdict.UNKNOWN]}: {plain(cut(line(reason), _TEXT))}\n"


def _wrong(told: Outline) -> Iterator[str]:
    report = told.report
    yield f"{host_name(report)}, read {moment(report)} by {report.tool.name} {report.tool.version}"
    if told.cause is not None:
        yield f"cause: {told.sentence} [{told.cause.code} {told.cause.subject}]"
        yield from (f"at: {each.source}: {each.text.partition(chr(10))[0]}" for each in told.cause.evidence)
    if told.walk is not None and told.walk.at is not None:
        yield f"packet: from {walker(told.walk)} to {told.walk.to} {ending(told.walk)}"
    yield from (f"hence: {_named(entry.finding)}" for entry in told.explained)


def _mending(told: Outline) -> Iterator[str]:
    """The commands as they are, or none of them: an altered one would be another command."""
    remedy = next(iter(told.cause.remedies), None) if told.cause is not None else None
    if remedy is None:
        return
    yield _line(f"fix: {remedy.summary}")
    commands = remedy.now or remedy.lasting
    if all(plain(command) == command for command in commands):
        yield from (f"  {command}" for command in commands)
    else:
        yield "its commands are in the text report: this format cannot carry their characters"


def _besides(told: Outline) -> Iterator[str]:
    for other in told.others:
        yield f"{other.finding.status.value}: {_named(other.finding)}"
        yield from (f"hence: {_named(entry.finding)}" for entry in other.hence)
    yield from (
        f"expected {entry.finding.status.value}: {_named(entry.finding)} ({entry.finding.expected})"
        for entry in told.expected
    )
    for group in told.undecided:
        yield f"unknown: {', '.join(result.check for result in group.results)}: {group.reason}"
    yield from (f"unread: {part.part}: {part.reason}" for part in told.report.unread)
    yield redaction(told.report)[0]


def _named(finding: Finding) -> str:
    return f"{finding.summary} [{finding.code} {finding.subject}]"


def _line(text: str) -> str:
    return plain(cut(text, _LONG_LINE))


FORMAT = Format(
    name="nagios",
    suffixes=(".nagios",),
    media_type="text/plain; charset=utf-8",
    render=render,
    failure=failure,
)
