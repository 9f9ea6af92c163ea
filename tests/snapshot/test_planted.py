import pytest

from dockerdiag.snapshot.secrets import mask_text
from tests.planted import KINDS, Planted, planted

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


def test_there_are_twenty_kinds() -> None:
    assert len(KINDS) == 20
