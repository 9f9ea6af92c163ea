"""The report for a ticket: one HTML file that asks the network for nothing and is whole without JavaScript.

The report's JSON rides inside it, so that the file can be read back.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache

from markupsafe import Markup

from dockerdiag.dataclass import dataclass
from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Disposition, Evidence, Finding, Remedy, Report, Walk, words
from dockerdiag.report_json import ReportError, dumps, loads
from dockerdiag_reports.changes_told import changes_told
from dockerdiag_reports.drawing import drawing, stages
from dockerdiag_reports.outline import (
    Outline,
    count_told,
    counted,
    ending,
    outline,
    probes_told,
    rule_place,
    tally,
    told_alike,
    walker,
)
from dockerdiag_reports.templating import asset, template
from dockerdiag_reports.untrusted import REPLACEMENT, clean, line

DATA_ID = "dockerdiag-report"
_LOOKED_UP = re.compile(r"^/[^ ]+$|\bchain\b|\bjournal\b")
_HOPS_SHOWN = 400
"""Hops that the walks beside the first may show; the file would grow too large for a ticket otherwise."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A finding's evidence, under the number that links lead to."""

    number: int
    check: str
    finding: Finding


def render(report: Report, options: RenderOptions) -> str:
    """The whole page; `options` add the command line and how long it took."""
    harmless = clean(report)
    told = outline(harmless)
    style, script = asset("report.css"), asset("report.js")
    exhibits = _exhibits(harmless)
    page = template("report.html.j2", markup=True).render(
        report=harmless,
        outline=told,
        **told_alike(harmless),
        remedy=_first_remedy(told),
        source=_source(told),
        exhibits=exhibits,
        exhibit_of={(each.check, each.finding): each.number for each in exhibits},
        walks=_other_walks(harmless, told.walk),
        command=line(options.command),
        duration=options.duration,
        data_id=DATA_ID,
        data=_script_safe(dumps(report, indent=None)),
        style=Markup(style),  # noqa: S704 - the package's own file
        script=Markup(script),  # noqa: S704 - the package's own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        drawing=drawing,
        stages=stages,
        groups=options.groups,
        undecided=[result for group in told.undecided for result in group.results],
        counted=counted,
        tally=tally,
        ending=ending,
        rule_place=rule_place,
        changes=changes_told(harmless),
        probes_told=probes_told(harmless),
        count_told=count_told,
        walker=walker,
        words=words,
        replacement=REPLACEMENT,
    )
    return page.strip() + "\n"


def read_back(text: str) -> Report:
    """The report that an HTML report carries.

    Raises:
        ReportError: the text is no HTML report, or one of another schema version.
    """
    # By plain search, which takes no longer than the text is long, whatever it holds.
    start = text.find(f'id="{DATA_ID}"')
    begin, end = text.find(">", start) + 1, text.find("</script", start)
    if start < 0 or not 0 < begin <= end:
        raise ReportError("this HTML file is not a report of dockerdiag: it carries no report data")
    return loads(text[begin:end])


@cache
def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _script_safe(json_text: str) -> Markup:
    """JSON in which no character can end the script element or start a comment or an entity."""
    for character in "<>&":
        json_text = json_text.replace(character, f"\\u{ord(character):04x}")
    return Markup(json_text)  # noqa: S704 - printable ASCII without < > &


def _first_remedy(told: Outline) -> Remedy | None:
    if told.cause is not None:
        return next(iter(told.cause.remedies), None)
    return next((remedy for entry in told.others for remedy in entry.finding.remedies), None)


def _source(told: Outline) -> Evidence | None:
    """Of the cause's evidence what an admin can look up: a rule, a line of a file or of the journal; else the first."""
    if told.cause is None:
        return None
    evidence = told.cause.evidence
    return next((each for each in evidence if _LOOKED_UP.search(each.source)), next(iter(evidence), None))


def _exhibits(report: Report) -> tuple[Exhibit, ...]:
    found = [
        (result.check, finding)
        for result in report.results
        for finding in result.findings
        if finding.evidence
    ]
    return tuple(Exhibit(number, *each) for number, each in enumerate(found, start=1))


def _other_walks(report: Report, shown: Walk | None) -> Sequence[tuple[Walk, bool]]:
    """The walks that are not drawn, those that end badly first, each with whether its hops are shown."""
    rest = [walk for walk in report.walks if walk is not shown]
    rest.sort(key=lambda walk: walk.disposition is Disposition.DELIVERED)
    listed: list[tuple[Walk, bool]] = []
    hops = 0
    for walk in rest:
        hops += len(walk.hops)
        listed.append((walk, hops <= _HOPS_SHOWN))
    return listed


FORMAT = Format(
    name="html",
    suffixes=(".html", ".htm"),
    media_type="text/html; charset=utf-8",
    render=render,
    read=read_back,
)
