"""How a flow begins: its first packet, and what the engine says of a container whose namespace is not there."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from itertools import islice

from dockerdiag.dataclass import replace
from dockerdiag.packet.flow import Flow
from dockerdiag.packet.packet import (
    EPHEMERAL_PORTS,
    RANDOM_PORTS,
    Connection,
    IPAddress,
    Packet,
    PortRange,
    Tuple,
)
from dockerdiag.packet.routing import Way
from dockerdiag.packet.world import Terrain, World
from dockerdiag.snapshot.model import Address, Container, Endpoint, Network, NetworkNamespace, Unread

_ICMP_REQUEST = {"icmp": 8, "icmpv6": 128}
_ICMP_REPLY = {"icmp": 0, "icmpv6": 129}


def client_ports(namespace: NetworkNamespace | None) -> PortRange:
    """The ports that a client's socket is given in a namespace; without one, those of a new namespace."""
    if namespace is None:
        return PortRange(*EPHEMERAL_PORTS)
    if isinstance(namespace.sysctls, Unread):
        return PortRange(1, 65535)
    low, _, high = namespace.sysctls.get("net/ipv4/ip_local_port_range", "").partition(" ")
    return PortRange(int(low), int(high)) if low and high else PortRange(*EPHEMERAL_PORTS)


def first_packet(flow: Flow, ports_of: NetworkNamespace | None, source: IPAddress | None = None) -> Packet:
    """The packet that opens a flow; from the unspecified address while it has no source.

    `ports_of` is the namespace whose sockets send it.
    """
    own_ports = client_ports(ports_of) if flow.source.outside is None else PortRange(*RANDOM_PORTS)
    ports = flow.port is not None and flow.protocol in ("tcp", "udp")
    addresses = Tuple(
        source=source or ip_address("0.0.0.0" if flow.destination.version == 4 else "::"),  # noqa: S104
        destination=flow.destination,
        source_port=own_ports if ports else None,
        destination_port=PortRange.one(flow.port) if ports and flow.port is not None else None,
    )
    return Packet(
        protocol=flow.protocol,
        addresses=addresses,
        connection=Connection("new", "original", addresses),
        tcp_flags=frozenset({"syn"}) if flow.protocol == "tcp" else frozenset(),
        icmp_type=_ICMP_REQUEST.get(flow.protocol),
        icmp_code=0 if flow.protocol in _ICMP_REQUEST else None,
        locally_generated=True,
        sender=flow.source.user,
        ttl=_time_to_live(ports_of) if flow.destination.version == 4 else None,
    )


def _time_to_live(namespace: NetworkNamespace | None) -> int | None:
    """What IPv4 gives a packet whose program asks for nothing else; None where it was not read."""
    if namespace is None or isinstance(namespace.sysctls, Unread):
        return None
    told = namespace.sysctls.get("net/ipv4/ip_default_ttl", "")
    return int(told) if told.isdigit() else None


def with_source(packet: Packet, source: IPAddress) -> Packet:
    """A first packet, sent from `source`."""
    addresses = replace(packet.addresses, source=source)
    return replace(packet, addresses=addresses, connection=replace(packet.connection, original=addresses))


def answer_to(packet: Packet) -> Packet:
    """The packet that answers, as it starts from where `packet` came to."""
    there = packet.addresses
    return replace(
        packet,
        addresses=Tuple(there.destination, there.source, there.destination_port, there.source_port),
        connection=replace(packet.connection, state="established", direction="reply"),
        in_link=None,
        out_link=None,
        in_port=None,
        out_port=None,
        gateway=None,
        mac_source=None,
        mac_destination=None,
        mark=0,
        source_known=packet.destination_known,
        destination_known=packet.source_known,
        tcp_flags=frozenset({"syn", "ack"}) if packet.protocol == "tcp" else frozenset(),
        icmp_type=_ICMP_REPLY.get(packet.protocol),
        sender=None,
        tos=0,
        ttl=None,
        ttl_set_by=None,
    )


def configured_endpoint(
    world: World, container: Container, version: int
) -> tuple[Endpoint | None, Network | None]:
    """The endpoint that a container's packets would leave by, from what the engine says alone."""
    by_name = {network.name: network for network in world.networks}
    candidates = [
        (endpoint, by_name[endpoint.network])
        for endpoint in sorted(container.endpoints, key=lambda e: (-e.gateway_priority, e.network))
        if endpoint.network in by_name
    ]
    for endpoint, network in candidates:
        if not network.internal and gateway_of(endpoint, version):
            return endpoint, network
    if candidates:
        return next(((e, n) for e, n in candidates if not n.internal), candidates[0])
    mode = "bridge" if container.network_mode == "default" else container.network_mode
    return None, by_name.get(mode)


def address_of(endpoint: Endpoint, version: int) -> str:
    """An endpoint's address, empty where it has none."""
    return endpoint.address if version == 4 else endpoint.address6


def gateway_of(endpoint: Endpoint, version: int) -> str:
    """An endpoint's gateway, empty where it has none."""
    return endpoint.gateway if version == 4 else endpoint.gateway6


def configured_way(terrain: Terrain, version: int) -> tuple[Way, ...]:
    """The default route that the engine gave a container, as if it were still there."""
    if terrain.owner is None:
        return ()
    for endpoint in sorted(terrain.owner.endpoints, key=lambda e: -e.gateway_priority):
        gateway, address = gateway_of(endpoint, version), address_of(endpoint, version)
        for name in terrain.links.by_name:
            own = terrain.links.addresses(name, version) or []
            if gateway and any(a.address == address for a in own):
                return (Way(name, ip_address(gateway)),)
    return ()


def any_address(terrain: Terrain, version: int) -> IPAddress | None:
    """Some address of a namespace that is not the loopback's."""
    for name, link in terrain.links.by_name.items():
        for address in () if link.loopback else terrain.router.local_addresses(name) or ():
            if address.version == version:
                return address
    return None


def another_on(own: Address) -> IPAddress | None:
    """Another machine's address in the subnet of one of ours; None where it holds no other."""
    subnet = ip_network(f"{own.address}/{own.prefix_length}", strict=False)
    hosts: Iterable[IPAddress] = subnet.hosts()
    return next((host for host in islice(hosts, 4) if str(host) != own.address), None)


def unused_address(world: World, network: Network, version: int) -> IPAddress | None:
    """An address that a new container of a network might get; None where it has no subnet of that version."""
    for pool in network.pools:
        if pool.subnet is None or ip_network(pool.subnet, strict=False).version != version:
            continue
        subnet = ip_network(pool.ip_range or pool.subnet, strict=False)
        taken = {pool.gateway} | {address_of(e, version) for c in world.containers for e in c.endpoints}
        hosts: Iterable[IPAddress] = subnet.hosts()
        return next((host for host in islice(hosts, 4096) if str(host) not in taken), None)
    return None
