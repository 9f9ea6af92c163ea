"""The report as JUnit's XML, which CI servers show: a suite a group of checks, a case a check.

Where only packets were followed, each is a case. A failure is what fails or warns, an error what cannot be told;
what somebody expects fails no test.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Cause, Disposition, Finding, Report, Result, Status, Walk, worst
from dockerdiag_reports.last_word import last_word
from dockerdiag_reports.outline import (
    asked,
    ending,
    host_facts,
    host_name,
    outline,
    redaction,
    rule_place,
    walker,
)
from dockerdiag_reports.untrusted import clean

_OUTCOMES = {Status.FAIL: "failure", Status.WARN: "failure", Status.UNKNOWN: "error", Status.SKIP: "skipped"}
_UNGROUPED = "dockerdiag"
"""The suite of packets, and of checks whose group is not known."""
_MESSAGE = 400
"""Columns of a message; the whole is in the text."""


def render(report: Report, options: RenderOptions) -> str:
    """A test suite a group of checks; what XML cannot hold is taken out with what a terminal would obey."""
    harmless = clean(report)
    suites = Element("testsuites", name="dockerdiag")
    for name, cases in _grouped(harmless, options.groups).items():
        suite = SubElement(suites, "testsuite", name=name, hostname=host_name(harmless))
        suite.set("timestamp", harmless.taken_at)
        _count(suite, cases)
        properties = SubElement(suite, "properties")
        for key, value in _properties(harmless):
            SubElement(properties, "property", name=key, value=value)
        suite.extend(cases)
    if harmless.unread:
        unread = (f"could not be read: {part.part}: {part.reason}\n" for part in harmless.unread)
        SubElement(suites[0], "system-out").text = "".join(unread)
    _count(suites, list(suites.iter("testcase")))
    if options.duration is not None:
        suites.set("time", f"{options.duration:.3f}")
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _grouped(report: Report, groups: Mapping[str, str]) -> dict[str, list[Element]]:
    """The test cases by their suite's name; one suite where there is no case, since a server wants to see one."""
    if not report.results:
        return {_UNGROUPED: [_of_walk(walk) for walk in report.walks]}
    told = outline(report)
    follows = {one.finding.id: entry.finding for entry in told.others for one in entry.hence}
    if report.cause is not None:
        follows |= {entry.finding.id: report.cause for entry in told.explained}
    cases: dict[str, list[Element]] = {}
    for result in report.results:
        group = groups.get(result.check, _UNGROUPED)
        cases.setdefault(group, []).append(_of_check(result, group, follows))
    return cases


def _count(holder: Element, cases: Sequence[Element]) -> None:
    outcomes = Counter(each.tag for case in cases for each in case)
    holder.set("tests", str(len(cases)))
    holder.set("failures", str(outcomes["failure"]))
    holder.set("errors", str(outcomes["error"]))
    holder.set("skipped", str(outcomes["skipped"]))


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "verdict", report.verdict.value
    yield "exit_code", str(report.exit_code)
    yield "why", last_word(outline(report), _MESSAGE)
    if report.cause is not None:
        yield "cause", f"{report.cause.code} {report.cause.subject}"
    yield "asked", asked(report)
    yield "redaction", redaction(report)[0]
    yield "tool", f"{report.tool.name} {report.tool.version}"
    yield from ((f"host.{name}", value) for name, value in host_facts(report))


def _of_check(result: Result, group: str, follows: Mapping[str, Cause | Finding]) -> Element:
    def told(finding: Finding) -> str:
        return _told(finding, follows.get(finding.id))

    counting = [finding for finding in result.findings if finding.expected is None]
    status = worst(finding.status for finding in counting) if result.findings else result.status
    telling = [finding for finding in counting if finding.status is status]
    summary = telling[0].summary if telling else result.reason or result.title
    kind = telling[0].code if telling else status.value
    case = _case(result.check, status, summary, f"{status.value}.{kind}", map(told, telling))
    if group != _UNGROUPED:
        case.set("classname", f"{_UNGROUPED}.{group}")
    quiet = [told(finding) for finding in result.findings if finding not in telling]
    SubElement(case, "system-out").text = "\n\n".join((result.title, *quiet)) + "\n"
    return case


def _of_walk(walk: Walk) -> Element:
    status = {Disposition.DELIVERED: Status.PASS, Disposition.UNKNOWN: Status.UNKNOWN}.get(
        walk.disposition, Status.FAIL
    )
    hops = [
        f"{hop.direction} {hop.verdict} {hop.place}: {hop.text}"
        + (f" [{rule_place(hop.rule)}: {hop.rule.text}]" if hop.rule is not None else "")
        for hop in walk.hops
    ]
    name = f"from {walker(walk)} to {walk.to}"
    kind = f"{status.value}.{walk.disposition.value}"
    return _case(name, status, f"the packet {ending(walk)}", kind, ["\n".join(hops)])


def _case(name: str, status: Status, message: str, kind: str, texts: Iterable[str]) -> Element:
    case = Element("testcase", name=name, classname=_UNGROUPED)
    if status in _OUTCOMES:
        outcome = SubElement(case, _OUTCOMES[status], message=message)
        if status is not Status.SKIP:
            outcome.set("type", kind)
            outcome.text = "\n\n".join(texts) or message
    return case


def _told(finding: Finding, follows_from: Cause | Finding | None) -> str:
    expected = f" (expected: {finding.expected})" if finding.expected is not None else ""
    rows = [f"{finding.status.value}: {finding.code} on {finding.subject}{expected}", finding.summary]
    rows += [f"at {each.source}: {each.text}" for each in finding.evidence]
    if follows_from is not None:
        # What mends that mends this; its own commands would be for nothing, or last where they should not.
        rows.append(f"follows from: {follows_from.code} on {follows_from.subject}")
        return "\n".join(rows)
    for remedy in finding.remedies[:1]:
        rows += [f"fix: {remedy.summary}", *_commands(remedy.now or remedy.lasting)]
        rows += [f"risk: {remedy.risk}"] if remedy.risk else []
        if remedy.now and remedy.lasting:
            rows += ["lasting:", *_commands(remedy.lasting)]
    return "\n".join(rows)


def _commands(commands: Iterable[str]) -> Iterator[str]:
    return (f"    {command}" for command in commands)


FORMAT = Format(name="junit", suffixes=(".xml",), media_type="application/xml; charset=utf-8", render=render)
