"""The report as JSON, schema version 1 (docs/report.schema.json)."""

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Report
from dockerdiag.report_json import dumps, loads


def render(report: Report, options: RenderOptions) -> str:  # noqa: ARG001 - JSON is the same whoever asks
    """The whole report, indented; the options change nothing."""
    return dumps(report) + "\n"


FORMAT = Format(name="json", suffixes=(".json",), media_type="application/json", render=render, read=loads)
