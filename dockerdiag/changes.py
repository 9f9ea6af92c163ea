"""What changed between two snapshots, or two reports, in words, and which of it changed the verdict."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from dockerdiag.asked import AskedError
from dockerdiag.facts import Fact, facts
from dockerdiag.report import Cause, Finding, Report, Status, Verdict
from dockerdiag.snapshot import PREDATED, NetworkNamespace, Snapshot

Judge = Callable[[Snapshot], Report]

_PARTS: dict[str, Sequence[str]] = {
    "host": ("host",),
    "engine": ("engine", "namespaces", "shims"),
    "daemons": ("daemons",),
    "service": ("service", "journal"),
    "daemon_json": ("daemon_json",),
    "boot_sysctls": ("boot_sysctls",),
    "resolv_conf": ("resolv_conf",),
    "hosts_file": ("hosts_file",),
    "name_service": ("name_service",),
    "network_managers": ("network_managers",),
    "services": ("services",),
    "firewall_files": ("firewall_files",),
    "programs": ("programs",),
}
_WITHIN_NETWORK: dict[str, Sequence[str]] = {
    "network": ("links", "addresses", "routes", "rules", "neighbours", "listeners"),
    "sysctls": ("sysctls",),
    "firewall": ("firewall",),
}
_WORDS = re.compile(r"[\w./:=-]{4,}")
_LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    text: str
    """In words."""
    decisive: bool = False
    """Whether the verdict changed with it: without it the host is judged as before."""
    part: str = ""
    lines: tuple[str, ...] = ()
    """What is new or gone of it, as the host's tools write it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed between two moments."""

    since: str
    """When the older one was taken."""
    verdict: tuple[str, str]
    """Before and after."""
    found: tuple[Finding, ...] = ()
    """Failures, warnings and doubts that were not there before."""
    gone: tuple[Finding, ...] = ()
    """Those that are there no more."""
    host: tuple[Change, ...] = ()
    """On the host, those that changed the verdict first."""
    host_since: str | None = None
    """When the host was read that it is compared with, None where it was not."""

    def __bool__(self) -> bool:
        return self.verdict[0] != self.verdict[1] or bool(self.found or self.gone or self.host)

    def to_dict(self) -> dict[str, Any]:
        """As the report's `changes`."""
        return {
            "since": self.since,
            "verdict": {"before": self.verdict[0], "after": self.verdict[1]},
            "found": [finding.id for finding in self.found],
            "gone": [finding.id for finding in self.gone],
            "host": [{"text": change.text, "decisive": change.decisive} for change in self.host],
            "host_since": self.host_since,
        }


def compared_reports(old: Report, new: Report) -> Changes:
    """What changed from one report to the next, as far as reports tell."""
    before, after = _loud(old), _loud(new)
    facts_of_host = [
        Change(f"{name}: {_value(old.host.get(name))} → {_value(new.host.get(name))}")
        for name in dict.fromkeys((*old.host, *new.host))
        if old.host.get(name) != new.host.get(name)
    ]
    return Changes(
        since=old.taken_at,
        verdict=(old.verdict.value, new.verdict.value),
        found=tuple(finding for id_, finding in after.items() if id_ not in before),
        gone=tuple(finding for id_, finding in before.items() if id_ not in after),
        host=tuple(facts_of_host),
    )


def compared_snapshots(old: Snapshot, new: Snapshot, judge: Judge) -> Changes:
    """What changed on a host from one snapshot to the next, and what of it made the verdict another."""
    before, after = judge(old), judge(new)
    told = compared_reports(before, after)
    found = host_changes(old, new, told, judge)
    return replace(told, host=_telling_first(found, after.cause or before.cause), host_since=old.taken_at)


def since_last_run(
    last: Report, good: Snapshot | None, report: Report, snapshot: Snapshot, judge: Judge
) -> Changes:
    """What changed from the last report to this one; where it is not ok, also on the host since it last was."""
    told = replace(compared_reports(last, report), host=())
    if good is None or not told or report.verdict is Verdict.OK:
        return told
    try:
        since_good = compared_snapshots(good, snapshot, judge)
    except AskedError:
        # A container that was asked about was not there yet: nothing to weigh the changes by.
        return replace(told, host=tuple(_differences(good, snapshot)), host_since=good.taken_at)
    return replace(told, host=since_good.host, host_since=good.taken_at)


def host_changes(old: Snapshot, new: Snapshot, told: Changes, judge: Judge) -> tuple[Change, ...]:
    """What changed on a host; decisive is what, put back as it was, gives the old verdict again."""
    found = list(_differences(old, new))
    if told.verdict[0] == told.verdict[1] and not told.found and not told.gone:
        return tuple(found)
    decisive = _decisive(old, new, tuple(dict.fromkeys(change.part for change in found)), judge)
    evidence = [
        f"{piece.source}: {piece.text}" for finding in (*told.found, *told.gone) for piece in finding.evidence
    ]
    marked = [replace(change, decisive=change.part in decisive) for change in found]
    shown = {
        change.part
        for change in marked
        if change.decisive and any(line in piece for line in change.lines for piece in evidence)
    }
    marked = [
        replace(change, decisive=False)
        if change.part in shown and not any(line in piece for line in change.lines for piece in evidence)
        else change
        for change in marked
    ]
    return tuple(sorted(marked, key=lambda change: not change.decisive))


def _telling_first(changes: Sequence[Change], cause: Cause | None) -> tuple[Change, ...]:
    """Those that changed the verdict, then the others; of each those first that share most words with the cause."""
    if cause is None:
        return tuple(changes)
    evidence = " ".join(f"{piece.source} {piece.text}" for piece in cause.evidence)
    words = set(_WORDS.findall(f"{cause.summary} {cause.subject} {evidence}"))

    def rank(change: Change) -> tuple[bool, bool, float]:
        told = set(_WORDS.findall(change.text))
        quoted = any(line in evidence for line in change.lines)
        return not change.decisive, not quoted, -len(told & words) / max(len(told), 1)

    return tuple(sorted(changes, key=rank))


def _decisive(old: Snapshot, new: Snapshot, parts: Sequence[str], judge: Judge) -> frozenset[str]:
    """Every part that, put back as it was, gives the old judgement; where none does alone, as few as do together."""
    before = _essence(judge(_unasked(old)))

    def restore(chosen: Sequence[str]) -> bool:
        return _essence(judge(_unasked(_with_parts(new, old, chosen)))) == before

    alone = frozenset(part for part in parts if restore((part,)))
    if alone or len(parts) < 2 or not restore(parts):
        return alone
    needed = list(parts)
    for part in parts:
        others = [one for one in needed if one != part]
        if restore(others):
            needed = others
    return frozenset(needed)


def _loud(report: Report) -> dict[str, Finding]:
    return {
        finding.id: finding
        for result in report.results
        for finding in result.findings
        if finding.status in _LOUD and finding.expected is None
    }


def _essence(report: Report) -> object:
    return report.verdict, report.cause and (report.cause.code, report.cause.subject)


def _value(value: object) -> str:
    return "none" if value is None else str(value)


def _with_parts(new: Snapshot, old: Snapshot, parts: Sequence[str]) -> Snapshot:
    """The new snapshot with some parts as they were."""
    for part in parts:
        if part in _WITHIN_NETWORK:
            values = {name: getattr(old.network, name) for name in _WITHIN_NETWORK[part]}
            new = replace(new, network=replace(new.network, **values))
        else:
            new = replace(new, **{name: getattr(old, name) for name in _PARTS[part]})
    return new


def _unasked(snapshot: Snapshot) -> Snapshot:
    """Without the kernel's answers, which belong to the routes of their moment."""
    return replace(
        snapshot,
        network=replace(snapshot.network, route_answers=()),
        namespaces={
            name: replace(one, route_answers=()) if isinstance(one, NetworkNamespace) else one
            for name, one in snapshot.namespaces.items()
        },
    )


# -- in words ---------------------------------------------------------------------------------------------------


def _differences(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    predated = {part for part in _PARTS if PREDATED in (getattr(old, part, None), getattr(new, part, None))}
    before, after = (
        {(one.noun, one.name): one for one in facts(snapshot) if one.part not in predated}
        for snapshot in (old, new)
    )
    for key in dict.fromkeys((*before, *after)):
        was, now = before.get(key), after.get(key)
        if was is None or now is None or was.lines != now.lines:
            yield from _told(was, now)


def _told(was: Fact | None, now: Fact | None) -> Iterator[Change]:
    one = now or was
    if one is None:
        return
    lines_before, lines_after = was.lines if was else (), now.lines if now else ()
    if not one.is_list:
        name = f"{one.noun} {one.name}".strip()
        value = lines_after[0] if lines_after else ""
        if was is None:
            text = f"{name} is new: {value}"
        elif now is None:
            text = f"{name} is gone; it was: {lines_before[0]}"
        else:
            text = f"{name}: {lines_before[0]} → {value}"
        yield Change(text, part=one.part, lines=(one.name,))
        return
    for tag, start, end, new_start, new_end in SequenceMatcher(
        None, lines_before, lines_after, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        for line in lines_before[start:end]:
            moved = line in lines_after and lines_before.count(line) == lines_after.count(line)
            if not moved:
                yield Change(f"{one.noun} removed from {one.name}: {line}", part=one.part, lines=(line,))
        for line in lines_after[new_start:new_end]:
            moved = line in lines_before and lines_before.count(line) == lines_after.count(line)
            verb = "moved within" if moved else "added to"
            yield Change(f"{one.noun} {verb} {one.name}: {line}", part=one.part, lines=(line,))
