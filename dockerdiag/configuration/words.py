r"""Words as systemd splits them: quotes anywhere in a word, C escapes, and what it does with broken ones.

Inside single quotes escapes work too, unlike in a shell. Quoted next to unquoted text is one word: `a"b c"`.
"""

import re
from collections.abc import Iterator

from dockerdiag.configuration.origin import LocatedText
from dockerdiag.dataclass import dataclass

WHITESPACE = " \t\n\r"

_NAMED_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " ",
    "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip
_NUMERIC_ESCAPE = re.compile(
    r"x(?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<octal>[0-7]{3})"
)


class QuotingError(ValueError):
    """A quote without its partner, or an escape that does not exist."""


@dataclass(frozen=True, slots=True)
class Quoting:
    """How escapes and broken quotes are taken."""

    c_escapes: bool = True
    """False: a backslash just protects the next character."""
    keep_unknown_escapes: bool = False
    """An escape that does not exist stays as written, instead of being an error."""
    relaxed: bool = False
    """Text that ends within quotes or after a backslash ends the word, instead of being an error."""


STRICT = Quoting()
LENIENT = Quoting(keep_unknown_escapes=True)
VARIABLE_VALUE = Quoting(c_escapes=False, relaxed=True)
"""How the value of a `$VARIABLE` that stands alone in ExecStart is split."""


def split_words(source: LocatedText, quoting: Quoting = STRICT) -> Iterator[LocatedText]:
    """The words of a text, one by one, so that those before a broken one are still seen.

    Raises:
        QuotingError: where `quoting` does not forgive what stands there.
    """
    position = 0
    while (found := first_word(source, position, quoting)) is not None:
        word, position = found
        yield word


def first_word(source: LocatedText, position: int, quoting: Quoting) -> tuple[LocatedText, int] | None:
    """The word at or after `position` and where the next one starts; None where no word is left.

    Raises:
        QuotingError: where `quoting` does not forgive what stands there.
    """
    text = source.text
    position = _skip_whitespace(text, position)
    if position == len(text):
        return None
    start = source.lines[position]
    characters: list[tuple[str, int]] = []
    quote = ""
    while position < len(text):
        character, line = text[position], source.lines[position]
        if character == "\\":
            if position + 1 == len(text):
                characters += _trailing_backslash(quoting, within_quotes=bool(quote), line=line)
                quote = ""
                position += 1
                break
            unescaped, length = _unescape(text, position + 1, quoting)
            characters += [(each, line) for each in unescaped]
            position += 1 + length
            continue
        if quote:
            if character == quote:
                quote = ""
            else:
                characters.append((character, line))
        elif character in "'\"":
            quote = character
        elif character in WHITESPACE:
            break
        else:
            characters.append((character, line))
        position += 1
    if quote and not quoting.relaxed:
        raise QuotingError("unbalanced quoting")
    return LocatedText.of(characters, start), _skip_whitespace(text, position)


def _skip_whitespace(text: str, position: int) -> int:
    while position < len(text) and text[position] in WHITESPACE:
        position += 1
    return position


def _trailing_backslash(quoting: Quoting, *, within_quotes: bool, line: int) -> list[tuple[str, int]]:
    if quoting.keep_unknown_escapes and (not within_quotes or quoting.relaxed):
        return [("\\", line)]
    if quoting.relaxed:
        return []
    raise QuotingError("text ends after a backslash")


def _unescape(text: str, position: int, quoting: Quoting) -> tuple[str, int]:
    """What the escape whose letter stands at `position` means, and how long it is without its backslash."""
    letter = text[position]
    if not quoting.c_escapes:
        return letter, 1
    if letter in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[letter], 1
    match = _NUMERIC_ESCAPE.match(text, position)
    if match is not None and (character := _numeric(match)):
        return character, match.end() - match.start()
    if quoting.keep_unknown_escapes:
        return f"\\{letter}", 1
    raise QuotingError(f"unknown escape \\{letter}")


def _numeric(match: re.Match[str]) -> str:
    """The character; empty where there is none of that number. Bytes above 127 come as surrogates."""
    if digits := match["byte"] or match["octal"]:
        byte = int(digits, 16 if match["byte"] else 8)
        if not 0 < byte < 256:
            return ""
        return chr(byte) if byte < 128 else chr(0xDC00 + byte)
    code = int(match["short"] or match["long"], 16)
    is_character = 0 < code < 0x110000 and not 0xD800 <= code < 0xE000
    return chr(code) if is_character else ""
