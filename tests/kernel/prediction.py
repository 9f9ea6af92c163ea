"""What `dockerdiag.packet.netfilter` says of a packet in these namespaces, hook by hook."""

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Literal

from dockerdiag.packet.netfilter import Hook, Layer, Ruleset, Stop, cross
from dockerdiag.packet.packet import Connection, IPAddress, Packet, PortRange, Tuple
from tests.kernel.frames import FLAGS, Frame, payload_length
from tests.kernel.namespaces import ENDPOINT_ADDRESSES, GATEWAYS, HOST_ADDRESSES, MACS, PORTS

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
        self, destination: IPAddress, source: IPAddress | None, in_link: str | None, mark: int | None
    ) -> str:
        del source, in_link, mark  # one routing table serves all here
        if self.address_type(destination) == "local":
            return "lo"
        for name, networks in _NETWORKS.items():
            if any(destination in network for network in networks if network.version == destination.version):
                return name
        return "eth0"

    def local_addresses(self, link: str) -> tuple[IPAddress, ...]:
        return tuple(ip_address(text) for text in HOST_ADDRESSES.get(link, ()))

    def link_group(self, _: str) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What becomes of one packet."""

    verdict: Literal["accept", "drop", "reject", "unknown"]
    stops: tuple[Stop, ...]
    packet: Packet
    """As it leaves the host, or as far as it comes."""
    arrives: str | None
    """The role where it arrives, `host` for the host itself, None where the topology has no such place."""


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
    packet = first_packet(frame)
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

    def hook(self, layer: Layer, hook: Hook, **place: str | None) -> None:
        packet = replace(
            self.packet,
            in_link=place.get("in_link"),
            out_link=place.get("out_link"),
            in_port=place.get("in_port"),
            out_port=place.get("out_port"),
        )
        crossing = cross(self.ruleset, layer, hook, packet, HostSurroundings())
        if self.verdict == "accept":
            self.verdict = crossing.verdict
        self.stops += crossing.stops
        self.packet = crossing.packet


def predict(ruleset: Ruleset, packet: Packet, source: str, bridge_netfilter: bool = False) -> Prediction:
    """Takes `packet` from the endpoint `source` through the host.

    Unknown verdicts do not end the walk: what comes after may drop the packet in any case.
    """
    port, link = PORTS[source], GATEWAYS[source]
    mac = MACS[link]
    packet = replace(packet, mac_source=MACS[source], mac_destination=mac, bridge_netfilter=bridge_netfilter)
    walk = Walk(ruleset, packet, [])
    in_port = port if port != link else None
    walk.hook("netdev", "ingress", in_link=port)
    if port != link:
        walk.hook("bridge", "prerouting", in_link=link, in_port=port)
    if bridge_netfilter and port != link:
        # br_netfilter calls the IP hook from within the bridge's own.
        walk.hook("inet", "prerouting", in_link=link, in_port=in_port)
    if port != link:
        walk.hook("bridge", "input", in_link=link, in_port=port)
        walk.hook("netdev", "ingress", in_link=link)
    if not bridge_netfilter or port == link:
        walk.hook("inet", "prerouting", in_link=link, in_port=in_port)
    destination = walk.packet.addresses.destination
    surroundings = HostSurroundings()
    if surroundings.address_type(destination) != "unicast":
        walk.hook("inet", "input", in_link=link, in_port=in_port)
        return Prediction(walk.verdict, tuple(walk.stops), walk.packet, "host")
    walk.packet = replace(walk.packet, ttl=63)
    out = surroundings.route_link(destination, None, None, 0)
    walk.hook("inet", "forward", in_link=link, out_link=out, in_port=in_port)
    # Since Linux 5.7 rules at postrouting see the link that a forwarded packet came in by.
    walk.hook("inet", "postrouting", in_link=link, out_link=out, in_port=in_port)
    role = next(role for role, gateway in GATEWAYS.items() if gateway == out)
    walk.packet = replace(walk.packet, mac_source=MACS[out], mac_destination=MACS[role])
    walk.hook("netdev", "egress", out_link=out)
    if PORTS[role] != out:
        walk.hook("bridge", "output", out_link=out, out_port=PORTS[role])
        walk.hook("bridge", "postrouting", out_link=out, out_port=PORTS[role])
        walk.hook("netdev", "egress", out_link=PORTS[role])
    # Nothing on a link but the endpoints has a neighbour entry.
    off_link = all(destination not in network for networks in _NETWORKS.values() for network in networks)
    known = off_link or str(destination) in ENDPOINT_ADDRESSES[role]
    return Prediction(walk.verdict, tuple(walk.stops), walk.packet, role if known else None)
