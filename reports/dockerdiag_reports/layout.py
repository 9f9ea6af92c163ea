"""Lays text out in terminal columns: measures, wraps and colours it.

Wrapping comes from here rather than from `textwrap`, which counts characters: an East Asian character fills
two columns, a combining mark none.
"""

import re
import unicodedata
from collections.abc import Mapping

from dockerdiag.dataclass import dataclass

NARROWEST = 40

_SGR = re.compile(r"\x1b\[[\d;]*m")
_STYLES: Mapping[str, str] = {
    "fail": "1;31",
    "broken": "1;31",
    "unknown": "1;35",
    "warn": "1;33",
    "degraded": "1;33",
    "note": "1;34",
    "pass": "32",
    "ok": "1;32",
    "skip": "2",
    "heading": "1",
    "command": "36",
    "dim": "2",
}


def cells(text: str) -> int:
    """How many columns a text fills; colours fill none."""
    plain = _SGR.sub("", text)
    return len(plain) if plain.isascii() else sum(map(_cell, plain))


def cut(text: str, width: int) -> str:
    """The text, or as much of it as leaves room for an ellipsis of three dots."""
    if cells(text) <= width:
        return text
    head, _ = _split(text, max(width - 3, 0))
    return head + "..."


@dataclass(frozen=True, slots=True)
class Layout:
    """A page of some width, with colours or without."""

    width: int
    colour: bool

    def paint(self, text: str, style: str) -> str:
        """The text in the colours of a status, a verdict or a role."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and style in _STYLES else text

    def wrap(self, text: str, first: str = "", rest: str | None = None) -> str:
        """The text within the width.

        Args:
            text: Words; one that is longer than a line is broken.
            first: What the first line starts with.
            rest: What the others start with; as many spaces as `first` fills if None.
        """
        prefix, following = first, " " * cells(first) if rest is None else rest
        rows: list[str] = []
        row = ""
        for word in text.split():
            room = max(self.width - cells(prefix), 8)
            joined = f"{row} {word}" if row else word
            if cells(joined) <= room:
                row = joined
                continue
            if row:
                rows.append(prefix + row)
                prefix = following
                room = max(self.width - cells(prefix), 8)
            row = word
            while cells(row) > room:
                head, row = _split(row, room)
                rows.append(prefix + head)
                prefix = following
                room = max(self.width - cells(prefix), 8)
        rows.append((prefix + row).rstrip())
        return "\n".join(rows)

    def quote(self, text: str, gutter: str) -> str:
        """Source lines behind a gutter, each within the width; their own spaces are kept."""
        room = max(self.width - cells(gutter), 8)
        rows: list[str] = []
        for source in text.rstrip("\n").split("\n"):
            rest = source.rstrip()
            while cells(rest) > room:
                head = _at_space(rest, room)
                rows.append(gutter + head)
                rest = "  " + rest[len(head) :].lstrip()
            rows.append((gutter + rest).rstrip())
        return "\n".join(rows)


def _cell(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _split(text: str, width: int) -> tuple[str, str]:
    """As many characters as fit the width, at least one, and the others."""
    used = 0
    for index, character in enumerate(text):
        used += _cell(character)
        if used > width and index:
            return text[:index], text[index:]
    return text, ""


def _at_space(text: str, width: int) -> str:
    """The longest head of the text that fits and ends at a space, if that is not far from the width."""
    head, rest = _split(text, width)
    if rest.startswith(" "):
        return head
    space = head.rstrip().rfind(" ")
    return head[:space] if space > width // 2 else head
