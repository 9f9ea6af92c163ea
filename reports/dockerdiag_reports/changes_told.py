"""What changed since the last run, in words: the report's `changes`."""

from collections.abc import Iterator, Mapping
from typing import Any

from dockerdiag.dataclass import dataclass
from dockerdiag.report import Report


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of change."""

    heading: str
    lines: tuple[str, ...]


def changes_told(report: Report) -> tuple[Section, ...]:
    """The changes under headings, what matters most first; none where the report has none."""
    return tuple(_sections(report)) if report.changes is not None else ()


def _sections(report: Report) -> Iterator[Section]:
    changes = report.changes or {}
    verdict = changes.get("verdict")
    if isinstance(verdict, Mapping):
        before, after = verdict.get("before"), verdict.get("after")
        was = f"{before} → {after}" if before != after else f"still {after}"
        yield Section(f"since {_moment(changes.get('since'))}", (was,))
    summaries = {one.id: one.summary for result in report.results for one in result.findings}
    host = [one for one in _list(changes.get("host")) if isinstance(one, Mapping)]
    since = _moment(changes.get("host_since"))
    for heading, lines in (
        ("what changed the verdict", [str(one.get("text")) for one in host if one.get("decisive")]),
        ("new", [_with_summary(str(one), summaries) for one in _list(changes.get("found"))]),
        ("gone", [str(one) for one in _list(changes.get("gone"))]),
        (
            f"what else changed on the host since {since}",
            [str(one.get("text")) for one in host if not one.get("decisive")],
        ),
    ):
        if lines:
            yield Section(heading, tuple(lines))


def _with_summary(name: str, summaries: Mapping[str, str]) -> str:
    return f"{name}: {summaries[name]}" if name in summaries else name


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _moment(value: Any) -> str:
    return str(value).replace("T", " ").replace("Z", " UTC") if value else "the last run"
