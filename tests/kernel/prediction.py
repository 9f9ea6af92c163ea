"""What `dockerdiag.packet.netfilter` says of a packet in these namespaces, hook by hook."""

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Literal

from dockerdiag.packet.ethernet import EARLIER, LATER
from dockerdiag.packet.netfilter import Hook, Layer, Ruleset, Stop, cross
from dockerdiag.packet.packet import Connection, IPAddress, Packet, PortRange, Tuple
from tests.kernel.frames import FLAGS, Frame, payload_length
from tests.kernel.namespaces import ENDPOINT_ADDRESSES, GATEWAYS, HOST_ADDRESSES, MACS, PORTS, next_hop

_NETWORKS = {
    "br0": (ip_network("10.1.0.0/24"), ip_network("fd00:1::/64")),
    "br1": (ip_network("10.2.0.0/24"), ip_network("fd00:2::/64")),
    "eth0": (ip_network("198.51.100.0/24"), ip_network("fd00:9::/64")),
}


class HostSurroundings:
    """Addresses and routes of the host's namespace."""

    def address_type(self, address: IPAddress, link: str | None = None) -> str:
        for name, addresses in HOST_ADDRESSES.items():
            if str(address) in addresses or (name == "lo" and address.is_loopback):
                return "local" if link in (None, name) else "unicast"
        for name, networks in _NETWORKS.items():
            if address.version == 4 and address == networks[0].broadcast_address:
                return "broadcast" if link in (None, name) else "unicast"
        return "broadcast" if str(address) == "255.255.255.255" else "unicast"

    def route_link(
        self,
        destination: IPAddress,
        source: IPAddress | None,
        in_link: str | None,
        mark: int | None,
        protocol: int | None = None,
    ) -> str:
        del source, in_link, mark, protocol  # one routing table serves all here
        if self.address_type(destination) == "local":
            return "lo"
        for name, networks in _NETWORKS.items():
            if any(destination in network for network in networks if network.version == destination.version):
                return name
        return "eth0"

    def local_addresses(self, link: str) -> tuple[IPAddress, ...]:
        return tuple(ip_address(text) for text in HOST_ADDRESSES.get(link, ()))

    def translated_source(
        self, link: str, destination: IPAddress, gateway: IPAddress | None
    ) -> IPAddress | None:
        del gateway
        own = self.local_addresses(link) or ()
        return next((one for one in own if one.version == destination.version), None)

    def link_group(self, _: str) -> int:
        return 0

    def link_kind(self, link: str) -> str | None:
        return "bridge" if link.startswith("br") else "veth" if link else None

    def is_listened_on(self, protocol: str, ports: PortRange, at: IPAddress | None = None) -> bool | None:
        del protocol, ports, at
        return False

    def served_queues(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What becomes of one packet."""

    verdict: Literal["accept", "drop", "reject", "unknown"]
    stops: tuple[Stop, ...]
    packet: Packet
    """As it leaves the host, or as far as it comes."""
    arrives: str | None
    """The role where it arrives, `host` for the host itself, None where the topology has no such place."""
    comparable: bool = True
    """False where NAT turns the packet to a way that these namespaces do not follow."""


def first_packet(frame: Frame) -> Packet:
    """The packet that a frame is, before anything looked at it."""
    has_ports = frame.protocol in ("tcp", "udp")
    addresses = Tuple(
        source=frame.source,
        destination=frame.destination,
        source_port=PortRange.one(frame.source_port) if has_ports else None,
        destination_port=PortRange.one(frame.destination_port) if has_ports else None,
    )
    is_icmp = frame.protocol in ("icmp", "icmpv6")
    return Packet(
        protocol=frame.protocol,
        addresses=addresses,
        connection=Connection("new", "original", addresses),
        tcp_flags=frozenset(
            name for name, bit in FLAGS.items() if frame.protocol == "tcp" and frame.flags & bit
        ),
        icmp_type=frame.flags if is_icmp else None,
        icmp_code=0 if is_icmp else None,
        length=payload_length(frame),
        ttl=64,
    )


def reply_packet(frame: Frame, sent: Packet) -> Packet:
    """The answer to `sent` as it comes back to the host."""
    packet = replace(first_packet(frame), changed_sets=sent.changed_sets)
    if sent.connection.state == "untracked":
        # Conntrack never saw the flow begin, and cannot make sense of a TCP or ICMP answer.
        state: Literal["new", "invalid"] = "new" if frame.protocol == "udp" else "invalid"
        return replace(packet, connection=replace(packet.connection, state=state))
    return replace(packet, connection=replace(sent.connection, state="established", direction="reply"))


@dataclass(slots=True)
class Walk:
    """Takes one packet through the host."""

    ruleset: Ruleset
    packet: Packet
    stops: list[Stop]
    verdict: Literal["accept", "drop", "reject", "unknown"] = "accept"

    def hook(self, layer: Layer, hook: Hook, priorities: range | None = None, **place: str | None) -> None:
        packet = replace(
            self.packet,
            in_link=place.get("in_link"),
            out_link=place.get("out_link"),
            in_port=place.get("in_port"),
            out_port=place.get("out_port"),
        )
        crossing = cross(self.ruleset, layer, hook, packet, HostSurroundings(), priorities)
        if self.verdict == "accept":
            self.verdict = crossing.verdict
        self.stops += crossing.stops
        self.packet = crossing.packet


def predict(ruleset: Ruleset, packet: Packet, source: str, bridge_netfilter: bool = False) -> Prediction:
    """Takes `packet` from the endpoint `source`, or from the host itself, on its way.

    Unknown verdicts do not end the walk: what comes after may drop the packet in any case.
    """
    walk = Walk(ruleset, replace(packet, bridge_netfilter=bridge_netfilter), [])
    if source == "host":
        return _send(walk)
    port, link = PORTS[source], GATEWAYS[source]
    toward = next_hop(source, str(packet.addresses.destination))
    walk.packet = replace(walk.packet, mac_source=MACS[source], mac_destination=MACS[toward])
    walk.hook("netdev", "ingress", in_link=port)
    if port == link:
        return _route(walk, in_link=link)
    earlier, later = (when["prerouting"] if bridge_netfilter else None for when in (EARLIER, LATER))
    walk.hook("bridge", "prerouting", earlier, in_link=link, in_port=port)
    if bridge_netfilter:
        # br_netfilter calls the IP hook from within the bridge's own.
        walk.hook("inet", "prerouting", in_link=link, in_port=port)
        walk.hook("bridge", "prerouting", later, in_link=link, in_port=port)
    if toward != link:
        return _bridge(walk, link, port, toward, bridge_netfilter=bridge_netfilter)
    walk.hook("bridge", "input", in_link=link, in_port=port)
    walk.hook("netdev", "ingress", in_link=link)
    return _route(walk, in_link=link, in_port=port, prerouted=bridge_netfilter)


def _bridge(walk: Walk, link: str, in_port: str, role: str, *, bridge_netfilter: bool) -> Prediction:
    """From one port of a bridge to another."""
    if str(walk.packet.addresses.destination) not in ENDPOINT_ADDRESSES[role]:
        return Prediction(walk.verdict, tuple(walk.stops), walk.packet, None, comparable=False)
    place = {"out_link": link, "in_port": in_port, "out_port": PORTS[role]}
    earlier, later = (when["forward"] if bridge_netfilter else None for when in (EARLIER, LATER))
    walk.hook("bridge", "forward", earlier, in_link=link, **place)
    if bridge_netfilter:
        walk.hook("inet", "forward", in_link=link, **place)
        walk.hook("bridge", "forward", later, in_link=link, **place)
    walk.hook("bridge", "postrouting", out_link=link, out_port=PORTS[role])
    if bridge_netfilter:
        # Unlike for what is routed, the link a bridged packet came in by is not shown there.
        walk.hook("inet", "postrouting", **place)
    walk.hook("netdev", "egress", out_link=PORTS[role])
    return Prediction(walk.verdict, tuple(walk.stops), walk.packet, role)


def _route(walk: Walk, *, in_link: str, in_port: str | None = None, prerouted: bool = False) -> Prediction:
    if not prerouted:
        walk.hook("inet", "prerouting", in_link=in_link, in_port=in_port)
    destination = walk.packet.addresses.destination
    surroundings = HostSurroundings()
    if surroundings.address_type(destination) != "unicast":
        walk.hook("inet", "input", in_link=in_link, in_port=in_port)
        return Prediction(walk.verdict, tuple(walk.stops), walk.packet, "host")
    walk.packet = replace(walk.packet, ttl=63)
    out = surroundings.route_link(destination, None, None, 0)
    walk.hook("inet", "forward", in_link=in_link, out_link=out, in_port=in_port)
    # Since Linux 5.7 rules at postrouting see the link that a forwarded packet came in by.
    walk.hook("inet", "postrouting", in_link=in_link, out_link=out, in_port=in_port)
    # With br_netfilter what is sent back to its own bridge is bridged, not routed: another way than this one.
    comparable = not (prerouted and out == in_link)
    return _transmit(walk, out, comparable=comparable)


def _send(walk: Walk) -> Prediction:
    """A process of the host sends."""
    surroundings = HostSurroundings()
    walk.packet = replace(walk.packet, locally_generated=True)
    out = surroundings.route_link(walk.packet.addresses.destination, None, None, 0)
    walk.hook("inet", "output", out_link=out)
    destination = walk.packet.addresses.destination
    if surroundings.address_type(destination) != "unicast":
        return Prediction(walk.verdict, tuple(walk.stops), walk.packet, "host", comparable=False)
    out = surroundings.route_link(destination, None, None, 0)
    walk.hook("inet", "postrouting", out_link=out)
    return _transmit(walk, out)


def _transmit(walk: Walk, out: str, *, comparable: bool = True) -> Prediction:
    destination = walk.packet.addresses.destination
    roles = [role for role, gateway in GATEWAYS.items() if gateway == out]
    # Nothing on a link but the endpoints has a neighbour entry.
    off_link = all(destination not in network for networks in _NETWORKS.values() for network in networks)
    known = [role for role in roles if off_link or str(destination) in ENDPOINT_ADDRESSES[role]]
    role = known[0] if known else roles[0]
    walk.packet = replace(walk.packet, mac_source=MACS[out], mac_destination=MACS[role])
    walk.hook("netdev", "egress", out_link=out)
    if PORTS[role] != out:
        walk.hook("bridge", "output", out_link=out, out_port=PORTS[role])
        walk.hook("bridge", "postrouting", out_link=out, out_port=PORTS[role])
        walk.hook("netdev", "egress", out_link=PORTS[role])
    arrives = role if known else None
    return Prediction(walk.verdict, tuple(walk.stops), walk.packet, arrives, comparable)
