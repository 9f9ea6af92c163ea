"""Netfilter on paper: what one hook's base chains, of every family and tool, do to one packet."""

from dataclasses import field
from itertools import groupby
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet import nat as translation
from dockerdiag.packet.packet import Packet
from dockerdiag.packet.parse import parse
from dockerdiag.packet.rules import Chain, Ruleset, Table, Unreadable
from dockerdiag.packet.surroundings import Surroundings
from dockerdiag.packet.traversal import Ending, Traversal
from dockerdiag.packet.view import Hook, Layer, View
from dockerdiag.report import RuleReference

__all__ = ["Crossing", "Hook", "Layer", "Passage", "Ruleset", "Stop", "Surroundings", "cross", "parse"]

_CONNTRACK_PRIORITY = -200
_NAT_PRIORITY = {"prerouting": -100, "output": -100, "postrouting": 100, "input": 100}
_FAMILY_VERSIONS = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "bridge": (4, 6), "netdev": (4, 6), "arp": (4,)}


@dataclass(frozen=True, slots=True)
class Stop:
    """One place at which the packet is stopped, or may be."""

    verdict: Literal["drop", "reject", "unknown"]
    """`unknown`: something that could not be judged decides here."""
    rule: RuleReference
    """The rule, or the policy that drops (without handle and index)."""
    base_chain: RuleReference
    path: tuple[RuleReference, ...]
    """The jumps that led there from the base chain."""
    reason: str
    """One plain sentence; where unknown: which match, and why it cannot be judged."""
    left_by: RuleReference | None = None
    """The rule of the base chain that left the packet to the policy before the chain's end."""


@dataclass(frozen=True, slots=True)
class Passage:
    """How one base chain let the packet pass."""

    base_chain: RuleReference
    rule: RuleReference
    """The rule or policy that accepted, the NAT rule that bound, or the rule that ended its tracking."""
    kind: Literal["accept", "policy", "nat", "notrack", "queue"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """What one hook does to one packet."""

    verdict: Literal["accept", "drop", "reject", "unknown"]
    packet: Packet
    """The packet after the hook, as if it had passed where it is stopped."""
    stops: tuple[Stop, ...]
    """The first is what the kernel does; the others would stop the packet next if that one were mended."""
    passages: tuple[Passage, ...]
    nat: RuleReference | None
    """The rule that rewrote the packet here."""
    shadowed_nat: tuple[RuleReference, ...] = ()
    """NAT rules that match but never get the packet, because an earlier rule decided the flow."""
    rerouted: Packet | None = None
    """At output: the packet as it was when it was last routed again; None where the first route holds."""


@dataclass(slots=True)
class _Passing:
    """What some base chains in a row do."""

    view: View
    ruleset: Ruleset
    kernel_stops: list[Stop] = field(default_factory=list)
    """At most one a base chain: what that chain does."""
    later_stops: list[Stop] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    nat: RuleReference | None = None
    shadowed_nat: list[RuleReference] = field(default_factory=list)
    rerouted: Packet | None = None


_Step = tuple[int, list[tuple[Table, Chain]], bool]
"""Priority, the chains, and whether they are NAT chains (which the NAT core asks together)."""


def cross(
    ruleset: Ruleset,
    layer: Layer,
    hook: Hook,
    packet: Packet,
    surroundings: Surroundings,
    priorities: range | None = None,
) -> Crossing:
    """Takes `packet` through every base chain at `hook`.

    Args:
        ruleset: The rules of the packet's network namespace.
        layer: `netdev` for what one link's ingress or egress chains do, `bridge` for the bridge family, `arp` for
            that family, `inet` for all that IP packets meet: nft's ip, ip6 and inet families, iptables of both
            variants.
        hook: The hook.
        packet: The packet as it comes there. At layer `bridge` rules see its ports as interfaces.
        surroundings: Addresses and routes of that namespace.
        priorities: Only chains of these; NAT chains count as one, at the NAT core's own. None: all chains.

    Returns:
        The verdict, the packet as it leaves, and what would stop it there.
    """
    passing = _Passing(View(packet, layer, hook, surroundings), ruleset)
    for priority, group in groupby(_steps(ruleset, passing.view), key=lambda step: step[0]):
        if priorities is None or priority in priorities:
            _pass_group(passing, list(group))
    hidden = [
        _hidden_stop(part)
        for part in ruleset.unreadable
        if layer in part.layers and packet.family in part.families
    ]
    certain = next((stop for stop in passing.kernel_stops if stop.verdict != "unknown"), None)
    first = certain or next(iter([*passing.kernel_stops, *hidden]), None)
    others = [stop for stop in [*passing.kernel_stops, *hidden, *passing.later_stops] if stop is not first]
    return Crossing(
        verdict="accept" if first is None else first.verdict,
        packet=passing.view.packet,
        stops=() if first is None else (first, *others),
        passages=tuple(passing.passages),
        nat=passing.nat,
        shadowed_nat=tuple(passing.shadowed_nat),
        rerouted=passing.rerouted,
    )


def _steps(ruleset: Ruleset, view: View) -> list[_Step]:
    family = view.packet.family
    steps: list[_Step] = []
    nat_chains: list[tuple[Table, Chain]] = []
    for table, chain in ruleset.base_chains(view.layer, view.hook):
        hooking = chain.hooking
        if (
            hooking is None
            or family not in _FAMILY_VERSIONS.get(table.family, ())
            or not _on_link(chain, view)
        ):
            continue
        if hooking.type == "nat":
            # All NAT chains run inside the NAT core, whatever their own priorities: those only order them there.
            nat_chains.append((table, chain))
        else:
            steps.append((hooking.priority, [(table, chain)], False))
    if view.layer == "inet" and view.hook in _NAT_PRIORITY:
        steps.append((_NAT_PRIORITY[view.hook], nat_chains, True))
    return sorted(steps, key=lambda step: step[0])


def _on_link(chain: Chain, view: View) -> bool:
    if view.layer != "netdev" or chain.hooking is None or chain.hooking.devices is None:
        return True
    return (view.in_name if view.hook == "ingress" else view.out_name) in chain.hooking.devices


def _pass_group(passing: _Passing, steps: list[_Step]) -> None:
    """Takes the packet through chains of one priority, whose order the kernel does not show."""
    before = passing.view
    # Within a table handles tell the order.
    tables = {id(table) for _, chains, _ in steps for table, _ in chains}
    mixed = any(is_nat for _, _, is_nat in steps) and len(steps) > 1
    reverse = _Passing(before, passing.ruleset) if len(tables) > 1 or mixed else None
    for step in steps:
        _pass_step(passing, step)
    if reverse is None or passing.view.packet == before.packet:
        return
    for priority, chains, is_nat in reversed(steps):
        _pass_step(reverse, (priority, _reversed_ties(chains) if is_nat else chains, is_nat))
    ends = [(stop.verdict, stop.rule) for stop in reverse.kernel_stops]
    forward = [(stop.verdict, stop.rule) for stop in passing.kernel_stops]
    same_stops = all(stop in forward for stop in ends) and all(stop in ends for stop in forward[-len(ends) :])
    if reverse.view.packet != passing.view.packet or not same_stops:
        table, chain = steps[0][1][0] if steps[0][1] else steps[-1][1][0]
        passing.kernel_stops.append(
            Stop(
                verdict="unknown",
                rule=chain.own_reference(chain.base_text),
                base_chain=chain.own_reference(chain.base_text),
                path=(),
                reason=f"chains of {table.name} and of others have the same priority, and which comes first decides",
            )
        )


def _reversed_ties(chains: list[tuple[Table, Chain]]) -> list[tuple[Table, Chain]]:
    def priority(entry: tuple[Table, Chain]) -> int:
        return entry[1].hooking.priority if entry[1].hooking else 0

    return [entry for _, tie in groupby(chains, key=priority) for entry in reversed(list(tie))]


def _pass_step(passing: _Passing, step: _Step) -> None:
    priority, chains, is_nat = step
    view = passing.view
    tracked: bool | None = True
    if view.hook in ("prerouting", "output") and view.layer == "inet":
        tracked = None if priority == _CONNTRACK_PRIORITY else priority > _CONNTRACK_PRIORITY
    elif view.hook == "ingress":
        tracked = False
    if tracked is not view.tracked:
        passing.view = replace(view, tracked=tracked)
    if is_nat:
        before = _toward(passing.view.packet)
        _pass_nat(passing, chains)
        if view.hook == "output" and _toward(passing.view.packet) != before:
            passing.rerouted = passing.view.packet
    else:
        for table, chain in chains:
            _pass_chain(passing, table, chain)


def _pass_chain(passing: _Passing, table: Table, chain: Chain) -> None:
    traversal = Traversal(table, chain, passing.view)
    segments = traversal.run()
    base = chain.own_reference(chain.base_text)
    doubt = chain.hooking.doubt if chain.hooking else None
    for number, segment in enumerate(segments):
        closing = segment[-1]
        stops = _doubted(_stops_of(segment, base), doubt)
        if not stops and number == 0:
            kind: Literal["accept", "policy"] = "policy" if closing.kind == "policy" else "accept"
            passing.passages.append(Passage(base, closing.rule, kind))
        if number == 0:
            passing.kernel_stops += stops[:1]
            passing.later_stops += stops[1:]
        else:
            passing.later_stops += stops
    _note_tracking(passing, traversal, base)
    packet = Traversal.leaving(segments[-1])
    if doubt is not None and packet != passing.view.packet:
        passing.kernel_stops.append(Stop("unknown", base, base, (), doubt))
    if (
        chain.hooking is not None
        and chain.hooking.type == "route"
        and _routed_by(packet) != _routed_by(passing.view.packet)
    ):
        passing.rerouted = packet
    passing.view = passing.view.with_packet(packet)


def _note_tracking(passing: _Passing, traversal: Traversal, base: RuleReference) -> None:
    if traversal.notrack is not None:
        passing.passages.append(Passage(base, traversal.notrack, "notrack"))
    if traversal.tracking_doubt is not None:
        doubt, rule = traversal.tracking_doubt
        reason = f"this rule may take the packet out of connection tracking: {doubt.reason}"
        passing.kernel_stops.append(Stop("unknown", rule, base, (), reason))


_EFFECT = {
    "accept": "pass",
    "policy": "pass",
    "nat": "pass",
    "drop": "stop",
    "reject": "stop",
    "unknown": "unknown",
}


def _stops_of(segment: list[Ending], base: RuleReference) -> list[Stop]:
    """The stops that one segment's endings amount to; the first is its outcome, none means that it passes."""
    closing = segment[-1]
    effects = {_EFFECT[ending.kind] for ending in segment}
    if effects == {"pass"}:
        return []
    if effects == {"stop"}:
        doubtful = [_stop(ending, base) for ending in segment[:-1]]
        return [_stop(closing, base), *doubtful]
    deciding = next(
        (e for e in segment if e.kind == "unknown" or _EFFECT[e.kind] != _EFFECT[closing.kind]), closing
    )
    if deciding.doubt is None:
        return [_stop(deciding, base)]
    return [_stopped("unknown", deciding, base, deciding.doubt.reason)]


def _doubted(stops: list[Stop], doubt: str | None) -> list[Stop]:
    """The stops of a chain that may not be asked at all."""
    if not stops or doubt is None:
        return stops
    return [replace(stops[0], verdict="unknown", reason=doubt), *stops[1:]]


def _stopped(
    verdict: Literal["drop", "reject", "unknown"], ending: Ending, base: RuleReference, reason: str
) -> Stop:
    return Stop(verdict, ending.rule, base, ending.path, reason, ending.left_by)


def _stop(ending: Ending, base: RuleReference) -> Stop:
    if ending.doubt is not None:
        return _stopped("unknown", ending, base, ending.doubt.reason)
    if ending.kind in ("drop", "reject"):
        verdict: Literal["drop", "reject"] = "reject" if ending.kind == "reject" else "drop"
        what = ending.reason or (
            "the chain's policy drops what no rule decided"
            if ending.rule.index is None
            else f"this rule {verdict}s it"
        )
        return _stopped(verdict, ending, base, what)
    return _stopped("unknown", ending, base, ending.reason)


def _pass_nat(passing: _Passing, chains: list[tuple[Table, Chain]]) -> None:
    view = passing.view
    connection = view.packet.connection
    manipulation = translation.manipulation_at(view.hook)
    if connection.state in ("untracked", "invalid"):
        return
    if connection.direction == "reply" or connection.state == "established":
        passing.view = replace(view, packet=translation.translate_known_flow(view.packet, manipulation))
        return
    if manipulation in connection.nat_bound or not chains:
        return
    _NatCore(passing, manipulation).ask(chains)


@dataclass(slots=True)
class _NatCore:
    """Asks the NAT chains about a flow's first packet, in turn, until one binds it."""

    passing: _Passing
    manipulation: translation.Manipulation
    decided: bool = False
    outcomes: list[tuple[Ending, RuleReference, translation.Bound]] = field(default_factory=list)
    """The rules that bind the flow, or may."""
    doubtful: tuple[Ending, RuleReference] | None = None
    """The first rule that only may bind the flow, or only may leave it to the next chain."""

    def ask(self, chains: list[tuple[Table, Chain]]) -> None:
        view = self.passing.view
        marked = view
        shadowed: list[Ending] = []
        for table, chain in chains:
            traversal = Traversal(table, chain, marked)
            base = chain.own_reference(chain.base_text)
            segments = traversal.run()
            for number, segment in enumerate(segments):
                if self.decided or number > 0:
                    shadowed += [
                        ending for ending in segment if ending.kind == "nat" and ending.doubt is None
                    ]
                    continue
                doubt = chain.hooking.doubt if chain.hooking else None
                if doubt is not None and {ending.kind for ending in segment} - {"accept", "policy"}:
                    self.passing.kernel_stops.append(Stop("unknown", base, base, (), doubt))
                self._first_segment(segment, base, marked, doubt)
            marked = marked.with_packet(Traversal.leaving(segments[0]))
        self._conclude(shadowed, marked)

    def _first_segment(
        self, segment: list[Ending], base: RuleReference, view: View, doubt: str | None
    ) -> None:
        passing = self.passing
        closing = segment[-1]
        stops = _stops_of(segment, base)
        if stops and doubt is None:
            doubt = self._untracked()
        stops = _doubted(stops, doubt)
        passing.kernel_stops += stops[:1]
        passing.later_stops += stops[1:]
        for ending in segment:
            if ending.doubt is not None and _EFFECT[ending.kind] == "pass":
                self.doubtful = self.doubtful or (ending, base)
            if ending.binding is not None:
                bound = translation.bind(ending.binding, view.with_packet(ending.packet))
                self.outcomes.append((ending, base, bound))
        if closing.binding is None and not stops:
            passing.passages.append(
                Passage(base, closing.rule, "policy" if closing.kind == "policy" else "accept")
            )
        left = any(ending.kind in ("accept", "policy") for ending in segment)
        self.decided = closing.kind == "nat" and not left

    def _untracked(self) -> str | None:
        """Why the chains may not be asked: the NAT core leaves packets alone that have no connection."""
        version = self.passing.view.packet.family
        if self.passing.ruleset.tracks(version):
            return None
        return f"no rule has connections of IPv{version} tracked, without which NAT chains are not asked"

    def _conclude(self, shadowed: list[Ending], view: View) -> None:
        passing = self.passing
        nothing = translation.bind_to_nothing(view.packet, self.manipulation)
        packets = [bound.packet for _, _, bound in self.outcomes]
        if not self.decided:
            packets.append(nothing)
        packet = packets[-1]
        if self.decided:
            ending, base, bound = self.outcomes[-1]
            passing.nat = ending.rule
            passing.passages.append(Passage(base, ending.rule, "nat"))
            if bound.doubt is not None:
                passing.kernel_stops.append(_stopped("unknown", ending, base, bound.doubt.reason))
        if self.doubtful is not None and any(_flow(other) != _flow(packet) for other in packets):
            ending, base = self.doubtful
            doubt = ending.doubt.reason if ending.doubt is not None else ""
            passing.kernel_stops.append(_stopped("unknown", ending, base, doubt))
        for ending in shadowed:
            if ending.binding is None:
                continue
            would = translation.bind(ending.binding, view.with_packet(ending.packet))
            if _flow(would.packet) != _flow(packet) and ending.rule not in passing.shadowed_nat:
                passing.shadowed_nat.append(ending.rule)
        passing.view = view.with_packet(packet)


def _routed_by(packet: Packet) -> tuple[object, ...]:
    return (packet.mark, packet.tos, _flow(packet))


def _toward(packet: Packet) -> tuple[object, ...]:
    return (packet.addresses.destination, packet.destination_known)


def _flow(packet: Packet) -> tuple[object, ...]:
    return (packet.addresses, packet.source_known, packet.destination_known)


def _hidden_stop(part: Unreadable) -> Stop:
    reference = RuleReference(
        backend=part.backend,
        family="",
        table="",
        chain="",
        handle=None,
        index=None,
        text="rules that could not be read",
        packets=None,
    )
    return Stop("unknown", reference, reference, (), part.reason)
