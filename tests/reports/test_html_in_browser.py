"""Opens HTML reports in Chromium: no request, no error, no sideways scrolling, whole without JavaScript, accessible."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerdiag.report import Report
from tests.reports.browser import ADDRESS, CHROMIUM, Opened
from tests.reports.samples import BROKEN, FORWARD_DROP, OK, SAMPLES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

Open = Callable[..., Opened]


@pytest.fixture
def open_report(browser: Any) -> Iterator[Open]:
    contexts: list[Any] = []

    def opener(report: Report, width: int = 1280, **options: object) -> Opened:
        context = browser.new_context(offline=True, viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        return Opened(context, report)

    yield opener
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [320, 720, 1280])
@pytest.mark.parametrize("name", SAMPLES)
def test_no_request_no_error_no_sideways_scrolling(open_report: Open, name: str, width: int) -> None:
    opened = open_report(SAMPLES[name], width)
    opened.page.get_by_role("button", name="Open all").click()
    assert opened.width() <= width
    assert opened.requests == [ADDRESS]
    assert opened.complaints == []
    assert opened.closed() == 0


def test_host_text_runs_nothing_and_changes_no_title(open_report: Open) -> None:
    opened = open_report(SAMPLES["hostile"])
    assert opened.page.title().startswith("broken: ")
    assert opened.page.locator("script").count() == 2
    assert opened.page.locator("img, iframe, object, [onload], [onerror]").count() == 0


@pytest.mark.parametrize("width", [320, 1280])
def test_without_javascript_the_page_is_whole(open_report: Open, width: int) -> None:
    opened = open_report(BROKEN, width, java_script_enabled=False)
    page = opened.page
    assert opened.complaints == []
    assert page.get_by_role("heading", level=1, name=FORWARD_DROP.summary).is_visible()
    assert page.locator("#remedy pre").first.is_visible()
    assert page.locator(".picture svg:visible").count() == 1
    assert page.locator("button:visible").count() == 0
    page.locator("#evidence summary").first.click()
    assert page.get_by_text("-A DOCKER-USER -s 10.0.0.0/8").first.is_visible()


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_print_has_everything_open(open_report: Open, java_script_enabled: bool, tmp_path: Path) -> None:
    opened = open_report(BROKEN, java_script_enabled=java_script_enabled)
    page = opened.page
    hidden = page.get_by_text("-A DOCKER-USER -s 10.0.0.0/8").first
    assert not hidden.is_visible()
    page.emulate_media(media="print")
    assert hidden.is_visible()
    assert opened.closed() == 0
    assert page.locator(".bar:visible, button:visible").count() == 0
    paper = tmp_path / "report.pdf"
    page.pdf(path=paper, format="A4")
    assert paper.read_bytes().startswith(b"%PDF-")


def test_printing_opens_details_and_closes_them_again(open_report: Open) -> None:
    page = open_report(BROKEN).page
    still_open = "[...document.querySelectorAll('details')].filter((details) => details.open).length"
    before = page.evaluate(still_open)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(still_open) == page.locator("details").count()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(still_open) == before


def test_copying_gives_the_commands_line_by_line(open_report: Open) -> None:
    # Without a clipboard, as in a sandboxed frame, the text is left selected.
    page = open_report(BROKEN).page
    page.get_by_role("button", name="Copy: Mend it now").click()
    assert page.get_by_role("status").inner_text() == "Press Ctrl+C to copy the selected text"
    selected = page.evaluate("getSelection().toString()")
    assert selected.split("\n") == list(FORWARD_DROP.remedies[0].now)


def test_copying_says_so(open_report: Open) -> None:
    page = open_report(BROKEN).page
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', "
        "{value: {writeText: (text) => { window.copied = text; return Promise.resolve(); }}})"
    )
    page.get_by_role("button", name="Copy: Mend it now").click()
    assert page.get_by_role("status").inner_text() == "Copied"
    assert page.evaluate("window.copied") == "\n".join(FORWARD_DROP.remedies[0].now)


def test_the_theme_can_be_turned(open_report: Open) -> None:
    page = open_report(OK, color_scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light/dark").click()
    assert page.evaluate(background) != dark
    page.get_by_role("button", name="Light/dark").click()
    assert page.evaluate(background) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SAMPLES)
def test_axe_finds_no_violation(open_report: Open, axe: str, name: str, scheme: str) -> None:
    opened = open_report(SAMPLES[name], 1280, color_scheme=scheme, bypass_csp=True)
    opened.page.get_by_role("button", name="Open all").click()
    assert opened.violations(axe) == []
