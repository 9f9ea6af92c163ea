from hypothesis import given
from hypothesis import strategies as st

from dockerdiag_reports.layout import Layout, cells, cut
from tests.reports.hostile import texts


def test_columns_are_counted_as_a_terminal_fills_them() -> None:
    assert cells("abc") == 3
    assert cells("漢字") == 4
    assert cells("e\u0301") == 1
    assert cells("\x1b[1;31mFAIL\x1b[0m") == 4


@given(texts, st.integers(min_value=40, max_value=120))
def test_wrapped_text_keeps_the_width_and_every_character(text: str, width: int) -> None:
    wrapped = Layout(width, colour=False).wrap(text, first="  --> ")
    assert all(cells(row) <= width for row in wrapped.split("\n"))
    assert "".join(wrapped.replace("-->", "", 1).split()) == "".join(text.split())


@given(texts, st.integers(min_value=40, max_value=120))
def test_a_quotation_keeps_the_width(text: str, width: int) -> None:
    quoted = Layout(width, colour=False).quote(text, "   |  ")
    assert all(cells(row) <= width for row in quoted.split("\n"))


def test_a_quotation_breaks_at_spaces() -> None:
    quoted = Layout(40, colour=False).quote("-A FORWARD -i docker0 ! -o docker0 -j ACCEPT", " | ")
    assert quoted == " | -A FORWARD -i docker0 ! -o docker0 -j\n |   ACCEPT"


def test_what_is_cut_says_so() -> None:
    assert cut("forward-drop on network:bridge", 20) == "forward-drop on n..."
    assert cut("short", 20) == "short"
