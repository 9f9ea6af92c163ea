import json

import pytest
from hypothesis import given, settings

from dockerdiag.formatting import RenderOptions
from dockerdiag.report_json import loads, to_dict
from dockerdiag_reports.json import FORMAT
from tests.reports.hostile import texts
from tests.reports.samples import SAMPLES, hostile


@pytest.mark.parametrize("name", SAMPLES)
def test_the_report_comes_back_as_it_was(name: str) -> None:
    report = SAMPLES[name]
    shown = FORMAT.render(report, RenderOptions())
    assert to_dict(loads(shown)) == json.loads(shown)
    assert json.loads(shown)["verdict"] == report.verdict.value


@settings(deadline=None, max_examples=50)
@given(texts)
def test_its_output_is_printable_ascii(planted: str) -> None:
    shown = FORMAT.render(hostile(planted), RenderOptions())
    assert shown.isascii()
    assert shown.replace("\n", "").isprintable()
