"""The report of every recorded host in Chromium: quiet, narrow and wide, accessible, without JavaScript, on paper."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.recorded import Recorded, name_of, recorded
from tests.reports.browser import ADDRESS, CHROMIUM, Opened

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

LARGEST = 300_000
"""Bytes of a report that a ticket system takes from anybody."""


@pytest.fixture(scope="module")
def with_javascript(browser: Any) -> Iterator[Any]:
    # Content-Security-Policy holds for the page; only axe, which the test brings, has to get round it.
    context = browser.new_context(offline=True, bypass_csp=True)
    yield context
    context.close()


@pytest.fixture(scope="module")
def without_javascript(browser: Any) -> Iterator[Any]:
    context = browser.new_context(offline=True, java_script_enabled=False)
    yield context
    context.close()


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_the_report_of_a_recorded_host(
    with_javascript: Any, without_javascript: Any, axe: str, one: Recorded
) -> None:
    opened = Opened(with_javascript, one.report())
    assert len(opened.html.encode()) < LARGEST
    page = opened.page
    page.set_viewport_size({"width": 320, "height": 900})
    assert opened.width() <= 320
    page.get_by_role("button", name="Open all").click()
    assert opened.closed() == 0
    assert opened.width() <= 320
    page.set_viewport_size({"width": 1280, "height": 900})
    assert opened.width() <= 1280
    assert opened.violations(axe) == []
    assert (opened.requests, opened.complaints) == ([ADDRESS], [])
    page.close()

    plain = Opened(without_javascript, opened.html)
    page = plain.page
    heading = page.get_by_role("heading", level=1)
    assert heading.inner_text() == heading.text_content()
    assert page.locator(".picture svg:visible").count() == min(len(one.report().walks), 1)
    assert page.locator("button:visible").count() == 0
    page.emulate_media(media="print")
    assert plain.closed() == 0
    assert page.pdf(format="A4").startswith(b"%PDF-")
    assert (plain.requests, plain.complaints) == ([ADDRESS], [])
    page.close()
