"""One report has one verdict and one exit code, whoever renders it."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import EXIT_CODES, Report, Verdict
from dockerdiag.report_json import loads
from dockerdiag_reports import html, text
from dockerdiag_reports import json as json_format
from tests.reports.hostile import texts
from tests.reports.samples import SAMPLES, hostile

FORMATS = (text.FORMAT, html.FORMAT, json_format.FORMAT)


def assert_agreement(report: Report) -> None:
    as_text = text.FORMAT.render(report, RenderOptions())
    as_json = json_format.FORMAT.render(report, RenderOptions())
    as_html = html.FORMAT.render(report, RenderOptions())
    verdict = report.verdict.value
    assert as_text.splitlines()[-1].startswith(f"{verdict}: ")
    assert json.loads(as_json)["verdict"] == verdict
    assert f"<strong>{verdict}</strong>" in as_html
    exit_code = re.search(r'<span id="exit-code">(\d)</span>', as_html)
    assert exit_code is not None
    assert int(exit_code[1]) == EXIT_CODES[loads(as_json).verdict] == html.read_back(as_html).exit_code


@pytest.mark.parametrize("name", SAMPLES)
def test_formats_agree(name: str) -> None:
    assert_agreement(SAMPLES[name])


@settings(deadline=None, max_examples=40)
@given(texts, st.sampled_from(Verdict))
def test_formats_agree_on_hostile_hosts(planted: str, verdict: Verdict) -> None:
    report = hostile(planted)
    assert_agreement(
        Report(**{name: getattr(report, name) for name in report.__slots__} | {"verdict": verdict})
    )


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_a_format_names_itself(format_: Format) -> None:
    assert format_.suffixes
    assert all(suffix.startswith(".") for suffix in format_.suffixes)
    assert "/" in format_.media_type


def test_no_two_formats_claim_one_suffix() -> None:
    suffixes = [suffix for format_ in FORMATS for suffix in format_.suffixes]
    assert len(suffixes) == len(set(suffixes))
