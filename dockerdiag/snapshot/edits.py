"""What takes credentials out of a text: rules that say where one stands and what is put in its place."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

MASK = "***"
"""What stands in a credential's place."""


class Edit(NamedTuple):
    """What is put in the place of some characters."""

    start: int
    end: int
    text: str


Rule = Callable[[str], Iterable[Edit]]
"""Says what is to be put where in a text, in the order of the text."""


def by(pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> Rule:
    """The rule that puts the replacement in each match's place, leaving alone what both begin with."""

    def edits(text: str) -> Iterator[Edit]:
        for match in pattern.finditer(text):
            new = replacement(match)
            if new != match[0]:
                kept = next(
                    (at for at, pair in enumerate(zip(match[0], new, strict=False)) if pair[0] != pair[1]), 0
                )
                yield Edit(match.start() + kept, match.end(), new[kept:])

    return edits


def where(character: str, rule: Rule) -> Rule:
    """The rule, not asked about texts without that character or word, which most are."""
    return lambda text: rule(text) if character in text else ()


def in_order(edits: Iterable[Edit]) -> Iterator[Edit]:
    """The edits of several rules, those left out that meet one before them."""
    position = 0
    for edit in sorted(edits):
        if edit.start >= position:
            position = edit.end
            yield edit


def mask_of(value: str) -> str:
    """The mask for a value, of as many lines."""
    return MASK + "".join(re.findall(r"\\?\n", value))
