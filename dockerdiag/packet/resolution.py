"""How a machine learns a neighbour's hardware address: ARP, or neighbour discovery, and the rules that they meet.

To a neighbour whose hardware address it does not know the kernel sends nothing but the question for it. Question and
answer pass rules of their own: ARP those of the families arp, bridge and netdev, neighbour discovery those of IPv6.
"""

from collections.abc import Iterator
from ipaddress import IPv6Address

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet import ethernet
from dockerdiag.packet.links import VALID
from dockerdiag.packet.netfilter import Hook, Layer, Stop
from dockerdiag.packet.packet import Connection, IPAddress, Packet, Tuple
from dockerdiag.packet.rulings import Rulings
from dockerdiag.packet.trail import Trail
from dockerdiag.packet.world import Station, Terrain, World
from dockerdiag.snapshot.model import Link, Unread

_SOLICITATION, _ADVERTISEMENT = 135, 136
_DISCOVERY_LENGTH = 40 + 24 + 8
_HOP_LIMIT = 255
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_SOLICITED_NODE = int(IPv6Address("ff02::1:ff00:0"))


@dataclass(frozen=True, slots=True)
class Side:
    """One of two neighbours; without a terrain a machine that is not seen."""

    terrain: Terrain | None = None
    link: Link | None = None
    port: Link | None = None
    """The host's link through which its frames reach the other: a port of the bridge, or a parent."""

    @property
    def mac(self) -> str | None:
        """Its hardware address."""
        return self.link.mac if self.link is not None else None

    @classmethod
    def of(cls, station: Station) -> "Side":
        """The container that an address on a bridge belongs to."""
        return cls(station.terrain, station.link, station.port)


@dataclass(frozen=True, slots=True)
class _Step:
    terrain: Terrain
    layer: Layer
    hook: Hook
    in_link: str | None = None
    out_link: str | None = None
    in_port: str | None = None
    out_port: str | None = None
    priorities: range | None = None


class Resolution:
    """Asks for the neighbours on a packet's way, and notes which rules keep question or answer from arriving."""

    def __init__(self, world: World, trail: Trail, rulings: Rulings) -> None:
        self._world = world
        self._trail = trail
        self._rulings = rulings
        self._heard: set[tuple[int, str, IPAddress]] = set()
        """Who has learned an address from being asked: namespace, link, the asker's address."""

    def resolve(
        self, asker: Side, answerer: Side, toward: IPAddress, packet: Packet, bridge: Link | None = None
    ) -> None:
        """Has `asker` learn the hardware address of `toward`, to which it is about to send `packet`.

        Args:
            asker: Who sends.
            answerer: Who has the address.
            toward: The next hop.
            packet: What is sent.
            bridge: The host's bridge that both are on.
        """
        own = _asking_from(asker, toward, packet)
        if own is None:
            return
        state = ""
        if asker.terrain is not None and asker.link is not None:
            if not asker.link.arp or isinstance(asker.terrain.namespace.neighbours, Unread):
                return
            entry = asker.terrain.neighbour(asker.link, toward)
            state = entry.state if entry is not None else ""
            if state in ("permanent", "noarp") or self._key(asker, toward) in self._heard:
                return
        if answerer.terrain is not None and state not in VALID:
            self._heard.add(self._key(answerer, own))
        question, answer = _exchange(asker, answerer, own, toward)
        for frame, sender, receiver in ((question, asker, answerer), (answer, answerer, asker)):
            for step in self._way(sender, receiver, bridge, frame):
                self._take(step, frame, toward, known=state in VALID)

    @staticmethod
    def knows(asker: Side, toward: IPAddress) -> bool:
        """Whether the kernel has a hardware address for a neighbour, and asks for none."""
        if asker.terrain is None or asker.link is None:
            return False
        entry = asker.terrain.neighbour(asker.link, toward)
        return not asker.link.arp or (entry is not None and entry.state in VALID)

    @staticmethod
    def _key(side: Side, address: IPAddress) -> tuple[int, str, IPAddress]:
        return (id(side.terrain), side.link.name if side.link is not None else "", address)

    def _take(self, step: _Step, frame: Packet, toward: IPAddress, *, known: bool) -> None:
        if not self._rulings.may_stop(step.terrain, step.layer, step.hook):
            return
        frame = replace(
            frame,
            in_link=step.in_link,
            out_link=step.out_link,
            in_port=step.in_port,
            out_port=step.out_port,
        )
        stops = self._rulings.stops(step.terrain, step.layer, step.hook, frame, step.priorities)
        what = f"{_what(frame)} for {toward}"
        place = step.hook if step.layer == "inet" else f"{step.layer} {step.hook}"
        for stop in stops:
            if not known:
                self._rulings.stopped(step.terrain, place, stop, frame, f"{what}: {stop.reason}")
            elif stop.verdict != "unknown":
                self._known_for_now(step, place, stop, what)
                self._rulings.stopped(step.terrain, place, stop, frame, f"{what}: {stop.reason}", later=True)
                return

    def _known_for_now(self, step: _Step, place: str, stop: Stop, what: str) -> None:
        text = f"{what}: {stop.reason}; its hardware address is known now, and cannot be learned again"
        self._trail.hop(step.terrain, place, text, rule=stop.rule)

    # -- the way of one frame -----------------------------------------------------------------------------------

    def _way(self, sender: Side, receiver: Side, bridge: Link | None, frame: Packet) -> Iterator[_Step]:
        """The hooks that a frame meets, in order."""
        six = frame.protocol != "arp"
        if sender.terrain is not None and sender.link is not None:
            name = sender.link.name
            yield _Step(sender.terrain, "inet" if six else "arp", "output", out_link=name)
            if six:
                yield _Step(sender.terrain, "inet", "postrouting", out_link=name)
            yield _Step(sender.terrain, "netdev", "egress", out_link=name)
        prerouted = False
        if bridge is not None:
            prerouted = six and bool(ethernet.bridge_netfilter(self._world.host.namespace, bridge, 6))
            yield from self._over(bridge, sender, receiver, called=prerouted)
        elif sender.port is not None:
            yield _Step(self._world.host, "netdev", "egress", out_link=sender.port.name)
        elif receiver.port is not None:
            yield _Step(self._world.host, "netdev", "ingress", in_link=receiver.port.name)
        if receiver.terrain is None or receiver.link is None:
            return
        name = receiver.link.name
        yield _Step(receiver.terrain, "netdev", "ingress", in_link=name)
        if six and not (prerouted and receiver.link is bridge):
            yield _Step(receiver.terrain, "inet", "prerouting", in_link=name)
        yield _Step(receiver.terrain, "inet" if six else "arp", "input", in_link=name)

    def _over(self, bridge: Link, sender: Side, receiver: Side, *, called: bool) -> Iterator[_Step]:
        """Through the host's bridge; `called`: br_netfilter hands the frame to the hooks of IPv6."""
        host, name = self._world.host, bridge.name
        left = receiver.port.name if receiver.port is not None else None
        if sender.link is bridge:
            if left is not None:
                yield _Step(host, "bridge", "output", out_link=name, out_port=left)
                yield _Step(host, "bridge", "postrouting", out_link=name, out_port=left)
        else:
            port = sender.port.name if sender.port is not None else None
            if port is not None:
                yield _Step(host, "netdev", "ingress", in_link=port)
            yield from _handed_over(_Step(host, "bridge", "prerouting", name, None, port), called=called)
            if receiver.link is bridge:
                yield _Step(host, "bridge", "input", name, None, port)
            elif left is not None:
                yield from _handed_over(
                    _Step(host, "bridge", "forward", name, name, port, left), called=called
                )
                yield _Step(host, "bridge", "postrouting", name, name, port, left)
                if called:
                    yield _Step(host, "inet", "postrouting", None, name, port, left)
        if left is not None:
            yield _Step(host, "netdev", "egress", out_link=left)


def _handed_over(step: _Step, *, called: bool) -> Iterator[_Step]:
    if not called:
        yield step
        return
    yield replace(step, priorities=ethernet.EARLIER[step.hook])
    yield replace(step, layer="inet")
    yield replace(step, priorities=ethernet.LATER[step.hook])


def _asking_from(asker: Side, toward: IPAddress, packet: Packet) -> IPAddress | None:
    """The address that a machine asks from: the packet's source where it has it, else one of its link's own."""
    source = packet.addresses.source
    if asker.terrain is None or asker.link is None:
        return source
    return asker.terrain.router.asking_address(
        asker.link.name, toward, source if packet.source_known else None
    )


def _exchange(asker: Side, answerer: Side, own: IPAddress, toward: IPAddress) -> tuple[Packet, Packet]:
    if isinstance(toward, IPv6Address):
        asked = IPv6Address(_SOLICITED_NODE | int(toward) & 0xFFFFFF)
        group = asked.packed[-4:].hex(":")
        question = _frame(Tuple(own, asked, None, None), asker.mac, f"33:33:{group}")
        answer = _frame(Tuple(toward, own, None, None), answerer.mac, asker.mac)
        return replace(question, icmp_type=_SOLICITATION), replace(answer, icmp_type=_ADVERTISEMENT)
    question = _frame(Tuple(own, toward, None, None), asker.mac, _BROADCAST)
    answer = _frame(Tuple(toward, own, None, None), answerer.mac, asker.mac)
    return replace(question, arp_operation="request"), replace(answer, arp_operation="reply")


def _frame(addresses: Tuple, mac_source: str | None, mac_destination: str | None) -> Packet:
    six = isinstance(addresses.source, IPv6Address)
    return Packet(
        protocol="icmpv6" if six else "arp",
        addresses=addresses,
        # Connection tracking leaves neighbour discovery alone.
        connection=Connection("untracked" if six else "invalid", "original", addresses),
        mac_source=mac_source,
        mac_destination=mac_destination,
        icmp_code=0 if six else None,
        length=_DISCOVERY_LENGTH if six else None,
        ttl=_HOP_LIMIT if six else None,
    )


def _what(frame: Packet) -> str:
    if frame.arp_operation is not None:
        return f"the ARP {frame.arp_operation}"
    return f"the neighbour {'solicitation' if frame.icmp_type == _SOLICITATION else 'advertisement'}"
