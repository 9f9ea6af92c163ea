"""Rules in one form, whichever tool printed them: tables, chains, and rules made of matches and actions."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.indexing import ANY_KEY, Index, RuleKey
from dockerdiag.packet.packet import IPAddress, Packet, PortRange
from dockerdiag.packet.truth import Truth, Unknown
from dockerdiag.packet.view import Hook, Layer, View
from dockerdiag.report import RuleReference

Backend = Literal["nft", "iptables-nft", "iptables-legacy"]

Match = Callable[[View], Truth]
"""Whether a packet matches; a rule goes on to its next part only where it does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the packet."""

    kind: Literal["accept", "drop", "reject", "return", "continue", "jump", "goto", "unknown"]
    chain: str = ""
    """Where `jump` and `goto` lead."""
    reason: str = ""
    """Why an `unknown` verdict cannot be foretold, or what else drops the packet than the rule itself."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A verdict map: the verdicts that the packet may meet, certain ones marked True."""

    choose: Callable[[View], list[tuple[Truth, Verdict]]]


@dataclass(frozen=True, slots=True)
class Change:
    """Something a rule does to the packet or its connection, and goes on (marks)."""

    apply: Callable[[View], Packet]


@dataclass(frozen=True, slots=True)
class NoTrack:
    """Takes the packet out of connection tracking, where that has not seen it yet."""


@dataclass(frozen=True, slots=True)
class Nat:
    """Binds the flow's source or destination to another address, port, or both."""

    manipulation: Literal["source", "destination"]
    family: Literal[4, 6] | None
    """None: of any family. A rule for the other family does nothing."""
    address: Callable[[View], IPAddress | Unknown | None]
    """The new address; None leaves it."""
    port: Callable[[View], PortRange | Unknown | None]
    """The new port; None leaves it."""
    hooks: frozenset[Hook] | None = None
    """Where it does something; None: wherever its chain is."""


Action = Verdict | Choice | Change | NoTrack | Nat
Item = Match | Action


def any_key() -> RuleKey:
    """The key of a rule that asks for nothing that chains are indexed by."""
    return ANY_KEY


@dataclass(slots=True)
class Rule:
    """One rule. Its parts are read when a packet first meets it: most rules of a host never are."""

    index: int
    """Counted from 1 within its chain."""
    read: Callable[[], tuple[Item, ...]]
    write: Callable[[], str]
    """The rule as its tool prints it."""
    backend: Backend
    handle: int | None = None
    packets: int | None = None
    key: Callable[[], RuleKey] = any_key
    _items: tuple[Item, ...] | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """Matches and actions, in the order in which the kernel takes them."""
        if self._items is None:
            self._items = self.read()
        return self._items


@dataclass(frozen=True, slots=True)
class Hooking:
    """What makes a chain a base chain."""

    type: Literal["filter", "nat", "route"]
    hook: Hook
    priority: int
    policy: Literal["accept", "drop"]
    devices: tuple[str, ...] | None = ()
    """Of ingress and egress chains: their links. None: not known."""
    doubt: str | None = None
    """Why it may not be in force for this packet, None where it surely is."""


_INDEX_FROM = 8
"""Chains shorter than this are walked rule by rule."""


@dataclass(slots=True)
class Chain:
    """One chain with its rules in order."""

    backend: Backend
    family: str
    table: str
    name: str
    rules: list[Rule] = field(default_factory=list)
    hooking: Hooking | None = None
    handle: int | None = None
    doubt: str | None = None
    """Why its rules may be others than those listed, None where they are sure."""
    _index: Index | None = None

    def reference(self, rule: Rule) -> RuleReference:
        """How a report names `rule` of this chain."""
        return RuleReference(
            backend=rule.backend,
            family=self.family,
            table=self.table,
            chain=self.name,
            handle=rule.handle,
            index=rule.index,
            text=rule.write(),
            packets=rule.packets,
        )

    def own_reference(self, text: str) -> RuleReference:
        """How a report names the chain itself, or its policy, as `text`."""
        return RuleReference(
            backend=self.backend,
            family=self.family,
            table=self.table,
            chain=self.name,
            handle=None,
            index=None,
            text=text,
            packets=None,
        )

    @property
    def base_text(self) -> str:
        """A base chain's declaration, as nft prints it."""
        base = self.hooking
        if base is None:
            return ""
        devices = "".join(f' device "{device}"' for device in base.devices or ())
        return f"type {base.type} hook {base.hook}{devices} priority {base.priority}; policy {base.policy}"

    def candidates(self, view: View) -> Iterator[Rule]:
        """The rules that may match, in order: those that ask for another link or address are left out."""
        packet = view.packet
        if len(self.rules) < _INDEX_FROM or not (packet.source_known and packet.destination_known):
            return iter(self.rules)
        if self._index is None:
            self._index = Index(rule.key() for rule in self.rules)
        addresses = packet.addresses
        found = self._index.positions(view.in_name, view.out_name, addresses.source, addresses.destination)
        return (self.rules[position] for position in found)


@dataclass(slots=True)
class Table:
    """One table."""

    backend: Backend
    family: str
    """`ip`, `ip6`, `inet`, `bridge`, `netdev`, `arp`."""
    name: str
    chains: dict[str, Chain] = field(default_factory=dict)
    dormant: bool = False
    handle: int | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Rules that may be there and could not be read."""

    layers: frozenset[Layer]
    families: frozenset[int]
    """IP versions whose packets they may meet."""
    backend: Backend
    reason: str


@dataclass(slots=True)
class Ruleset:
    """Everything netfilter holds in one network namespace."""

    tables: list[Table] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    _hooked: dict[tuple[Layer, Hook], list[tuple[Table, Chain]]] | None = None
    _tracked: frozenset[int] | None = None

    def tracks(self, version: int) -> bool:
        """Whether a rule has the kernel track connections of that IP version: it does where one needs it."""
        if self._tracked is None:
            self._tracked = frozenset(
                found
                for table in self.tables
                for chain in table.chains.values()
                for rule in chain.rules
                for found in _tracked_by(rule.write(), table.family)
            )
        return version in self._tracked

    def base_chains(self, layer: Layer, hook: Hook) -> list[tuple[Table, Chain]]:
        """The base chains of one hook, in the order of their priorities."""
        if self._hooked is None:
            self._hooked = {}
            for table in self.tables:
                for chain in table.chains.values():
                    if chain.hooking is not None and not table.dormant:
                        place = (layer_of(table.family, chain.hooking.hook), chain.hooking.hook)
                        self._hooked.setdefault(place, []).append((table, chain))
            for chains in self._hooked.values():
                chains.sort(key=_order)
        return self._hooked.get((layer, hook), [])


_NEEDS_TRACKING = re.compile(
    r"\bct\b|synproxy|\bflow (?:add|offload)|-m (?:conntrack|state|connmark|connbytes|connlimit|connlabel|helper)\b"
    r"|-j (?:MASQUERADE|SNAT|DNAT|REDIRECT|NETMAP|CONNMARK|CONNSECMARK|CT|SYNPROXY)\b"
    r"|\b(?:masquerade|snat|dnat|redirect)\b(?: (?P<family>ip6?) )?"
)


def _tracked_by(text: str, family: str) -> Iterable[int]:
    versions = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "bridge": (4, 6)}.get(family, ())
    for found in _NEEDS_TRACKING.finditer(text) if versions else ():
        yield from {"ip": (4,), "ip6": (6,)}.get(found["family"] or "", versions)


def _order(entry: tuple[Table, Chain]) -> tuple[int, int, int]:
    table, chain = entry
    # At equal priority the kernel puts the chain that was registered last in front; handles grow with time.
    return (chain.hooking.priority if chain.hooking else 0, -(table.handle or 0), -(chain.handle or 0))


def layer_of(family: str, hook: Hook) -> Layer:
    """Where the chains of a family's hook meet packets."""
    if family == "netdev" or hook in ("ingress", "egress"):
        return "netdev"
    return "arp" if family == "arp" else "bridge" if family == "bridge" else "inet"
