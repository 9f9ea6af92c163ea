import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Cause, Evidence, Finding, Remedy, Report, Status
from dockerdiag.report_json import ReportError, to_dict
from dockerdiag_reports.html import FORMAT, read_back
from tests.reports.hostile import ACTIVE, texts
from tests.reports.samples import BROKEN, FORWARD_DROP, OK, SAMPLES, UNKNOWN, hostile, result

VOID = {"meta", "link", "br", "img", "hr", "input"}
SHAPES = {"path", "rect", "circle", "use"}


class Page(HTMLParser):
    """A page as its elements, attributes and text; elements that are not closed are an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.comments: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SHAPES
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def with_tag(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def html(report: Report, **options: str | float) -> str:
    return FORMAT.render(report, RenderOptions(**options))  # type: ignore[arg-type]


HARMLESS = Page(html(BROKEN)).names() | Page(html(UNKNOWN)).names() | Page(html(OK)).names()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_report_comes_back_out_of_the_page(name: str) -> None:
    report = SAMPLES[name]
    assert to_dict(read_back(html(report))) == to_dict(report)


@pytest.mark.parametrize("text", ["", "<p>a page", "<script id='dockerdiag-report'>{}</script>", "{}"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ReportError):
        read_back(text)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_asks_the_network_for_nothing(name: str) -> None:
    page = Page(html(SAMPLES[name]))
    for _, attributes in page.elements:
        assert not {"src", "srcset", "action", "formaction", "poster", "background", "ping"} & set(attributes)
        href = attributes.get("href") or "#"
        assert href.startswith(("#", "data:image/svg+xml,"))
    policy = next(each["content"] for each in page.with_tag("meta") if "http-equiv" in each)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", SAMPLES)
def test_ids_are_unique_and_links_lead_somewhere(name: str) -> None:
    page = Page(html(SAMPLES[name]))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {
        word.lstrip("#")
        for _, attributes in page.elements
        for key in ("href", "aria-labelledby", "data-copy")
        for word in (attributes.get(key) or "").split()
        if not word.startswith("data:") and " xmlns" not in (attributes.get(key) or "")
    }
    assert targets <= set(ids)


@pytest.mark.parametrize("name", SAMPLES)
def test_headings_go_down_one_level_at_a_time(name: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(html(SAMPLES[name])).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", SAMPLES)
def test_tables_have_captions_and_header_cells(name: str) -> None:
    page = Page(html(SAMPLES[name]))
    assert len(page.with_tag("table")) == len(page.with_tag("caption"))
    assert all("scope" in cell for cell in page.with_tag("th"))


def test_the_order_is_verdict_way_remedy_findings_checks_evidence_host_redaction_making() -> None:
    sections = [each.get("id") for each in Page(html(BROKEN)).with_tag("section")]
    assert sections == [
        "verdict", "way", "remedy", "findings", "checks", "walks", "evidence", "host", "redaction", "making",
    ]  # fmt: skip


def test_the_page_says_what_the_report_says() -> None:
    words = Page(html(BROKEN, command="dockerdiag -o report.html", duration=1.84)).words()
    remedy = FORWARD_DROP.remedies[0]
    for text in (
        FORWARD_DROP.summary,
        "-P FORWARD DROP",
        *remedy.now,
        *remedy.lasting,
        *remedy.verify,
        *remedy.undo,
        remedy.risk,
        "drop: ends here",
        "dropped by the policy; none of 3 rules accepts it",
        "kernel_log",
        "/dev/kmsg: Operation not permitted",
        "Its packets leave with the source 192.0.2.10.",
        "Not redacted: addresses and names are the host's own.",
        "proxy credentials",
        "dockerdiag -o report.html",
        "1.8 s",
        "Debian GNU/Linux 13 (trixie)",
    ):
        assert text in words


def test_the_picture_says_in_words_where_the_packet_ends() -> None:
    page = Page(html(BROKEN))
    pictures = [each for each in page.with_tag("svg") if each.get("role") == "img"]
    assert len(pictures) == 2
    assert "It is dropped at iptables-nft ip filter FORWARD policy. The numbered list below" in page.words()


def test_it_is_the_same_every_time() -> None:
    assert html(BROKEN) == html(BROKEN)


def test_a_usual_host_fits_a_ticket() -> None:
    assert len(html(BROKEN)) < 100_000
    assert len(html(SAMPLES["many"])) < 300_000


def test_what_follows_from_the_cause_is_capped() -> None:
    many = [
        replace(FORWARD_DROP, code="walk-stopped", subject=f"container:c{number}") for number in range(300)
    ]
    cause = replace(FORWARD_DROP, explains=tuple(each.id for each in many))
    results = (result("forward-policy", cause, *many, status=Status.FAIL),)
    rendered = html(replace(BROKEN, cause=Cause.of("forward-policy", cause), results=results))
    assert (
        "and 280 more, in the report&#39;s JSON" in rendered
        or "and 280 more, in the report's JSON" in rendered
    )


def test_colours_have_the_contrast_of_wcag_aa() -> None:
    style = html(OK).split("<style>")[1].split("</style>")[0]
    palette = re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    assert len(palette) >= 19
    tones = ("fail", "warn", "pass", "unknown", "note", "skip")
    pairs = [(tone, f"{tone}-tint") for tone in tones] + [(tone, "surface") for tone in tones]
    pairs += [(text, ground) for text in ("text", "muted") for ground in ("page", "surface", "sunken")]
    pairs += [(text, f"{tone}-tint") for text in ("text", "muted") for tone in tones]
    pairs += [("accent", "surface"), ("accent", "page")]
    for index in (1, 2):
        colours = {entry[0]: entry[index] for entry in palette}
        for ink, ground in pairs:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, index)


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2: from 1 to 21."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@settings(deadline=None, max_examples=60)
@given(texts)
def test_nothing_of_the_host_becomes_markup(planted: str) -> None:
    assert_harmless(html(hostile(planted), command=planted))


def assert_harmless(rendered: str) -> None:
    page = Page(rendered)
    assert page.names() <= HARMLESS
    assert not page.comments
    assert not [
        key for _, attributes in page.elements for key in attributes if key.startswith("on") or key == "style"
    ]
    assert len(page.with_tag("script")) == 2
    assert len(page.with_tag("style")) == 1


@pytest.mark.parametrize("planted", ACTIVE)
def test_nothing_of_the_host_is_hidden_or_obeyed(planted: str) -> None:
    rendered = html(hostile(planted), command=planted)
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", rendered
    )
    assert to_dict(read_back(rendered)) == to_dict(hostile(planted))


def test_templates_in_host_text_are_text() -> None:
    words = Page(html(hostile("{{ 7*7 }}{% raw %}"))).words()
    assert "{{ 7*7 }}{% raw %}" in words
    assert "49" not in words


def test_the_verdict_holds_what_to_try_first_and_the_risk_precedes_the_command() -> None:
    changed = replace(
        BROKEN, changes={"since": "2026-01-01T00:00:00Z", "verdict": {"before": "ok", "after": "broken"}}
    )
    text = html(changed)
    places = ['class="next"', 'id="changes"', 'id="way"', 'class="opens"', 'id="first-now"']
    assert [text.index(place) for place in places] == sorted(text.index(place) for place in places)
    assert 'data-copy="first-now" aria-label="Copy the command to try first"' in text
    assert 'class="next"' not in html(OK)


@pytest.mark.parametrize(
    ("sources", "shown"),
    [
        (("link eth0", "nft table inet guard, chain out, rule 1"), 1),
        (("systemctl show docker.service", "journal of docker.service"), 1),
        (("nameserver 127.0.0.1", "/etc/docker/daemon.json:1"), 1),
        (("systemctl show docker.service", "/etc/resolv.conf of 5f6ed70a8f43"), 0),
    ],
)
def test_the_headline_shows_what_can_be_looked_up(sources: tuple[str, ...], shown: int) -> None:
    evidence = tuple(Evidence(source, f"text of {source}") for source in sources)
    finding = replace(FORWARD_DROP, evidence=evidence)
    text = html(replace(BROKEN, cause=Cause.of("forward-policy", finding)))
    assert f'<figure class="source"><figcaption>{sources[shown]}</figcaption>' in text


def test_a_failure_that_is_expected_is_not_counted_as_one() -> None:
    expected = replace(FORWARD_DROP, expected="closed on purpose")
    report = replace(OK, results=(*OK.results, result("forward-policy", expected, status=Status.FAIL)))
    page = FORMAT.render(report, RenderOptions())
    assert ">1 as expected<" in page
    assert ">1 failed<" not in page


def test_what_only_looks_is_headed_so() -> None:
    line = "dockerdiag trace web 1.1.1.1:443/tcp --probe"
    looks = Remedy("To find out: send the packet", now=(line,), verify=(line,), risk="Sends a few packets.")
    finding = Finding(
        "rule-undecided",
        Status.UNKNOWN,
        "network:bridge",
        "Whether it passes cannot be told",
        remedies=(looks,),
    )
    page = FORMAT.render(
        replace(UNKNOWN, results=(result("forward-policy", finding, status=Status.UNKNOWN),)), RenderOptions()
    )
    assert "<h3>Find out</h3>" in page
    assert "Mend it now" not in page
    assert "Try this first" not in page
    assert page.count("<h3>Verify</h3>") == 0
    assert "<h3>Mend it now</h3>" in FORMAT.render(BROKEN, RenderOptions())
