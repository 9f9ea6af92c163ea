"""Takes from a report whatever a terminal or a browser would obey or hide instead of showing it.

Names, labels, rule comments and log lines come from whoever started a container. An escape sequence among
them could repaint a failure as a pass, a bidirectional override could turn a command round, a zero-width
character could make two names look like one. A format cleans the whole report once, before any template
sees it.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from dockerdiag.dataclass import replace
from dockerdiag.dataclass_fields import field_names
from dockerdiag.report import Evidence, Remedy, Report

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    # Strings with a terminator: titles and links (OSC) are the usual ones.
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]+[0-~]"  # character sets
    r"|\x1b[0-~]"  # two characters; also the start of a string that never ends
)
_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters of a visible category that nothing is drawn for."""
_MARKS_IN_A_ROW = 2
"""Diacritics that one letter may carry; more would grow over the lines above and below."""

REPLACEMENT = "\ufffd"
"""Stands in a command for what was taken out, so that the command cannot be mistaken for a complete one."""

T = TypeVar("T")


def line(text: str) -> str:
    """The text on one line: line ends and tabs are spaces, what is not shown is gone."""
    return " ".join(lines(text))


def lines(text: str) -> list[str]:
    """The text's lines, each harmless; tabs reach to the next multiple of eight."""
    if text.isascii() and text.isprintable():
        return [text]
    harmless = _ESCAPE_SEQUENCE.sub("", text)
    return [_shown(part.expandtabs(8)) for part in _LINE_END.split(harmless)]


def command(text: str) -> str:
    """A shell command on one line, in which U+FFFD marks each thing that could not be shown."""
    marked = _LINE_END.sub(REPLACEMENT, _ESCAPE_SEQUENCE.sub(REPLACEMENT, text))
    return _shown(marked.replace("\t", " "), instead=REPLACEMENT)


def clean(report: Report) -> Report:
    """The report with every text of it harmless; only evidence keeps its line ends."""
    return _cleaned(report)


def _shown(text: str, instead: str = "") -> str:
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        hidden = (
            (category[0] == "C" and category != "Co")
            or character in _BLANK_LETTERS
            or _is_selector(character)
        )
        if hidden or marks > _MARKS_IN_A_ROW:
            shown.append(instead)
        elif category == "Zs":
            shown.append(" ")
        else:
            shown.append(character)
    return "".join(shown)


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _cleaned(value: T) -> T:
    cleaned: Any = value
    if isinstance(value, str):
        # An enum's words are ours, and a plain string would lose the enum.
        cleaned = line(value) if type(value) is str else value
    elif isinstance(value, Evidence):
        cleaned = Evidence(source=line(value.source), text="\n".join(lines(value.text)))
    elif isinstance(value, Remedy):
        cleaned = Remedy(
            summary=line(value.summary),
            now=tuple(map(command, value.now)),
            lasting=tuple(map(command, value.lasting)),
            verify=tuple(map(command, value.verify)),
            undo=tuple(map(command, value.undo)),
            risk=line(value.risk),
        )
    elif names := field_names(value):
        changed = {}
        for name in names:
            old = getattr(value, name)
            new = _cleaned(old)
            if new is not old:
                changed[name] = new
        cleaned = replace(cleaned, **changed) if changed else value
    elif isinstance(value, Mapping):
        cleaned = {_cleaned(key): _cleaned(item) for key, item in value.items()}
    elif isinstance(value, tuple | list):
        items = [_cleaned(item) for item in value]
        if any(new is not old for new, old in zip(items, value, strict=True)):
            cleaned = type(value)(items)
    return cast("T", cleaned)
