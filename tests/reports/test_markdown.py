import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Evidence, Remedy, Report
from dockerdiag_reports.markdown import FORMAT
from dockerdiag_reports.markdown_text import code, fence, prose
from tests.recorded import Recorded, name_of, recorded
from tests.reports.hostile import texts
from tests.reports.samples import BROKEN, FORWARD_DROP, HOSTILE, MANY, OK, SAMPLES, UNKNOWN, hostile

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
BLOCKS = {
    "paragraph", "heading", "bullet_list", "list_item", "table", "thead", "tbody", "tr", "th", "td", "fence",
    "html_block", "inline",
}  # fmt: skip
INLINE = {"text", "text_special", "entity", "code_inline", "strong", "html_inline"}
HTML = re.compile(r"<details><summary>[^<>]*</summary>\n|</details>\n")
HEADINGS = re.compile(r"Cause: |Fix$|Other ways$|Also$|Findings$|Expected$|What changed$")
CALL = re.compile(r"[@#!~%&$]\w|://|\bwww\.", re.IGNORECASE)
GREEDY = ("`", "```", "~~~\n", "````sh", "*", "**", "_a_", "[x](http://e.test)", "![x](y)", "<http://e.test>", "# a",
          "- a", "1. a", "1) a", "---", "===", "> a", "    code", "| a | b |", "|---|", "@admin", "#12", "org/repo#3",
          "GH-7", "&lt;b&gt;", "\\", "\\`", "</details>", "<!--", "<pre>", "$x$", "[^1]", "[x]: http://e.test",
          "www.e.test", "a@e.test", "~~a~~", "&#96;", "<details>", "]]>", "<?x", "<![CDATA[")  # fmt: skip


def shown(report: Report, *, verbose: bool = False) -> str:
    return FORMAT.render(report, RenderOptions(verbose=verbose))


def assert_structure(text: str) -> list[Token]:
    """Only what the template wrote has structure; returns the fences."""
    tokens = PARSER.parse(text)
    fences = []
    for at, token in enumerate(tokens):
        assert re.sub("_(open|close)$", "", token.type) in BLOCKS, (token.type, token.content)
        if token.type == "html_block":
            assert HTML.fullmatch(
                token.content + "\n" if not token.content.endswith("\n") else token.content
            ), token
        if token.type == "heading_open":
            assert token.tag == "h3"
            assert HEADINGS.match(tokens[at + 1].content)
        if token.type == "fence":
            assert token.info in {"", "sh"}
            fences.append(token)
        if token.type == "inline":
            assert_inline(token)
    assert text.count("<details>") >= 1
    return fences


def assert_inline(token: Token) -> None:
    inside_code = False
    plain = ""
    for child in token.children or []:
        assert re.sub("_(open|close)$", "", child.type) in INLINE, (child.type, token.content)
        if child.type == "html_inline":
            assert child.content == ("</code>" if inside_code else "<code>")
            inside_code = not inside_code
        elif child.type in {"text", "text_special"} and not inside_code:
            plain += child.content
    assert not inside_code
    assert not CALL.search(plain), plain


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_only_the_template_makes_structure(name: str, verbose: bool) -> None:
    assert_structure(shown(SAMPLES[name], verbose=verbose))


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_recorded_hosts(one: Recorded) -> None:
    assert_structure(shown(one.report(), verbose=True))


@settings(deadline=None, max_examples=80)
@given(texts)
def test_a_hostile_host_makes_no_structure(planted: str) -> None:
    assert_structure(shown(hostile(planted), verbose=True))


@pytest.mark.parametrize("planted", GREEDY)
def test_markdown_of_the_host_makes_no_structure(planted: str) -> None:
    for text in (planted, f"{planted} {planted}", f"x {planted}", f"{planted}\n{planted}"):
        assert_structure(shown(hostile(text), verbose=True))


def test_evidence_and_commands_come_out_as_they_are() -> None:
    evidence = "a\n```\n````\n</details>\n    indented"
    finding = replace(
        FORWARD_DROP,
        evidence=(Evidence("a `file`", evidence),),
        remedies=(Remedy("Do", ("echo '```' `id`",)),),
    )
    cause = replace(BROKEN.cause, evidence=finding.evidence, remedies=finding.remedies)
    fences = [token.content for token in assert_structure(shown(replace(BROKEN, cause=cause)))]
    assert f"{evidence}\n" in fences
    assert "echo '```' `id`\n" in fences


def test_the_verdict_comes_first_then_cause_and_fix() -> None:
    text = shown(BROKEN)
    assert text.startswith("**broken:** Packets from network bridge to the internet are dropped")
    assert text.index("### Cause: `forward-drop` on `network:bridge`") < text.index(
        "```\n-P FORWARD DROP\n```"
    )
    assert (
        text.index("-P FORWARD DROP")
        < text.index("### Fix")
        < text.index("To undo:")
        < text.index("### Also")
    )
    for command in (
        one for remedy in FORWARD_DROP.remedies for one in (*remedy.now, *remedy.verify, *remedy.undo)
    ):
        assert f"\n{command}\n" in text


def test_all_commands_are_fenced_as_sh() -> None:
    commands = set(FORWARD_DROP.remedies[0].now)
    assert any(
        set(token.content.splitlines()) == commands and token.info == "sh"
        for token in assert_structure(shown(BROKEN))
    )


def test_a_report_fits_an_issue() -> None:
    assert len(shown(MANY, verbose=True)) <= 65_536


def test_doubts_are_told() -> None:
    assert "- **unknown** The rules cannot be read without root" in shown(UNKNOWN)
    assert "could not be read: `daemons`: /proc/712/environ: Permission denied" in shown(UNKNOWN)
    assert shown(OK).startswith("**ok:** Nothing was found")


def test_a_command_that_cannot_be_shown_says_so() -> None:
    assert "complete it by hand" in shown(HOSTILE)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain, with snake_case and 1.1.1.1:443/tcp", "plain, with snake_case and 1.1.1.1:443/tcp"),
        ("1. first", "1&#46; first"),
        ("- item", "&#45; item"),
        ("*a* _b_ <i>", "&#42;a&#42; &#95;b&#95; &#60;i&#62;"),
        ("ask @admin about #12", "ask @&#8203;admin about #&#8203;12"),
        ("http://e.test", "http:&#8203;//e.test"),
    ],
)
def test_prose(text: str, escaped: str) -> None:
    assert prose(text) == escaped


def test_code() -> None:
    assert code("network:bridge") == "`network:bridge`"
    assert code("a`b|c") == "<code>a&#96;b&#124;c</code>"
    assert code("") == "<code></code>"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fence("a\n````\nb", "sh") == "`````sh\na\n````\nb\n`````"
