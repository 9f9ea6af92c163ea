"""Packets that are larger than a link on the way: who tells their sender, and who keeps TCP segments small."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address

from dockerdiag.dataclass import replace
from dockerdiag.packet.beginning import client_ports
from dockerdiag.packet.flow import Direction, Journey
from dockerdiag.packet.netfilter import Hook, Stop, cross
from dockerdiag.packet.packet import Connection, IPAddress, Packet, PortRange, Tuple
from dockerdiag.packet.rules import Change, Choice, Nat, NoTrack, Rule, Verdict
from dockerdiag.packet.view import View
from dockerdiag.packet.world import Terrain
from dockerdiag.snapshot.model import NetworkNamespace, Unread

_TOO_BIG = {4: ("icmp", 3, 4), 6: ("icmpv6", 2, 0)}
"""Protocol, type and code: fragmentation needed, and packet too big."""
_SEGMENT_SIZE = ("TCPMSS", "maxseg")
_HTTPS = 443
_AT: tuple[Hook, ...] = ("forward", "postrouting")


@dataclass(frozen=True)
class Segments:
    """One journey's large packets at the host that forwards them."""

    host: NetworkNamespace
    journey: Journey

    @cached_property
    def _terrain(self) -> Terrain:
        return Terrain(self.host)

    def announcement_stops(self) -> tuple[Stop, ...]:
        """What keeps the host's own "too big" from the container; the first is what the kernel does."""
        packet = self._announcement()
        stops: list[Stop] = []
        hooks: tuple[Hook, ...] = ("output", "postrouting")
        for hook in hooks if packet is not None else ():
            assert packet is not None  # noqa: S101 - no hook is asked without one
            crossing = cross(self._terrain.ruleset, "inet", hook, packet, self._terrain.router)
            stops += crossing.stops
            packet = crossing.packet
        return tuple(sorted(stops, key=lambda stop: stop.verdict == "unknown"))

    def clamped(self) -> frozenset[Direction]:
        """Which way a rule rewrites the segment size that TCP announces, or may."""
        tables = self._terrain.ruleset.tables
        rules = [
            (chain.hooking.hook if chain.hooking else None, rule)
            for table in tables
            if not table.dormant
            for chain in table.chains.values()
            for rule in chain.rules
            if any(word in rule.write() for word in _SEGMENT_SIZE)
        ]
        return frozenset(
            direction
            for direction, packet in self._openings()
            for at, rule in rules
            if any(self._may_match(rule, hook, packet) for hook in _AT if at in (None, hook))
        )

    def _may_match(self, rule: Rule, hook: Hook, packet: Packet) -> bool:
        if hook == "postrouting":
            packet = replace(packet, in_link=None)
        view = View(packet, "inet", hook, self._terrain.router)
        actions = (Verdict, Choice, Change, NoTrack, Nat)
        return not any(item(view) is False for item in rule.items if not isinstance(item, actions))

    def _openings(self) -> Iterator[tuple[Direction, Packet]]:
        """The two packets that announce a segment size, as the forward hook sees them."""
        container, entry, uplink = self.journey.sent_from, self.journey.entry, self.journey.uplink
        if container is None or entry is None or uplink is None:
            return
        there = self.journey.flow.destination
        namespace = self.journey.flow.source.namespace
        sender = None if isinstance(namespace, Unread) else namespace
        port, ports = PortRange.one(self.journey.flow.port or _HTTPS), client_ports(sender)
        out = Tuple(container, there, ports, port)
        back = Tuple(there, container, port, ports)
        syn = frozenset({"syn"})
        yield "out", Packet("tcp", out, Connection("new", "original", out), entry, uplink, tcp_flags=syn)
        answer = Connection("established", "reply", out)
        yield "reply", Packet("tcp", back, answer, uplink, entry, tcp_flags=syn | {"ack"})

    def _announcement(self) -> Packet | None:
        container, entry = self.journey.sent_from, self.journey.entry
        own = self._own_address(container, entry) if container is not None and entry is not None else None
        if container is None or own is None:
            return None
        protocol, kind, code = _TOO_BIG[container.version]
        there = self.journey.flow.destination
        return Packet(
            "icmp" if protocol == "icmp" else "icmpv6",
            Tuple(own, container, None, None),
            # It belongs to the flow that it speaks of, whose addresses are not translated yet where it is made.
            Connection("related", "reply", Tuple(container, there, None, None)),
            out_link=entry,
            icmp_type=kind,
            icmp_code=code,
            locally_generated=True,
        )

    def _own_address(self, container: IPAddress, entry: str) -> IPAddress | None:
        found = self._terrain.links.addresses(entry, container.version) or ()
        return next((ip_address(one.address) for one in found if one.scope == "global"), None)
