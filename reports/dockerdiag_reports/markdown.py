"""The report for an issue or a chat: Markdown as GitHub, GitLab and CommonMark understand it."""

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Report
from dockerdiag_reports.changes_told import changes_told
from dockerdiag_reports.markdown_text import code, fence, prose
from dockerdiag_reports.outline import (
    count_told,
    counted,
    ending,
    outline,
    probes_told,
    quiet,
    rule_place,
    told_alike,
    walker,
)
from dockerdiag_reports.templating import template
from dockerdiag_reports.untrusted import REPLACEMENT, clean

_LARGEST = 65_536
"""Characters that a GitHub issue may have."""


def render(report: Report, options: RenderOptions) -> str:
    """What matters; with `options.verbose` every walk and remedy too, where an issue has room for them."""
    text = _rendered(report, options.verbose)
    return _rendered(report, verbose=False) if len(text) > _LARGEST else text


def _rendered(report: Report, verbose: bool) -> str:
    harmless = clean(report)
    told = outline(harmless)
    text = template("report.md.j2").render(
        outline=told,
        report=harmless,
        walks=harmless.walks if verbose else [told.walk] if told.walk is not None else [],
        verbose=verbose,
        **told_alike(harmless),
        quiet=quiet(harmless),
        prose=prose,
        code=code,
        fence=fence,
        counted=counted,
        ending=ending,
        rule_place=rule_place,
        changes=changes_told(harmless),
        probes_told=probes_told(harmless),
        count_told=count_told,
        walker=walker,
        replacement=REPLACEMENT,
    )
    return text.strip("\n") + "\n"


FORMAT = Format(name="markdown", suffixes=(".md",), media_type="text/markdown; charset=utf-8", render=render)
