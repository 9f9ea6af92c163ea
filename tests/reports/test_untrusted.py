import unicodedata

import pytest
from hypothesis import given

from dockerdiag_reports.untrusted import REPLACEMENT, clean, command, line, lines
from tests.reports.hostile import texts
from tests.reports.samples import BROKEN, OK, hostile


@given(texts)
def test_a_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, line(text)))


@given(texts)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert line(line(text)) == line(text)
    assert command(command(text)) == command(text)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, as it is", "plain text, as it is"),
        ("\x1b[1;31mFAIL\x1b[0m", "FAIL"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never ended", "0;never ended"),
        ("a\u202eb\u200bc\x00d", "abcd"),
        ("two\nlines\r\nof\x85it", "two lines of it"),
        ("Zürich 漢字", "Zürich 漢字"),
        ("e" + "\u0301" * 9, "e\u0301\u0301"),
    ],
)
def test_what_is_taken_out(raw: str, shown: str) -> None:
    assert line(raw) == shown


def test_evidence_keeps_its_lines_and_tabs_become_spaces() -> None:
    assert lines("a\n\tb\r\nc") == ["a", "        b", "c"]


def test_a_command_shows_where_something_was_taken_out() -> None:
    assert command("docker exec 'a\u202eb' ls\nrm x") == f"docker exec 'a{REPLACEMENT}b' ls{REPLACEMENT}rm x"


def test_a_harmless_report_stays_as_it_is() -> None:
    assert clean(OK) == OK
    assert clean(BROKEN) == BROKEN


@given(texts)
def test_every_text_of_a_report_is_cleaned(text: str) -> None:
    bad = {"\x1b", "\x9b", "\x00", "\u202e", "\u200b", "\r"}
    assert not bad & set(repr_of(clean(hostile(text))))


def repr_of(value: object) -> str:
    """All texts of a report in one, as they are: `repr` alone would escape what is looked for."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(repr_of(item) for pair in value.items() for item in pair)
    if isinstance(value, tuple):
        return "".join(map(repr_of, value))
    if hasattr(value, "__dataclass_fields__"):
        return "".join(repr_of(getattr(value, name)) for name in value.__dataclass_fields__)
    return ""
