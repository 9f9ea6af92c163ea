"""The report for a person at a terminal, laid out like a compiler's error: the rule is the source line."""

import re

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Disposition, Report
from dockerdiag_reports.changes_told import changes_told
from dockerdiag_reports.last_word import last_word
from dockerdiag_reports.layout import NARROWEST, Layout, cells, cut
from dockerdiag_reports.outline import (
    PASSES,
    REWRITES,
    count_told,
    counted,
    ending,
    outline,
    probe_told,
    quiet,
    rule_place,
    told_alike,
    walker,
)
from dockerdiag_reports.templating import template
from dockerdiag_reports.untrusted import REPLACEMENT, clean

_BLANK_LINES = re.compile(r"\n{3,}")


def render(report: Report, options: RenderOptions) -> str:
    """What matters; everything with `options.verbose`. The verdict is the last line."""
    layout = Layout(max(options.width, NARROWEST), options.colour)
    harmless = clean(report)
    told = outline(harmless)
    text = template("report.txt.j2").render(
        outline=told,
        last_word=last_word(told, layout.width - len(report.verdict.value) - 2),
        ending=ending,
        **told_alike(harmless),
        quiet=quiet(harmless),
        verbose=options.verbose,
        instead=_instead,
        layout=layout,
        wrap=layout.wrap,
        quote=layout.quote,
        paint=layout.paint,
        cells=cells,
        cut=cut,
        counted=counted,
        rule_place=rule_place,
        probe_told=probe_told,
        changes=changes_told(harmless),
        count_told=count_told,
        walker=walker,
        passing=PASSES | REWRITES,
        delivered=Disposition.DELIVERED,
        replacement=REPLACEMENT,
    )
    return _BLANK_LINES.sub("\n\n", text).strip("\n") + "\n"


def _instead(summary: str) -> str:
    """Another remedy behind the word `or`, which some begin with themselves."""
    rest = summary.removeprefix("Or ")
    return rest[:1].upper() + rest[1:]


FORMAT = Format(name="text", suffixes=(".txt",), media_type="text/plain; charset=utf-8", render=render)
