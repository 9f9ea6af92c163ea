"""Strict JSON whose keys know their lines."""

import re
from json import JSONDecodeError, JSONDecoder

from dockerdiag.dataclass import dataclass

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_WORDS = {"true": True, "false": False, "null": None}
_STRINGS = JSONDecoder(strict=True)
_MOST_NESTED = 200
_MOST_DUPLICATES = 10


class JsonSyntaxError(ValueError):
    """Text that is not JSON, at a line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: dockerd refuses `1.0` where it wants a whole one."""

    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """A value of an object and the line on which its key stands."""

    value: "Json"
    line: int
    duplicates: tuple[int, ...] = ()
    """Lines of the same key before it, which this one overrides; the last ten."""


Json = dict[str, Member] | list["Json"] | str | Number | bool | None


def parse_json(text: str, *, trailing_text: bool = False) -> Json:
    """Reads one JSON value.

    Args:
        text: the whole text.
        trailing_text: whether more text after the value is let pass unread.

    Raises:
        JsonSyntaxError: where it is not JSON.
    """
    reader = _Reader(text)
    value = reader.value()
    if not trailing_text:
        reader.end()
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._lines, self._counted = 1, 0

    def value(self) -> Json:
        self._skip_whitespace()
        character = self._text[self._position : self._position + 1]
        if character in {"{", "["}:
            return self._nested(character)
        if character == '"':
            return self._string()
        for word, meaning in _WORDS.items():
            if self._text.startswith(word, self._position):
                self._position += len(word)
                return meaning
        number = _NUMBER.match(self._text, self._position)
        if number is None:
            raise self._error("looking for beginning of value")
        self._position = number.end()
        return Number(number.group())

    def end(self) -> None:
        self._skip_whitespace()
        if self._position < len(self._text):
            raise self._error("after top-level value")

    def _nested(self, opening: str) -> Json:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._error("nested too deep")
        self._position += 1
        value: Json = self._members() if opening == "{" else self._items()
        self._depth -= 1
        return value

    def _members(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        if self._take("}"):
            return members
        while True:
            self._skip_whitespace()
            if not self._text.startswith('"', self._position):
                raise self._error("looking for beginning of object key string")
            line = self._line()
            key = self._string()
            if not self._take(":"):
                raise self._error("after object key")
            before = members.pop(key, None)
            duplicates = (*before.duplicates[1 - _MOST_DUPLICATES :], before.line) if before else ()
            members[key] = Member(self.value(), line, duplicates)
            if self._take("}"):
                return members
            if not self._take(","):
                raise self._error("after object key:value pair")

    def _items(self) -> list[Json]:
        items: list[Json] = []
        if self._take("]"):
            return items
        while True:
            items.append(self.value())
            if self._take("]"):
                return items
            if not self._take(","):
                raise self._error("after array element")

    def _string(self) -> str:
        try:
            text, self._position = _STRINGS.raw_decode(self._text, self._position)
        except JSONDecodeError as error:
            self._position = error.pos
            raise self._error("in string literal") from None
        return str(text)

    def _take(self, character: str) -> bool:
        self._skip_whitespace()
        found = self._text.startswith(character, self._position)
        self._position += found
        return found

    def _skip_whitespace(self) -> None:
        match = _WHITESPACE.match(self._text, self._position)
        if match is not None:
            self._position = match.end()

    def _line(self) -> int:
        self._lines += self._text.count("\n", self._counted, self._position)
        self._counted = max(self._counted, self._position)
        return self._lines

    def _error(self, where: str) -> JsonSyntaxError:
        if self._position >= len(self._text):
            return JsonSyntaxError("unexpected end of JSON input", self._line())
        return JsonSyntaxError(f"invalid character '{self._text[self._position]}' {where}", self._line())
