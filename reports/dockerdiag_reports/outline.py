"""What a report says, in the order in which people are told: shared by the formats that people read."""

from collections import Counter
from collections.abc import Iterable, Mapping
from shlex import quote

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.report import (
    Cause,
    Disposition,
    Finding,
    Probe,
    Report,
    Result,
    RuleCount,
    RuleReference,
    Status,
    Verdict,
    Walk,
    words,
)

PASSES = frozenset({"pass", "accept", "delivered"})
REWRITES = frozenset({"rewrite"})
"""Verdicts of hops behind which the packet goes on. Any other that does not end a walk may hold or not."""

_MATTERS = (Status.FAIL, Status.UNKNOWN, Status.WARN)
_SHOWN_ORDER = (*_MATTERS, Status.NOTE, Status.PASS, Status.SKIP)


_ENDINGS: Mapping[Disposition, str] = {
    Disposition.DELIVERED: "is delivered, and its reply comes back",
    Disposition.DROPPED: "is dropped",
    Disposition.REJECTED: "is rejected",
    Disposition.NO_ROUTE: "finds no route",
    Disposition.NOT_ANSWERED: "gets no answer",
    Disposition.LOOPED: "goes round in a loop",
    Disposition.UNKNOWN: "cannot be followed any further",
}
_BETTER_ENDS: Mapping[Disposition, int] = {Disposition.UNKNOWN: 1, Disposition.DELIVERED: 2}


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding with the check that made it."""

    check: str
    title: str
    finding: Finding
    hence: "tuple[Entry, ...]" = ()
    """What follows from it; empty for what itself follows from something."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Checks that could not judge, all for one reason."""

    reason: str
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """A report's findings and walks, sorted by what they mean to the reader."""

    report: Report
    sentence: str
    """The verdict in a sentence, with its full stop."""
    cause: Cause | None
    cause_title: str
    """What the check of the cause asks; empty without a cause."""
    walk: Walk | None
    """The walk that shows best what the verdict means; None where nothing was walked."""
    others: tuple[Entry, ...]
    """Failed, unknown and warning findings that are not the cause, and follow neither from it nor from another of them,
    worst first."""
    explained: tuple[Entry, ...]
    """Findings that follow from the cause."""
    expected: tuple[Entry, ...]
    """Failed, unknown and warning findings that somebody expects, with the reason; they count for nothing."""
    quiet: tuple[Entry, ...]
    """Notes, passes and skips."""
    undecided: tuple[Undecided, ...]
    """Checks that are unknown as a whole: they have a reason, and no unknown finding."""
    doubts: tuple[str, ...]
    """Why something cannot be told, what weighs most first: unknown findings, undecided checks, unread parts."""

    @property
    def following(self) -> tuple[Entry, ...]:
        """All that follows from something: from the cause, then from others."""
        return (*self.explained, *(each for entry in self.others for each in entry.hence))


def outline(report: Report) -> Outline:
    """Sorts a report; the report is taken as it is, so clean it first."""
    entries = [
        Entry(check=result.check, title=result.title, finding=finding)
        for result in report.results
        for finding in result.findings
    ]
    cause = report.cause
    rest = [entry for entry in entries if not _is_cause(entry, cause)]
    follows = set(cause.explains) if cause else set()
    undecided = _undecided(report)
    matters = [entry for entry in rest if entry.finding.status in _MATTERS]
    loud = [entry for entry in matters if entry.finding.expected is None]
    doubts = _doubts(report, loud, undecided)
    expected = _worst_first(entry for entry in matters if entry.finding.expected is not None)
    return Outline(
        report=report,
        sentence=_sentence(report, doubts, expected),
        cause=cause,
        cause_title=next((each.title for each in report.results if cause and each.check == cause.check), ""),
        walk=_telling_walk(report, entries),
        others=_with_what_follows([entry for entry in loud if entry.finding.id not in follows]),
        explained=_worst_first(entry for entry in loud if entry.finding.id in follows),
        expected=expected,
        quiet=_worst_first(entry for entry in rest if entry.finding.status not in _MATTERS),
        undecided=undecided,
        doubts=doubts,
    )


def rule_place(rule: RuleReference) -> str:
    """Where a rule is, in the words of its own tool."""
    if rule.backend == "nft":
        place = f"nft table {rule.family} {rule.table}, chain {rule.chain}"
    else:
        tool = rule.backend.replace("iptables", "ip6tables") if rule.family == "ip6" else rule.backend
        place = f"{tool} table {rule.table}, chain {rule.chain}"
    if rule.index is not None:
        place += f", rule {rule.index}"
    if rule.handle is not None:
        place += f", handle {rule.handle}"
    return place if rule.index is not None or rule.handle is not None else f"{place}, policy"


def walker(walk: Walk) -> str:
    """Who sends a walk's packet: containers with their address, or somebody outside who wants to reach them."""
    shown = ", ".join(walk.containers[:3])
    more = f" and {len(walk.containers) - 3} more" if len(walk.containers) > 3 else ""
    if walk.hops and walk.hops[0].place.startswith("uplink"):
        return f"outside ({walk.from_}), for {shown}{more}"
    return f"{shown}{more} ({walk.from_})" if shown else f"a container at {walk.from_}"


def ending(walk: Walk) -> str:
    """How a walk ends, as the verb of a sentence about its packet."""
    verb = _ENDINGS[walk.disposition]
    if walk.at is None:
        return verb
    if walk.disposition is Disposition.NO_ROUTE and walk.at.startswith("no route "):
        return f"finds {walk.at}"
    return f"{verb} ({walk.at})" if walk.disposition is Disposition.NOT_ANSWERED else f"{verb} at {walk.at}"


def endings(report: Report) -> list[str]:
    """How the walks of a report end, each as the main clause of a sentence, none twice, the worst first."""
    return list(
        dict.fromkeys(f"the packet to {walk.to} {ending(walk)}" for walk in worst_first(report.walks))
    )


def worst_first(walks: Iterable[Walk]) -> list[Walk]:
    """Those that end badly, those of which that is not known, those that are delivered."""
    return sorted(walks, key=lambda walk: _BETTER_ENDS.get(walk.disposition, 0))


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def moment(report: Report) -> str:
    """When the host was read, as people write it."""
    return report.taken_at.replace("T", " ").replace("Z", " UTC")


def host_name(report: Report) -> str:
    """The host's name, where the report has it."""
    return str(report.host.get("hostname") or "this host")


def host_facts(report: Report) -> list[tuple[str, str]]:
    """What else is known of the host: names and values, those that are empty left out."""
    return [
        (name.replace("_", " "), words(value))
        for name, value in report.host.items()
        if name != "hostname" and value not in (None, "", (), [])
    ]


def probe_told(probe: Probe) -> str:
    """What one probe met, in a line."""
    name = f" ({probe.name})" if probe.name not in (None, ".") else ""
    packets = f", {counted(probe.sent, 'packet')} sent" if probe.sent is not None else ""
    time = f", {probe.milliseconds:g} ms" if probe.milliseconds is not None else ""
    sender = probe.container or "the host"
    return f"{probe.kind} from {sender} to {probe.to}{name}: {probe.outcome}: {probe.detail}{packets}{time}"


def count_told(count: RuleCount) -> str:
    """How a rule's counter rose."""
    whose = "" if count.within == "host" else "in the sender's namespace: "
    return f"{whose}{rule_place(count.rule)}: counter rose from {count.before} to {count.after}"


def probes_told(report: Report) -> str:
    """How many probes were sent and what they met; empty where none was."""
    ends = Counter(probe.outcome for probe in report.probes)
    told = ", ".join(f"{number} {end}" for end, number in ends.most_common())
    return f"{counted(len(report.probes), 'probe')}: {told}" if report.probes else ""


def asked(report: Report) -> str:
    """How much was asked: checks, and walks with their ends."""
    checks = counted(len(report.results), "check") if report.results else "one container's way out"
    probes = f"; {probes_told(report)}" if report.probes else ""
    if not report.walks:
        return f"{checks}; no packet was followed{probes}"
    ends = Counter(walk.disposition.value for walk in report.walks)
    told = ", ".join(f"{number} {end}" for end, number in ends.most_common())
    sent = "" if report.probes else ", none sent"
    walks = counted(len(report.walks), "packet")
    return f"{checks}; {walks} followed through what was read{sent}: {told}{probes}"


def redaction(report: Report) -> tuple[str, ...]:
    """Whether names are replaced, what was replaced and how often, and what was kept: a sentence each."""
    told = report.redaction
    secrets = told.get("secrets_replaced", 0)
    credentials = "Credentials are never kept"
    credentials += f"; *** stands for one in {counted(secrets, 'place')}." if secrets else "."
    kinds = ", ".join(f"{kind} {words(number)}" for kind, number in (told.get("kinds") or {}).items())
    replaced = f"Replaced: {kinds}." if kinds else ""
    if not told.get("redacted"):
        unchanged = "Not redacted: addresses and names are the host's own."
        return tuple(filter(None, (unchanged, replaced, credentials)))
    name = told.get("map")
    sentences = (
        "Redacted: addresses and names are replaced, the same by the same.",
        replaced,
        f"Kept: {'; '.join(map(str, told.get('kept') or ()))}." if told.get("kept") else "",
        credentials,
        "The host that made it puts them back: dockerdiag reveal" + (f" (map {name})." if name else "."),
    )
    return tuple(filter(None, sentences))


def untested(report: Report) -> str:
    """What a report that is ok does not say, and what asks for it; empty for any other."""
    if report.verdict is not Verdict.OK or not report.results:
        return ""
    ways = sorted({walk.to for walk in report.walks})
    names = [name for walk in report.walks for name in walk.containers]
    followed = (
        f"Followed were packets to {', '.join(ways[:3])}{' and others' if ways[3:] else ''}." if ways else ""
    )
    if report.probes:
        other = (
            "Nothing was said over the connections that probes opened: TLS and what follows were not tested."
        )
    elif ways:
        other = (
            "Nothing was sent: a firewall beyond this host, the far end, DNS answers and TLS were not tested."
        )
    else:
        other = "No packet was followed, and nothing was sent."
    how = f"Another destination: dockerdiag trace {quote(names[0]) if names else 'CONTAINER'} HOST:PORT"
    return " ".join(filter(None, (followed, *_left_to_others(report), other, how)))


def _left_to_others(report: Report) -> list[str]:
    """Of networks whose packets were delivered: that their answers depend on routers beyond this host."""
    delivered = {f"network:{one.network}" for one in report.walks if one.disposition is Disposition.DELIVERED}
    return [
        f"{finding.summary}."
        for result in report.results
        for finding in result.findings
        if finding.code == "network-routed" and finding.subject in delivered
    ]


_OUTCOMES: Mapping[Status, str] = {
    Status.FAIL: "failed",
    Status.UNKNOWN: "unknown",
    Status.WARN: "warned",
    Status.NOTE: "noted",
    Status.PASS: "passed",
    Status.SKIP: "did not apply",
}


def tally(report: Report) -> tuple[tuple[Status, str], ...]:
    """How many checks came to what, worst first, and the status whose sign stands for it.

    A check of which all that is loud is expected counts apart, under the sign of a note.
    """
    as_expected = [result for result in report.results if _as_expected(result)]
    counts = Counter(result.status for result in report.results if result not in as_expected)
    told = [(status, f"{counts[status]} {word}") for status, word in _OUTCOMES.items() if counts[status]]
    if as_expected:
        told.append((Status.NOTE, f"{len(as_expected)} as expected"))
    return tuple(told)


def _as_expected(result: Result) -> bool:
    """Whether somebody expects everything that makes a check loud."""
    loud = [finding for finding in result.findings if finding.status in _MATTERS]
    return bool(loud) and all(finding.expected is not None for finding in loud)


def quiet(report: Report) -> str:
    """How many checks are of no concern, and why; empty where all are."""
    counts = Counter(result.status for result in report.results)
    parts = (
        (counts[Status.PASS], "passed"),
        (counts[Status.NOTE], "noted what somebody chose"),
        (counts[Status.SKIP], "did not apply"),
    )
    return ", ".join(f"{counted(number, 'check')} {word}" for number, word in parts if number)


def _is_cause(entry: Entry, cause: Cause | None) -> bool:
    # Two rules may stop packets of one network: findings of one code and subject are not the same finding.
    return cause is not None and Cause.of(entry.check, entry.finding) == cause


def _undecided(report: Report) -> tuple[Undecided, ...]:
    groups: dict[str, list[Result]] = {}
    for result in report.results:
        told = any(finding.status is Status.UNKNOWN for finding in result.findings)
        if result.status is Status.UNKNOWN and not told:
            groups.setdefault(result.reason or "no reason is known", []).append(result)
    return tuple(Undecided(reason, tuple(results)) for reason, results in groups.items())


def _worst_first(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=_rank))


def _with_what_follows(entries: list[Entry]) -> tuple[Entry, ...]:
    """Those that no other explains, worst first, each with what it explains; told once."""
    told: set[str] = set()
    found = []
    for entry in sorted(entries, key=lambda one: _explained_by_others(one, entries)):
        if entry.finding.id in told:
            continue
        hence = [
            one for one in entries if one.finding.id in entry.finding.explains and one.finding.id not in told
        ]
        told |= {one.finding.id for one in hence}
        found.append(replace(entry, hence=_worst_first(one for one in hence if one is not entry)))
    worst = {id(one): min(map(_rank, (one, *one.hence))) for one in found}
    return tuple(sorted(found, key=lambda one: worst[id(one)]))


def _explained_by_others(entry: Entry, entries: list[Entry]) -> bool:
    return any(entry.finding.id in one.finding.explains for one in entries if one is not entry)


def _rank(entry: Entry) -> int:
    return _SHOWN_ORDER.index(entry.finding.status)


def _doubts(report: Report, loud: list[Entry], undecided: tuple[Undecided, ...]) -> tuple[str, ...]:
    return (
        *(entry.finding.summary for entry in loud if entry.finding.status is Status.UNKNOWN),
        *(group.reason for group in undecided),
        *(part.reason for part in report.unread),
    )


def but_for(expected: tuple[Entry, ...]) -> str:
    """What is not as it should be and counts for nothing, in a phrase that a report which is ok owes its reader."""
    noun = "failure" if all(entry.finding.status is Status.FAIL for entry in expected) else "finding"
    return f"in order, but for {counted(len(expected), f'expected {noun}')}"


def _sentence(report: Report, doubts: tuple[str, ...], expected: tuple[Entry, ...]) -> str:
    if report.cause is not None:
        text = report.cause.summary
    elif not report.results and report.walks:
        text = f"By what was read, {'; '.join(endings(report))}"
    elif report.verdict is Verdict.OK and expected:
        text = f"{but_for(expected).capitalize()}: {expected[0].finding.summary}"
    elif report.verdict is Verdict.OK:
        text = "Nothing was found that keeps containers on this host from the internet"
    elif report.verdict is Verdict.UNKNOWN:
        text = "It cannot be told whether containers reach the internet"
        if doubts:
            text = doubts[0] if doubts[0].startswith("Whether ") else f"{text}. {doubts[0]}"
    else:
        text = "Not everything is in order; the findings say what"
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _telling_walk(report: Report, entries: list[Entry]) -> Walk | None:
    chosen_isolation = {entry.finding.subject for entry in entries if entry.finding.status is Status.NOTE}
    subject = report.cause.subject if report.cause else ""

    def subjects(walk: Walk) -> set[str]:
        return {f"network:{walk.network}", *(f"container:{name}" for name in walk.containers)}

    def rank(walk: Walk) -> tuple[bool, int]:
        if walk.disposition is Disposition.DELIVERED:
            interest = 2
        elif subject not in subjects(walk) and subjects(walk) & chosen_isolation:
            interest = 3
        else:
            interest = 1 if walk.disposition is Disposition.UNKNOWN else 0
        return subject not in subjects(walk), interest

    # Where the cause is the whole host's, every walk is as near to it, and how they end decides.
    return min(report.walks, key=rank, default=None)


def told_alike(report: Report) -> dict[str, object]:
    """What every format for people says of a report, by the names that their templates have for it."""
    return {
        "name": host_name(report),
        "facts": host_facts(report),
        "when": moment(report),
        "asked": asked(report),
        "redaction": redaction(report),
        "untested": untested(report),
    }
