"""Compares what probes met with what the walks of the same packets say; counters settle who is right."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from dockerdiag import report
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.flow import Journey
from dockerdiag.packet.rules import Choice, Rule, Ruleset, Table
from dockerdiag.packet.rules import Verdict as RuleVerdict
from dockerdiag.packet.walk import rule_name
from dockerdiag.packet.world import Terrain, World
from dockerdiag.report import Disposition, Hop, RuleCount
from dockerdiag.snapshot import Address, Probe, RisenCounter, Snapshot, Unread

Comparison = Literal["agrees", "settles", "contradicts", "beyond-host", "on-host", "none"]

_MUST_BE_ANSWERED = ("tcp", "dns")
"""A target need not answer an echo request or a datagram."""
_STOPS = ("drop", "reject")


@dataclass(frozen=True, slots=True)
class Walked:
    """One walk, and the containers that it stands for."""

    containers: tuple[str, ...]
    journey: Journey


@dataclass(frozen=True, slots=True)
class Compared:
    """One probe beside the walk of its packet."""

    probe: Probe
    comparison: Comparison
    text: str
    """In a sentence; empty for `none` where there is nothing to say."""
    counters: tuple[RuleCount, ...]
    """Rules that can stop a packet and counted one meanwhile."""
    journey: Journey | None
    """The walk; None where there is none."""
    by_host: Probe | None
    """The same probe from the host itself."""

    def to_report(self) -> report.Probe:
        """As the report shows it."""
        probe = self.probe
        return report.Probe(
            container=probe.sender,
            kind=probe.kind,
            to=probe.to,
            name=probe.name,
            outcome=probe.outcome,
            detail=probe.detail,
            sent=probe.sent,
            milliseconds=probe.milliseconds,
            addresses=probe.addresses,
            mtu=probe.mtu,
            comparison=self.comparison,
            text=self.text,
            counters=self.counters,
        )


def compare(world: World, walks: Sequence[Walked]) -> tuple[Compared, ...]:
    """Every probe of the snapshot, compared."""
    snapshot = world.snapshot
    if isinstance(snapshot.probes, Unread):
        return ()
    by_host = {(one.kind, one.to, one.name): one for one in snapshot.probes if one.sender is None}
    found = []
    for probe in snapshot.probes:
        journey = next((w.journey for w in walks if _same_packet(probe, w)), None)
        counters = tuple(_stopping(world, probe, journey))
        host = by_host.get((probe.kind, probe.to, probe.name)) if probe.sender is not None else None
        comparison, text = _judge(probe, journey, counters, host, _own_addresses(snapshot))
        found.append(Compared(probe, comparison, text, counters, journey, host))
    return tuple(found)


def corrected(journey: Journey, compared: Iterable[Compared]) -> Journey:
    """The walk in the light of its packet's probes: unknown where one contradicts it, known where one settles it."""
    for one in compared:
        if one.journey is not journey:
            continue
        if one.comparison == "contradicts":
            return _unsure(journey, one.text)
        if one.comparison == "settles":
            return _settled(journey, one)
    return journey


def _same_packet(probe: Probe, walked: Walked) -> bool:
    return probe.sender in walked.containers and walked.journey.flow.to == probe.to


def _judge(
    probe: Probe,
    journey: Journey | None,
    counters: Sequence[RuleCount],
    host: Probe | None,
    own: frozenset[str],
) -> tuple[Comparison, str]:
    if probe.outcome == "not-made":
        return "none", ""
    if probe.kind == "path-mtu":
        return _path_mtu(probe, host)
    if journey is None:
        return "none", ""
    if journey.disposition is Disposition.UNKNOWN:
        return _beside_unknown(probe, journey, counters)
    if journey.disposition is Disposition.DELIVERED:
        return _beside_delivered(probe, journey, counters, host, own)
    if probe.outcome == "answered" or (probe.outcome == "refused" and not _may_refuse(journey)):
        return "contradicts", f"the walk ends at {_end(journey)}, and yet the probe was {probe.outcome}"
    proof = _proof(counters, journey)
    return "agrees", f"as the walk says: it ends at {_end(journey)}{proof}"


def _may_refuse(journey: Journey) -> bool:
    """Whether what ends the walk looks like a refusal by the target: a forged TCP reset, or an address of the host."""
    return journey.disposition is Disposition.REJECTED


def _beside_delivered(
    probe: Probe,
    journey: Journey,
    counters: Sequence[RuleCount],
    host: Probe | None,
    own: frozenset[str],
) -> tuple[Comparison, str]:
    if probe.outcome == "answered":
        return "agrees", "as the walk says: delivered and answered"
    walk = "the walk says delivered"
    counted_all = [one for one in counters if _counted_all(one, probe)]
    if counted_all:
        rule = counted_all[0]
        counted = f"{rule_name(rule.rule)} counted {rule.after - rule.before} packets meanwhile"
        return "contradicts", f"{walk}, and the probe was {probe.outcome}: {counted}"
    if probe.outcome == "refused":
        return "agrees", "as the walk says: delivered; the target refuses"
    if probe.outcome == "unreachable":
        if probe.offender is not None and probe.offender not in own:
            return "beyond-host", f"{probe.offender}, which is not this host, refuses it: {probe.detail}"
        return "contradicts", f"{walk}, and this host refuses the probe: {probe.detail}"
    answered = host is not None and host.outcome in ("answered", "refused")
    if probe.kind not in _MUST_BE_ANSWERED and not answered:
        return "none", "no answer; the target need not give one"
    if journey.flow.destination.is_loopback:
        return "none", "the walk reaches this resolver in the container; whom it asks itself decides"
    beside = "" if host is None else f"; the host itself {_by_host(host)}"
    if probe.tracked == "unreplied":
        return "beyond-host", f"the packet passed all of this host's rules and no answer came back{beside}"
    if probe.tracked == "replied":
        return "contradicts", f"{walk}, and an answer came back to this host, but not to the sender{beside}"
    if probe.tracked == "absent" and journey.translation is not None:
        return "contradicts", f"{walk}, and the packet never passed this host's rules{beside}"
    return "contradicts", f"{walk}, and nothing was answered; where it was lost cannot be told{beside}"


def _counted_all(count: RuleCount, probe: Probe) -> bool:
    """Whether a rule may have stopped every packet of the probe: other traffic makes counters rise too.

    Only a rejection can look like a refusal by the target.
    """
    rejects = "reject" in count.rule.text.lower()
    return count.after - count.before >= (probe.sent or 1) and (probe.outcome != "refused" or rejects)


def _beside_unknown(probe: Probe, journey: Journey, counters: Sequence[RuleCount]) -> tuple[Comparison, str]:
    if probe.outcome in ("answered", "refused") and not counters:
        return (
            "settles",
            f"the walk could not tell, and the probe was {probe.outcome}: this packet is delivered",
        )
    if probe.outcome != "answered" and _risen_halt(journey, counters) is not None:
        return "settles", f"the walk could not tell; it ends at {_end(journey)}{_proof(counters, journey)}"
    return "none", "the walk could not tell, and neither does the probe"


def _path_mtu(probe: Probe, host: Probe | None) -> tuple[Comparison, str]:
    if probe.outcome == "answered" or probe.mtu is None:
        told = (
            ""
            if probe.outcome == "answered"
            else "no answer to an ordinary echo request, so nothing is known"
        )
        return "none", told
    whole = host is not None and host.outcome == "answered" and host.mtu is not None and host.mtu >= probe.mtu
    if whole and probe.sender is not None:
        text = f"large packets are lost on this host: its own of {host.mtu if host else 0} bytes are answered"
        return "on-host", text
    return "none", "a target may leave large echo requests unanswered, so nothing is known"


def _by_host(host: Probe) -> str:
    return {"answered": "gets an answer", "refused": "is refused by the target"}.get(
        host.outcome, "gets none either"
    )


def _end(journey: Journey) -> str:
    return journey.halts[0].at if journey.halts else journey.disposition.value


def _proof(counters: Sequence[RuleCount], journey: Journey) -> str:
    """The counter of the rule that the walk ends at, else of one that can stop packets."""
    rule = journey.halts[0].rule if journey.halts else None
    own = [one for one in counters if rule is not None and _same_rule(one.rule, rule)]
    for one in own or counters:
        name = "its counter" if own else f"the counter of {rule_name(one.rule)}"
        return f"; {name} rose from {one.before} to {one.after} during the probe"
    return ""


def _own_addresses(snapshot: Snapshot) -> frozenset[str]:
    addresses: tuple[Address, ...] | Unread = snapshot.network.addresses
    return frozenset(() if isinstance(addresses, Unread) else (one.address for one in addresses))


# -- counters ----------------------------------------------------------------------------------------------------


def _stopping(world: World, probe: Probe, journey: Journey | None) -> Iterator[RuleCount]:
    """The rules that can stop a packet and counted some; first the one that the walk ends at."""
    if probe.outcome == "answered":
        return
    halt = journey.halts[0] if journey is not None and journey.halts else None
    found = [
        RuleCount(reference, counter.within, counter.before, counter.after)
        for counter in probe.counters
        for reference, stops in _rules(
            _ruleset(world, probe, counter), counter, _hooks(probe, counter, journey)
        )
        if stops or (halt is not None and halt.rule is not None and _same_rule(reference, halt.rule))
    ]
    at = halt.rule if halt is not None else None
    yield from sorted(found, key=lambda one: at is None or not _same_rule(one.rule, at))


def _ruleset(world: World, probe: Probe, counter: RisenCounter) -> Ruleset | None:
    if counter.within == "host":
        return world.host.ruleset
    container = next((one for one in world.containers if one.name == probe.sender), None)
    terrain = world.terrain_of(container) if container is not None else None
    return terrain.ruleset if isinstance(terrain, Terrain) else None


_FORWARDED: frozenset[str] = frozenset(("ingress", "prerouting", "forward", "postrouting", "egress"))


def _hooks(probe: Probe, counter: RisenCounter, journey: Journey | None) -> frozenset[str] | None:
    """The hooks that the packet and its answer meet in these rules; None: any of them."""
    forwarded = journey is not None and journey.entry is not None and counter.within == "host"
    # What the host itself says of a packet that is too large leaves by its output.
    return _FORWARDED if forwarded and probe.kind != "path-mtu" else None


def _reached(table: Table, hooks: frozenset[str]) -> frozenset[str]:
    """The chains of a table that packets of these hooks can come to."""
    found: set[str] = set()
    pending = [c.name for c in table.chains.values() if c.hooking is not None and c.hooking.hook in hooks]
    while pending:
        name = pending.pop()
        if name in found or name not in table.chains:
            continue
        found.add(name)
        items = [item for rule in table.chains[name].rules for item in rule.items]
        if any(isinstance(item, Choice) for item in items):
            return frozenset(table.chains)  # a verdict map may lead anywhere
        pending += [one.chain for one in items if isinstance(one, RuleVerdict) and one.chain]
    return frozenset(found)


def _rules(
    ruleset: Ruleset | None, counter: RisenCounter, hooks: frozenset[str] | None
) -> Iterator[tuple[report.RuleReference, bool]]:
    for table in ruleset.tables if ruleset is not None else ():
        legacy = table.backend == "iptables-legacy"
        if (table.family, table.name, legacy) != (
            counter.family,
            counter.table,
            counter.backend == "iptables-legacy",
        ):
            continue
        chain = table.chains.get(counter.chain)
        if chain is None or (hooks is not None and chain.name not in _reached(table, hooks)):
            continue
        if counter.index is None:
            dropping = chain.hooking is not None and chain.hooking.policy == "drop"
            yield chain.own_reference("policy drop" if dropping else "policy accept"), dropping
            continue
        for rule in chain.rules:
            if counter.handle == rule.handle if counter.handle is not None else counter.index == rule.index:
                yield chain.reference(rule), _can_stop(rule)


def _can_stop(rule: Rule) -> bool:
    # A verdict map may hold drops; what it chose is not counted apart.
    return any(
        (isinstance(item, RuleVerdict) and item.kind in _STOPS) or isinstance(item, Choice)
        for item in rule.items
    )


def _same_rule(one: report.RuleReference, other: report.RuleReference) -> bool:
    place = (one.family, one.table, one.chain)
    if place != (other.family, other.table, other.chain):
        return False
    if one.handle is not None and other.handle is not None:
        return one.handle == other.handle
    return one.index == other.index


# -- the walk in the light of it ---------------------------------------------------------------------------------


def _risen_halt(journey: Journey, counters: Sequence[RuleCount]) -> int | None:
    for number, halt in enumerate(journey.halts):
        if halt.rule is not None and any(_same_rule(one.rule, halt.rule) for one in counters):
            return number
    return None


def _unsure(journey: Journey, text: str) -> Journey:
    halts = tuple(replace(halt, disposition=Disposition.UNKNOWN) for halt in journey.halts)
    hop = Hop("out", "probe", "unknown", stop=True, rule=None, text=text)
    hops = (*(replace(one, stop=False) for one in journey.hops), hop)
    return replace(journey, disposition=Disposition.UNKNOWN, halts=halts, hops=hops)


def _settled(journey: Journey, one: Compared) -> Journey:
    number = _risen_halt(journey, one.counters)
    if number is None:
        hop = Hop("reply", "probe", "pass", stop=False, rule=None, text=one.text)
        hops = (*(replace(each, stop=False) for each in journey.hops), hop)
        return replace(journey, disposition=Disposition.DELIVERED, halts=(), hops=hops)
    halt = journey.halts[number]
    rejecting = halt.rule is not None and "reject" in halt.rule.text.lower()
    ending = Disposition.REJECTED if rejecting else Disposition.DROPPED
    certain = replace(halt, disposition=ending, reason=f"{halt.reason}; {one.text}")
    rest = tuple(each for at, each in enumerate(journey.halts) if at != number)
    hop = Hop(
        halt.direction,
        halt.place,
        "reject" if rejecting else "drop",
        stop=True,
        rule=halt.rule,
        text=one.text,
    )
    hops = (*(replace(each, stop=False) for each in journey.hops), hop)
    return replace(journey, disposition=ending, halts=(certain, *rest), hops=hops)
