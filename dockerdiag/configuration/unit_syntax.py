"""The syntax of a unit file: sections, assignments, continuation lines.

A backslash at the end of a line joins the next one, also within quotes; comment lines in between are skipped,
an empty line ends the setting.
"""

import re

from dockerdiag.configuration.origin import LocatedText, Origin
from dockerdiag.configuration.words import WHITESPACE
from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot import TextFile

_LINE_END = re.compile(r"\r\n|\n\r|[\n\r\0]")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `Key=value` of a unit file."""

    section: str
    key: str
    value: LocatedText
    origin: Origin
    """Its first line."""


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit file or drop-in, read."""

    path: str
    assignments: tuple[Assignment, ...]
    diagnostics: tuple[Origin, ...]
    """What systemd would log of it; `text` is the message."""
    truncated: bool
    """Whether systemd stops reading before the end: the rest has no effect."""


def physical_lines(text: str) -> list[str]:
    """The lines of a file as systemd counts them."""
    return _LINE_END.split(text)


def read_unit_file(file: TextFile, sections: frozenset[str]) -> UnitFile:
    """Reads a unit file whose type knows `sections`; assignments in others are ignored, with a diagnostic."""
    assignments: list[Assignment] = []
    diagnostics: list[Origin] = []
    section: str | None = None
    known = False
    for line in _logical_lines(file.text):
        text = line.text
        origin = Origin(file.path, line.start, text)
        if text.startswith("["):
            if not text.endswith("]"):
                diagnostics.append(Origin(file.path, line.start, f"Invalid section header '{text}'"))
                return UnitFile(file.path, tuple(assignments), tuple(diagnostics), truncated=True)
            section = text[1:-1]
            known = section in sections
            if not known and not section.startswith("X-"):
                diagnostics.append(Origin(file.path, line.start, f"Unknown section '{section}'. Ignoring."))
            continue
        key, equals, _ = text.partition("=")
        if section is None:
            diagnostics.append(Origin(file.path, line.start, "Assignment outside of section. Ignoring."))
        elif not known:
            continue
        elif not equals:
            diagnostics.append(Origin(file.path, line.start, "Missing '=', ignoring line."))
        elif not key:
            diagnostics.append(Origin(file.path, line.start, "Missing key name before '=', ignoring line."))
        else:
            value = line[len(key) + 1 :].stripped(WHITESPACE)
            assignments.append(Assignment(section, key.strip(WHITESPACE), value, origin))
    return UnitFile(file.path, tuple(assignments), tuple(diagnostics), truncated=False)


def _logical_lines(text: str) -> list[LocatedText]:
    lines: list[LocatedText] = []
    joined: list[LocatedText] = []
    for number, line in enumerate(physical_lines(text), start=1):
        bare = line.lstrip(WHITESPACE)
        if bare.startswith(("#", ";")):
            continue
        located = LocatedText.on_line(line.removeprefix("\ufeff") if number == 1 else line, number)
        if _ends_in_backslash(located.text):
            joined += (located[:-1], LocatedText.on_line(" ", number))
            continue
        lines.append(_joined([*joined, located]))
        joined = []
    if joined:
        lines.append(_joined(joined))
    return [stripped for line in lines if (stripped := line.stripped(WHITESPACE)).text]


def _joined(parts: list[LocatedText]) -> LocatedText:
    text = "".join(part.text for part in parts)
    start = next((part.start for part in parts if part.text), parts[-1].start)
    return LocatedText(text, tuple(line for part in parts for line in part.lines), start)


def _ends_in_backslash(text: str) -> bool:
    # A backslash that is itself escaped does not continue the line.
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1
