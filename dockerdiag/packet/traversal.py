"""One packet through one base chain, judged in three values.

A rule with a match that cannot be judged is taken both ways. What ends the packet in the chain is collected as
`Ending`s; those with a doubt only may happen. An ending without doubt closes a segment: the kernel goes no further.
The traversal does go on after a drop (and in NAT chains after a binding), as if that rule had not matched, so the
later segments tell what comes next once the first is mended.
"""

from dataclasses import field
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.packet import Packet
from dockerdiag.packet.rules import Chain, Change, Choice, Nat, NoTrack, Rule, Table, Verdict
from dockerdiag.packet.truth import Unknown, first_doubt
from dockerdiag.packet.view import View
from dockerdiag.report import RuleReference

EndingKind = Literal["accept", "policy", "drop", "reject", "unknown", "nat"]

_MAX_SEGMENTS = 16
_MAX_STEPS = 1_000_000
"""Rules that one packet is shown in one base chain; chains that jump to each other twice make 2 to the power of 16."""
_MAX_ENDINGS = 10_000


@dataclass(frozen=True, slots=True)
class Ending:
    """One way in which the packet's time in the base chain ends, or may end."""

    kind: EndingKind
    rule: RuleReference
    path: tuple[RuleReference, ...]
    doubt: Unknown | None
    """None: it closes every way that was still open."""
    packet: Packet
    """The packet as it leaves here."""
    binding: Nat | None = None
    reason: str = ""
    left_by: RuleReference | None = None
    """The rule that left the packet to the policy before the chain's end."""


@dataclass(slots=True)
class Traversal:
    """Walks `view` through the base chain `base` of `table`."""

    table: Table
    base: Chain
    view: View
    endings: list[Ending] = field(default_factory=list)
    tracking_doubt: tuple[Unknown, RuleReference] | None = None
    """A NOTRACK rule that may or may not match."""
    notrack: RuleReference | None = None
    left_by: RuleReference | None = None
    """The rule of the base chain that leaves the packet to the policy before the chain's end."""
    _segments: int = 0
    _steps: int = 0
    _given_up: bool = False

    def run(self) -> list[list[Ending]]:
        """The endings by segment. The first segment is what the kernel does."""
        base = self.base
        hooking = base.hooking
        if hooking is None:
            raise ValueError(f"chain {base.name} is no base chain")
        if base.doubt is not None:
            self.end(
                "unknown", base.own_reference(base.base_text), (), Unknown(base.doubt), reason=base.doubt
            )
        if self.walk_chain(base, (), None, depth=0):
            self.end(*self.policy, (), None, left_by=self.left_by)
        segments: list[list[Ending]] = [[]]
        for ending in self.endings:
            segments[-1].append(ending)
            if ending.doubt is None:
                segments.append([])
        return [segment for segment in segments if segment]

    @property
    def policy(self) -> tuple[EndingKind, RuleReference]:
        """What becomes of a packet that no rule decides."""
        policy = self.base.hooking.policy if self.base.hooking is not None else "accept"
        return "policy" if policy == "accept" else "drop", self.base.own_reference(f"policy {policy}")

    @staticmethod
    def leaving(segment: list[Ending]) -> Packet:
        """The packet as it comes out of a segment: where several endings let it pass, what they agree on."""
        closing = segment[-1]
        packet = closing.packet
        for ending in segment[:-1]:
            if ending.kind in ("accept", "policy"):
                packet = _merge(ending.packet, packet)
        return packet

    def walk_chain(
        self,
        chain: Chain,
        path: tuple[RuleReference, ...],
        doubt: Unknown | None,
        depth: int,
        *,
        beyond_limit: bool = False,
    ) -> bool:
        """Walks `chain`; returns whether the packet may come out at its end.

        `beyond_limit`: it comes here only where a rate limit is used up.
        """
        if depth > 16:
            reason = "the chains jump deeper than the kernel allows"
            self.end("unknown", chain.own_reference(chain.name), path, doubt, reason=reason)
            return True
        escaped: Packet | None = None
        for rule in chain.candidates(self.view):
            if self._is_too_much(chain, path):
                return False
            step = _RuleRun(self, chain, rule, path, doubt, depth, beyond_limit)
            outcome = step.run()
            beyond_limit = beyond_limit or step.leaves_the_excess
            if outcome == "next":
                continue
            if outcome == "ended":
                return self._join(escaped)
            if outcome == "returned":
                if depth == 0:
                    self.left_by = chain.reference(rule)
                self._join(escaped)
                return True
            # It may have returned: what follows only may happen, and the caller goes on in any case.
            doubt = first_doubt(doubt, step.doubt, step.return_doubt)
            escaped = _merge(escaped, self.view.packet) if escaped is not None else self.view.packet
        self._join(escaped)
        return True

    def _is_too_much(self, chain: Chain, path: tuple[RuleReference, ...]) -> bool:
        """Counts a step; gives up, as unknown, where no host's rules are so many."""
        self._steps += 1
        if not self._given_up and (self._steps > _MAX_STEPS or len(self.endings) > _MAX_ENDINGS):
            self._given_up = True
            reason = "the chains jump to each other too often to be followed"
            self.end("unknown", chain.own_reference(chain.name), path, None, reason=reason)
        return self._given_up

    def _join(self, escaped: Packet | None) -> bool:
        if escaped is None:
            return False
        self.take(_merge(escaped, self.view.packet))
        return True

    def take(self, packet: Packet) -> None:
        """Goes on with `packet`."""
        self.view = self.view.with_packet(packet)

    def end(
        self,
        kind: EndingKind,
        rule: RuleReference,
        path: tuple[RuleReference, ...],
        doubt: Unknown | None,
        binding: Nat | None = None,
        reason: str = "",
        left_by: RuleReference | None = None,
    ) -> None:
        """Notes an ending."""
        self.endings.append(Ending(kind, rule, path, doubt, self.view.packet, binding, reason, left_by))
        if doubt is None:
            self._segments += 1

    @property
    def exhausted(self) -> bool:
        """Whether enough has been told: nobody mends so many stops one by one."""
        return self._segments >= _MAX_SEGMENTS


Outcome = Literal["next", "ended", "returned", "perhaps returned"]


@dataclass(slots=True)
class _RuleRun:
    """One rule of a traversal."""

    traversal: Traversal
    chain: Chain
    rule: Rule
    path: tuple[RuleReference, ...]
    outer: Unknown | None
    depth: int
    beyond_limit: bool
    doubt: Unknown | None = None
    """Why this rule only may match."""
    return_doubt: Unknown | None = None
    """Why its verdict map only may return."""
    leaves_the_excess: bool = False
    """Whether it takes all packets that match it but those above its rate limit."""

    def run(self) -> Outcome:
        before = self.traversal.view.packet
        outcome: Outcome = "next"
        by_rate = True
        for item in self.rule.items:
            if isinstance(item, Verdict):
                outcome = self._verdict(item)
            elif isinstance(item, Choice):
                outcome = self._choice(item)
            elif isinstance(item, Nat):
                outcome = self._nat(item)
            elif isinstance(item, Change):
                self._change(item)
                continue
            elif isinstance(item, NoTrack):
                self._notrack()
                continue
            else:
                truth = item(self.traversal.view)
                if isinstance(truth, Unknown):
                    self.doubt = first_doubt(self.doubt, truth)
                    by_rate = by_rate and truth.rate
                elif not truth:
                    break
                continue
            taken = isinstance(item, Verdict) and item.kind in ("accept", "return")
            self.leaves_the_excess = taken and self.doubt is not None and by_rate
            if outcome != "next":
                break
        if self.doubt is not None:
            self.traversal.take(_merge(before, self.traversal.view.packet))
            # Somebody always goes on past a rule that only may match.
            return "perhaps returned" if outcome in ("returned", "perhaps returned") else "next"
        return outcome

    def _change(self, change: Change) -> None:
        before = self.traversal.view.packet
        after = change.apply(self.traversal.view)
        if after.ttl != before.ttl:
            after = replace(after, ttl_set_by=self.chain.reference(self.rule))
        self.traversal.take(after)

    @property
    def _all_doubt(self) -> Unknown | None:
        return first_doubt(self.doubt, self.outer)

    @property
    def _never_exceeded(self) -> bool:
        """Whether it stops only what is above a rate limit, which its counter says was nothing so far."""
        return self.beyond_limit and self.doubt is None and self.rule.packets == 0

    def _end(
        self,
        kind: EndingKind,
        binding: Nat | None = None,
        reason: str = "",
        by: RuleReference | None = None,
    ) -> Outcome:
        walk = self.traversal
        rule = by or self.chain.reference(self.rule)
        walk.end(kind, rule, self.path, self._all_doubt, binding, reason)
        if self._all_doubt is not None:
            return "ended"
        stops = kind in ("drop", "reject", "unknown") or _is_nat(walk.base)
        return "next" if stops and not walk.exhausted else "ended"

    def _verdict(self, verdict: Verdict) -> Outcome:
        if verdict.kind == "continue":
            return "next"
        if verdict.kind == "return":
            if self.depth > 0 or not _is_nat(self.traversal.base):
                return "returned"
            # The rules after it are still to be told: they would bind the flow.
            kind, policy = self.traversal.policy
            return self._end("accept") if kind == "policy" else self._end(kind, by=policy)
        if verdict.kind in ("jump", "goto"):
            return self._jump(verdict)
        if verdict.kind in ("drop", "reject") and self._never_exceeded:
            return "next"
        if verdict.kind in ("drop", "reject", "accept"):
            return self._end(verdict.kind, reason=verdict.reason)
        return self._end("unknown", reason=verdict.reason)

    def _jump(self, verdict: Verdict) -> Outcome:
        walk = self.traversal
        target = walk.table.chains.get(verdict.chain)
        if target is None:
            return self._end("unknown", reason=f"the chain {verdict.chain} it leads to is not known")
        path = (*self.path, self.chain.reference(self.rule))
        if target.doubt is not None:
            walk.end(
                "unknown", target.own_reference(target.name), path, Unknown(target.doubt), reason=target.doubt
            )
        alive = walk.walk_chain(target, path, self._all_doubt, self.depth + 1, beyond_limit=self.beyond_limit)
        if not alive:
            return "ended"
        return "returned" if verdict.kind == "goto" else "next"

    def _choice(self, choice: Choice) -> Outcome:
        """Takes every verdict that may be; goes on where none is certain or one lets the packet go on."""
        walk = self.traversal
        before = after = walk.view.packet
        rule_doubt = self.doubt
        outcomes: list[Outcome] = []
        certain = False
        for truth, verdict in choice.choose(walk.view):
            certain = certain or truth is True
            if isinstance(truth, Unknown):
                self.return_doubt = first_doubt(self.return_doubt, truth)
                self.doubt = first_doubt(rule_doubt, truth)
            else:
                self.doubt = rule_doubt
            walk.take(before)
            outcomes.append(self._verdict(verdict))
            after = _merge(after, walk.view.packet)
        self.doubt = rule_doubt
        if len(outcomes) == 1 and certain:
            return outcomes[0]
        walk.take(after)
        if any(outcome in ("returned", "perhaps returned") for outcome in outcomes):
            return "perhaps returned"
        return "ended" if certain and all(outcome == "ended" for outcome in outcomes) else "next"

    def _nat(self, nat: Nat) -> Outcome:
        view = self.traversal.view
        if nat.family is not None and nat.family != view.packet.family:
            return "next"
        if nat.hooks is not None and view.hook not in nat.hooks:
            return "next"
        return self._end("nat", binding=nat)

    def _notrack(self) -> None:
        walk = self.traversal
        if walk.view.tracked:
            return
        reference = self.chain.reference(self.rule)
        doubt = self._all_doubt
        if walk.view.tracked is None:
            doubt = first_doubt(doubt, Unknown("the chain has the priority of connection tracking itself"))
        if doubt is not None:
            walk.tracking_doubt = walk.tracking_doubt or (doubt, reference)
            return
        packet = walk.view.packet
        walk.notrack = walk.notrack or reference
        walk.take(replace(packet, connection=replace(packet.connection, state="untracked")))


def _is_nat(chain: Chain) -> bool:
    return chain.hooking is not None and chain.hooking.type == "nat"


def _merge(one: Packet, other: Packet) -> Packet:
    """The packet when it is not known which of two it is: marks that differ are not known."""
    if one is other or one == other:
        return other
    mark = other.mark if one.mark == other.mark else None
    connection = other.connection
    if one.connection.mark != connection.mark:
        connection = replace(connection, mark=None)
    same_addresses = one.addresses == other.addresses
    return replace(
        other,
        mark=mark,
        connection=connection,
        ttl=other.ttl if one.ttl == other.ttl else None,
        changed_sets=one.changed_sets | other.changed_sets,
        source_known=other.source_known and one.source_known and same_addresses,
        destination_known=other.destination_known and one.destination_known and same_addresses,
    )
