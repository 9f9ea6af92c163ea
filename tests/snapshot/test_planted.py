import pytest

from dockerdiag.snapshot.secrets import mask_text
from tests.planted import KINDS, OF_SEVERAL_LINES, Planted, planted

AROUND = (
    "{}",
    "# {}",
    'msg="{}"',
    "ExecStart=/usr/bin/x {}",
    "Nov 24 00:00:01 lab dockerd[7]: {}",
    "127.0.0.1 a # {}",
)


@pytest.mark.parametrize("one", planted("text"), ids=lambda one: one.kind)
@pytest.mark.parametrize("around", AROUND)
def test_no_kind_survives_and_its_line_stays_readable(one: Planted, around: str) -> None:
    masked = mask_text(around.format(one.text)).text
    assert one.secret not in masked
    assert one.words[0] in masked
    assert one.words[1] in masked or "REGISTRY" in masked
    assert mask_text(masked).text == masked


@pytest.mark.parametrize("one", planted("lines", *OF_SEVERAL_LINES), ids=lambda one: one.kind)
def test_no_kind_of_several_lines_survives(one: Planted) -> None:
    masked = mask_text(one.text).text
    assert one.secret not in masked
    assert all(word in masked for word in one.words)
    assert masked.count("\n") == one.text.count("\n")
    assert mask_text(masked).text == masked


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 40
