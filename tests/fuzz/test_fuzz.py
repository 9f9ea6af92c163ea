"""The fuzzers with a budget for every run, and every input that ever broke something."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.guided import CORPUS, kept
from tests.fuzz.long import run
from tests.fuzz.mutation import STRANGE
from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"
EXAMPLES = 60
MUTATED = 150
SLOW = frozenset(("snapshot-judged", "rules-walked", "ipset"))
"""They walk packets: a tenth of the budget."""


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_inputs_break_nothing(name: str) -> None:
    figures = run(TARGETS[name], MUTATED // 10 if name in SLOW else MUTATED, seconds=60, seed=20260101)
    assert not figures.broken, figures
    assert figures.inputs > 0


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - SLOW))
def test_made_up_inputs_break_nothing(name: str) -> None:
    target = TARGETS[name]
    words = sorted({word for seed in target.seeds()[:20] for word in seed.split()[:200]})
    pieces = st.one_of(st.sampled_from(STRANGE), st.sampled_from(words or [b""]), st.binary(max_size=20))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.lists(pieces, max_size=30), st.sampled_from([b" ", b"\n", b"", b","]))
    def attempt(chosen: list[bytes], between: bytes) -> None:
        target.attempt(between.join(chosen))

    attempt()


def found() -> Iterator[tuple[str, Path]]:
    for path in sorted(FOUND.glob("*/*")):
        yield path.parent.name, path


@pytest.mark.parametrize(("name", "path"), list(found()), ids=lambda each: str(getattr(each, "name", each)))
def test_what_once_broke_something(name: str, path: Path) -> None:
    TARGETS[name].attempt(path.read_bytes())


@pytest.mark.parametrize("name", sorted(path.stem for path in CORPUS.glob("*.zip")))
def test_what_reached_new_code(name: str) -> None:
    inputs = list(kept(name))
    assert inputs
    for data in inputs:
        TARGETS[name].attempt(data)


def test_something_once_broke() -> None:
    assert len(list(found())) >= 3
