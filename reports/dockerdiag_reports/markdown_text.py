"""Puts text of the host into Markdown so that it stays text.

Character references are used instead of backslashes: they hold in every Markdown and inside HTML too, and none of
them can begin or end a structure (CommonMark 0.31, 2.5). Code hosts look for mentions, references and addresses
after that, in the text that is shown; a zero-width space parts those.
"""

import re

_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$]|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"^[-+=#:]|^(?P<number>\d{1,9})(?P<mark>[.)])(?=\s|$)")
"""What would begin a list, a heading or an underline: a sign, or a number with its mark."""
_CALLS = re.compile(r"(?<=[@#!~%&$])(?=\w)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bGH-)(?=\d)", re.IGNORECASE)
_PARTED = "\u200b"
_TICKS = re.compile("`+")


def prose(text: str) -> str:
    """A line of text within a paragraph, a list item, a table's cell or an HTML element."""
    words = " ".join(text.split())
    return _referred(_CALLS.sub(_PARTED, words)).replace(_PARTED, "&#8203;")


def code(text: str) -> str:
    """A name within a line, in the type of code; a code span where that is safe."""
    if text and text == text.strip() and not re.search(r"[`|]", text):
        return f"`{text}`"
    return f"<code>{_referred(text)}</code>"


def fence(text: str, language: str = "") -> str:
    """Lines in a fence that is longer than any run of backticks among them."""
    longest = max(map(len, _TICKS.findall(text)), default=0)
    mark = "`" * max(longest + 1, 3)
    return f"{mark}{language}\n{text}\n{mark}"


def _referred(text: str) -> str:
    return _AT_START.sub(_reference, _SPECIAL.sub(_reference, text))


def _reference(found: re.Match[str]) -> str:
    number = found.groupdict().get("number") or ""
    return f"{number}&#{ord(found[0][len(number)])};"
