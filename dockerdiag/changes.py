"""What changed between two snapshots, or two reports, in words, and which of it changed the verdict."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import chain
from types import MappingProxyType
from typing import Any

from dockerdiag.asked import AskedError
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.facts import Fact, Gap, facts, namespace_of
from dockerdiag.report import Cause, Finding, Report, Status, Verdict, words
from dockerdiag.snapshot import PREDATED, NetworkNamespace, Snapshot, Unread

Judge = Callable[[Snapshot], Report]

_PARTS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "host": ("host", "kernel_log"),
        "engine": ("engine", "shims"),
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
        "client_proxies": ("client_proxies",),
        "packages": ("packages",),
    }
)
_WITHIN_NETWORK: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "network": ("links", "addresses", "routes", "rules", "neighbours", "listeners"),
        "sysctls": ("sysctls",),
        "firewall": ("firewall",),
        "counters": ("conntrack_counters", "ip_counters"),
    }
)
_NAMED = 6
"""How many readings that failed are named in one sentence."""
_WORDS = re.compile(r"[\w./:=-]{4,}")
_LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    text: str
    """In words."""
    decisive: bool = False
    """Whether the verdict changed with it: without it the host is judged as before."""
    parts: frozenset[str] = frozenset()
    """What of the snapshot is to be put back to undo it."""
    lines: tuple[str, ...] = ()
    """What is new or gone of it, as the host's tools write it."""

    def quoted_in(self, evidence: Sequence[str]) -> bool:
        """Whether a finding rests on it."""
        return any(line in piece for line in self.lines for piece in evidence)


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
        Change(f"{name.replace('_', ' ')}: {words(old.host.get(name))} → {words(new.host.get(name))}")
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
    found: Sequence[Change] = tuple(_differences(old, new))
    if told.verdict[0] != told.verdict[1] or told.found or told.gone:
        found = _weighed(found, old, new, _evidence(told, before, after), judge)
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


def _weighed(
    found: Sequence[Change], old: Snapshot, new: Snapshot, evidence: Sequence[str], judge: Judge
) -> tuple[Change, ...]:
    """The changes; decisive is what, put back as it was, gives the old verdict again.

    Of a part that is decisive only those changes are that a finding quotes, where it quotes any.
    """
    told = dict.fromkeys(part for change in found for part in sorted(change.parts))
    quoted = {part for change in found if change.quoted_in(evidence) for part in change.parts}
    decisive = _decisive(old, new, sorted(told, key=lambda part: part in quoted), judge)
    return tuple(
        replace(change, decisive=change.quoted_in(evidence) or not change.parts <= quoted)
        if change.parts & decisive
        else change
        for change in found
    )


def _evidence(told: Changes, *reports: Report) -> tuple[str, ...]:
    """What the findings that came and went rest on, and why checks could not judge."""
    pieces = (piece for finding in (*told.found, *told.gone) for piece in finding.evidence)
    reasons = (result.reason for report in reports for result in report.results if result.reason)
    return (*(f"{piece.source}: {piece.text}" for piece in pieces), *reasons)


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
    """Every part that, put back as it was, gives the old judgement; where none does alone, as few as do together.

    Where not even all of `parts` do, others that nothing was told of are put back with them: a bridge comes back with
    its network only. Those that come last are kept rather than those before.
    """
    before = _essence(judge(_unasked(old)))

    def restore(chosen: Sequence[str]) -> bool:
        return _essence(judge(_unasked(_with_parts(new, old, chosen)))) == before

    alone = frozenset(part for part in parts if restore((part,)))
    if alone:
        return alone
    within = [f"{group} of container {name}" for name in _namespaces(old) for group in _WITHIN_NETWORK]
    whole = [namespace_of(name) for name in _namespaces(old)]
    needed = [part for part in (*_PARTS, *_WITHIN_NETWORK, *within, *whole) if part not in parts] + list(
        parts
    )
    for part in tuple(needed):
        others = [one for one in needed if one != part]
        if restore(others):
            needed = others
    return frozenset(needed).intersection(parts)


def _loud(report: Report) -> dict[str, Finding]:
    return {
        finding.id: finding
        for result in report.results
        for finding in result.findings
        if finding.status in _LOUD and finding.expected is None
    }


def _essence(report: Report) -> object:
    return report.verdict, report.cause and (report.cause.code, report.cause.subject)


def _with_parts(new: Snapshot, old: Snapshot, parts: Sequence[str]) -> Snapshot:
    """The new snapshot with some parts as they were."""
    within = {name: getattr(old.network, name) for part in parts for name in _WITHIN_NETWORK.get(part, ())}
    whole = {name: getattr(old, name) for part in parts for name in _PARTS.get(part, ())}
    found = replace(new, network=replace(new.network, **within), **whole)
    return replace(found, namespaces=_namespaces_with_parts(new, old, parts))


def _namespaces_with_parts(
    new: Snapshot, old: Snapshot, parts: Sequence[str]
) -> Mapping[str, NetworkNamespace | Unread]:
    """The namespaces of the engine that is chosen, those of containers that both know as chosen for each."""
    known, other = (old, new) if "engine" in parts else (new, old)
    found = dict(known.namespaces)
    elsewhere = _namespaces(other)
    for container, key in _namespaces(known).items():
        if container not in elsewhere:
            continue
        pair = {known is old: known.namespaces[key], known is not old: other.namespaces[elsewhere[container]]}
        was, now = pair[True], pair[False]
        if isinstance(was, Unread) or isinstance(now, Unread):
            found[key] = was if namespace_of(container) in parts else now
            continue
        values = {
            name: getattr(was if f"{group} of container {container}" in parts else now, name)
            for group, names in _WITHIN_NETWORK.items()
            for name in names
        }
        found[key] = replace(now, **values)
    return found


def _namespaces(snapshot: Snapshot) -> dict[str, str]:
    """Where each running container's namespace is found, by the container's name."""
    engine = snapshot.engine
    containers = (
        () if isinstance(engine, Unread) or isinstance(engine.containers, Unread) else engine.containers
    )
    return {
        one.name: one.namespace
        for one in containers
        if one.namespace is not None and one.namespace in snapshot.namespaces
    }


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
    """What is not as it was, as far as both snapshots tell."""
    told = [list(facts(snapshot)) for snapshot in (old, new)]
    gaps_before, gaps_after = ({one.reading: one for one in side if isinstance(one, Gap)} for side in told)
    facts_before, facts_after = ([one for one in side if isinstance(one, Fact)] for side in told)
    yield from _not_compared(gaps_before, facts_after, "before")
    yield from _not_compared(gaps_after, facts_before, "now")
    unread = gaps_before.keys() | gaps_after.keys()
    of_both = {one.of for one in facts_before} & {one.of for one in facts_after}
    before, after = (
        {(one.noun, one.name): one for one in side if one.rests_on.isdisjoint(unread) and one.of in of_both}
        for side in (facts_before, facts_after)
    )
    for key in dict.fromkeys((*before, *after)):
        was, now = before.get(key), after.get(key)
        if was is None or now is None or was.lines != now.lines:
            yield from _told(was, now)


def _not_compared(gaps: Mapping[str, Gap], others: Sequence[Fact], when: str) -> Iterator[Change]:
    """A sentence for each reason why something that is known of the other snapshot cannot be compared."""
    known = frozenset(chain.from_iterable(one.rests_on for one in others))
    by_reason: dict[str, list[Gap]] = {}
    for gap in gaps.values():
        if gap.reading in known and gap.unread != PREDATED:
            by_reason.setdefault(gap.unread.reason, []).append(gap)
    for reason, missing in by_reason.items():
        names = ", ".join(gap.reading for gap in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        text = f"not compared, since it could not be read {when} ({reason}): {names}{more}"
        yield Change(text, parts=frozenset(gap.part for gap in missing), lines=(reason,))


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
        yield Change(text, parts=frozenset((one.part,)), lines=(one.name,))
        return
    for tag, start, end, new_start, new_end in SequenceMatcher(
        None, lines_before, lines_after, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        for line in lines_before[start:end]:
            moved = line in lines_after and lines_before.count(line) == lines_after.count(line)
            if not moved:
                yield Change(
                    f"{one.noun} removed from {one.name}: {line}", parts=frozenset((one.part,)), lines=(line,)
                )
        for line in lines_after[new_start:new_end]:
            moved = line in lines_before and lines_before.count(line) == lines_after.count(line)
            verb = "moved within" if moved else "added to"
            yield Change(f"{one.noun} {verb} {one.name}: {line}", parts=frozenset((one.part,)), lines=(line,))
