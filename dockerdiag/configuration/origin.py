"""Where a setting was written, and text that remembers its lines."""

from collections.abc import Iterable

from dockerdiag.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that a value comes from."""

    path: str
    """A file, or what else says it: `/proc/812/cmdline`, `docker info`, `default`."""
    line: int | None
    """Counted from 1; None where the place has no lines."""
    text: str
    """How it reads there."""

    @property
    def source(self) -> str:
        """`path:line`, as evidence names it."""
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class LocatedText:
    """Text whose every character knows the physical line on which it stands.

    A setting may be spread over many lines by continuation; the flag that matters stands on one of them.
    """

    text: str
    lines: tuple[int, ...]
    """As long as `text`."""
    start: int
    """The line of the first character; where there is none, of the place where it would be."""

    @classmethod
    def on_line(cls, text: str, line: int) -> "LocatedText":
        """Text that stands on one line."""
        return cls(text, (line,) * len(text), line)

    @classmethod
    def of(cls, characters: Iterable[tuple[str, int]], start: int) -> "LocatedText":
        """Text made of characters with their lines; surrogates that stand for bytes of UTF-8 are decoded."""
        pairs = list(characters)
        text = "".join(character for character, _ in pairs)
        lines = tuple(line for _, line in pairs)
        if any("\udc80" <= character <= "\udcff" for character in text):
            text, lines = _decoded(text, lines)
        return cls(text, lines, lines[0] if lines else start)

    def __getitem__(self, part: slice) -> "LocatedText":
        lines = self.lines[part]
        return LocatedText(self.text[part], lines, lines[0] if lines else self.start)

    def __len__(self) -> int:
        return len(self.text)

    def __add__(self, other: "LocatedText") -> "LocatedText":
        start = self.start if self.text else other.start
        return LocatedText(self.text + other.text, self.lines + other.lines, start)

    def stripped(self, characters: str) -> "LocatedText":
        """Without any of `characters` at both ends."""
        left = len(self.text) - len(self.text.lstrip(characters))
        return self[left : max(left, len(self.text.rstrip(characters)))]


def _decoded(text: str, lines: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    line_of_byte = [
        line
        for character, line in zip(text, lines, strict=True)
        for _ in character.encode("utf-8", "surrogateescape")
    ]
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    decoded_lines = []
    position = 0
    for character in decoded:
        decoded_lines.append(line_of_byte[position])
        position += len(character.encode("utf-8", "surrogateescape"))
    return decoded, tuple(decoded_lines)
