"""Changes in words, for a terminal."""

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from dockerdiag.cli.errors import printable

if TYPE_CHECKING:
    from dockerdiag.changes import Changes
    from dockerdiag.report import Finding

_WIDTH = 80
"""Columns, as of the report that may follow."""


def told(changes: "Changes") -> Iterator[str]:
    """Changes as lines for a terminal."""
    if not changes:
        yield f"nothing changed; {changes.verdict[1]}"
        return
    yield " → ".join(dict.fromkeys(changes.verdict))
    yield from _section("what changed the verdict", (one.text for one in changes.host if one.decisive))
    yield from _section("new", map(_finding, changes.found))
    yield from _section("gone", map(_finding, changes.gone))
    since = f" since {changes.host_since}" if changes.host_since else ""
    yield from _section(f"what else changed{since}", (one.text for one in changes.host if not one.decisive))


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == 0:
            yield f"\n{heading}"
        yield from wrap(
            printable(line),
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _finding(finding: "Finding") -> str:
    return f"{finding.status.value}: {finding.summary} [{finding.id}]"
