"""One packet on its way through the namespaces of a snapshot, and its reply on the way back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import islice
from typing import Literal

from dockerdiag.packet import ethernet
from dockerdiag.packet.fib import LOOPBACK, describe_route
from dockerdiag.packet.flow import Flow, Halt, HaltKind, Translation, rule_name
from dockerdiag.packet.netfilter import Crossing, Hook, Layer, Stop, cross
from dockerdiag.packet.packet import EPHEMERAL_PORTS, Connection, IPAddress, Packet, PortRange, Tuple
from dockerdiag.packet.routing import Decision, Obstacle, Way, sysctl_name
from dockerdiag.packet.trail import Trail
from dockerdiag.packet.world import Station, Terrain, World
from dockerdiag.report import Disposition, RuleReference
from dockerdiag.snapshot.model import (
    Container,
    Endpoint,
    Link,
    Neighbour,
    Network,
    Route,
    RoutingRule,
    Unread,
)

_MAX_ROUTINGS = 24
_UNDERLYING = ("macvlan", "ipvlan", "macvtap", "ipvtap")
_HAS_NO_NEIGHBOURS = ("wireguard", "tun", "ipip", "sit", "gre", "xfrm", "ppp", "none")
_STOPPED = {"drop": Disposition.DROPPED, "reject": Disposition.REJECTED, "unknown": Disposition.UNKNOWN}
_ICMP_REQUEST = {"icmp": 8, "icmpv6": 128}
_ICMP_REPLY = {"icmp": 0, "icmpv6": 129}


@dataclass(frozen=True, slots=True)
class _End:
    """Where one direction ended: at a process, off the host by a link, or nowhere."""

    kind: Literal["delivered", "left", "lost"]
    terrain: Terrain
    packet: Packet
    link: Link | None = None
    port: Link | None = None
    """Of a bridge it left by: the port."""
    way: Way | None = None


class Trip:
    """Takes one flow's first packet out and the answer back; `trail` has what was met.

    Args:
        world: The snapshot.
        flow: Who sends what where.
        choice: Which way to take where a multipath route offers several.
    """

    def __init__(self, world: World, flow: Flow, choice: int = 0) -> None:
        self.world = world
        self.flow = flow
        self.trail = Trail()
        self.sent_from: IPAddress | None = None
        self.uplink: str | None = None
        self.entry: str | None = None
        self.network: Network | None = None
        self.translation: Translation | None = None
        self.shadowed_nat: tuple[RuleReference, ...] = ()
        self.branches = 1
        self._choice = choice
        self._origin: Terrain | None = None
        self._mended: set[str] = set()
        """Host links that were found broken: what follows from that alone is no further halt."""
        self._kept: dict[int, Connection] = {}
        self._nat_rule: RuleReference | None = None
        self._nat_doubt: str | None = None
        self._untracked_by: RuleReference | None = None
        self._routings = 0

    def run(self) -> None:
        """Walks out and back."""
        source = self.flow.source
        if (source.container is not None or source.network is not None) and self.world.elsewhere is not None:
            self._halt(
                "unread", "engine", Disposition.UNKNOWN, "engine", self.world.elsewhere, self._draft(None)
            )
            return
        end = self._request()
        if end.kind != "lost":
            self.trail.direction = "reply"
            self._answer(end)

    # -- the request --------------------------------------------------------------------------------------------

    def _request(self) -> _End:
        source = self.flow.source
        if source.container is None and source.network is None:
            self._origin = self.world.host
            return self._emit(self.world.host, self._draft(None), None)
        network, endpoint = source.network, None
        if source.container is not None:
            terrain = self.world.terrain_of(source.container)
            if isinstance(terrain, Terrain):
                self._origin = terrain
                return self._emit(terrain, self._draft(None), None)
            if isinstance(terrain, Unread):
                reason = f"the network namespace of {source.name} could not be read: {terrain.reason}"
                self._unread("container", f"namespace of {source.name}", reason, self._draft(None))
            if source.container.network_mode == "none":
                return self._without_route(self._draft(None), source.container)
            endpoint, network = self._configured(source.container)
        if network is None:
            self._unread(
                "container", source.name, f"{source.name} is on no network that was read", self._draft(None)
            )
            return _End("lost", self.world.host, self._draft(None))
        return self._from_network(network, endpoint)

    def _configured(self, container: Container) -> tuple[Endpoint | None, Network | None]:
        """The endpoint that a container's packets would leave by, from what the engine says alone."""
        six = self.flow.destination.version == 6
        by_name = {network.name: network for network in self.world.networks}
        candidates = [
            (endpoint, network)
            for endpoint in sorted(container.endpoints, key=lambda e: (-e.gateway_priority, e.network))
            if (network := by_name.get(endpoint.network)) is not None
        ]
        for endpoint, network in candidates:
            if not network.internal and (endpoint.gateway6 if six else endpoint.gateway):
                return endpoint, network
        if candidates:
            return candidates[0]
        mode = "bridge" if container.network_mode == "default" else container.network_mode
        return None, by_name.get(mode)

    def _from_network(self, network: Network, endpoint: Endpoint | None) -> _End:
        """Starts on a network's bridge, where the container's own namespace cannot be looked at."""
        six = self.flow.destination.version == 6
        pool = next((p for p in network.pools if p.subnet and (":" in p.subnet) == six), None)
        address = (endpoint.address6 if six else endpoint.address) if endpoint is not None else ""
        if not address and pool is not None and pool.subnet is not None:
            address = str(self._unused(pool.subnet, pool.gateway))
        packet = self._draft(ip_address(address) if address else None)
        host = self.world.host
        if not address:
            reason = f"network {network.name} has no IPv{6 if six else 4} subnet"
            self._halt(
                "no-route", "container", Disposition.NO_ROUTE, f"network {network.name}", reason, packet
            )
            return _End("lost", host, packet)
        self.sent_from, self.network = packet.addresses.source, network
        on_link = self.world.holds(network, self.flow.destination)
        if network.internal and not on_link:
            reason = f"network {network.name} is internal: its containers have no default route"
            self._halt(
                "no-route",
                "container routes",
                Disposition.NO_ROUTE,
                f"network {network.name} is internal",
                reason,
                packet,
                isolation="internal",
                networks=(network.name,),
            )
            return _End("lost", host, packet)
        if network.driver in _UNDERLYING and (parent := network.options.get("parent")):
            return self._by_parent(host, packet, host.links.get(parent), parent)
        if network.bridge is None:
            reason = (
                f"network {network.name} has driver {network.driver}, whose way out only its containers show"
            )
            self._unread("container", f"network {network.name}", reason, packet)
            return _End("lost", host, packet)
        gateway = (endpoint.gateway6 if six else endpoint.gateway) if endpoint is not None else ""
        gateway = gateway or (pool.gateway or "" if pool is not None else "")
        self.trail.hop("container", f"{self.flow.source.name} sends from {address}")
        if (bridge := self._bridge(network.bridge, packet)) is None:
            return _End("lost", host, packet)
        toward = self.flow.destination if on_link or not gateway else ip_address(gateway)
        return self._bridged(host, bridge, None, packet, toward)

    def _unused(self, subnet: str, gateway: str | None) -> IPAddress:
        network = ip_network(subnet, strict=False)
        taken = {gateway} | {e.address for c in self.world.containers for e in c.endpoints}
        taken |= {e.address6 for c in self.world.containers for e in c.endpoints}
        free = (host for host in islice(network.hosts(), 4096) if str(host) not in taken)
        return next(free, network.network_address + 2)

    def _draft(self, source: IPAddress | None) -> Packet:
        """The flow's first packet."""
        flow = self.flow
        nowhere = IPv4Address(0) if flow.destination.version == 4 else ip_address("::")
        ports = flow.port is not None and flow.protocol in ("tcp", "udp")
        addresses = Tuple(
            source=source or nowhere,
            destination=flow.destination,
            source_port=PortRange(*EPHEMERAL_PORTS) if ports else None,
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
        )

    # -- the answer ---------------------------------------------------------------------------------------------

    def _answer(self, end: _End) -> None:
        host = self.world.host
        if end.kind == "left":
            packet = self._reversed(self._answerable(end))
            link = end.port or end.link
            if link is None:
                return
            final = self._receive(end.terrain, link, packet, packet.addresses.destination, to_host=True)
        else:
            packet = self._reversed(end.packet)
            final = self._emit(end.terrain, packet, packet.addresses.source)
        if final.kind == "lost":
            return
        if final.kind == "delivered" and (final.terrain is self._origin or self._origin is None):
            self.trail.hop(self._place(final.terrain, "process"), "the answer arrives", "delivered")
            return
        if final.kind == "delivered" and final.terrain is host:
            self._not_translated_back(final)
            return
        reason = f"the answer does not come back to {self.flow.source.name}"
        self._halt("route", "reply", Disposition.NOT_ANSWERED, "reply", reason, final.packet)

    def _not_translated_back(self, final: _End) -> None:
        """The answer stays with the host, since connection tracking did not rewrite it."""
        rule = self._untracked_by
        by = f": {rule_name(rule)} takes it out of connection tracking" if rule is not None else ""
        reason = (
            f"the answer to {final.packet.addresses.destination} is not translated back to the container{by}"
        )
        at = rule_name(rule) if rule is not None else f"address {final.packet.addresses.destination}"
        kind: HaltKind = "rule" if rule is not None else "unanswered"
        self._halt(kind, "prerouting", Disposition.NOT_ANSWERED, at, reason, final.packet, rule=rule)

    def _reversed(self, packet: Packet) -> Packet:
        there = packet.addresses
        addresses = Tuple(there.destination, there.source, there.destination_port, there.source_port)
        return replace(
            packet,
            addresses=addresses,
            connection=replace(packet.connection, state="established", direction="reply"),
            in_link=None,
            out_link=None,
            in_port=None,
            out_port=None,
            mac_source=None,
            mac_destination=None,
            mark=0,
            source_known=packet.destination_known,
            destination_known=packet.source_known,
            tcp_flags=frozenset({"syn", "ack"}) if packet.protocol == "tcp" else frozenset(),
            icmp_type=_ICMP_REPLY.get(packet.protocol),
        )

    def _answerable(self, end: _End) -> Packet:
        """Whether who gets the packet can answer its source; the packet as it would have to be, where not."""
        packet, terrain = end.packet, end.terrain
        source = packet.addresses.source
        where = end.link.name if end.link is not None else ""
        place = f"uplink {where}"
        if end.link is not None and end.link.kind in _UNDERLYING:
            self.trail.hop(
                place, f"it goes on with {source} as its source; answers depend on the network out there"
            )
            return packet
        if not packet.source_known:
            self.trail.hop(place, "its source is an address of this host, which one was not read")
            return packet
        kind = terrain.router.address_type(source)
        if kind is None:
            self._unread(
                place,
                f"address {source}",
                f"whether {source} is an address of this host was not read",
                packet,
            )
            return packet
        if kind == "local":
            self.trail.hop(place, f"answers to {source} come back to this host")
            return packet
        if source == self.sent_from and (reason := self._routed_elsewhere(source)) is not None:
            self.trail.hop(place, f"it leaves with the container's own address {source}: {reason}")
            return packet
        self._unanswered(place, packet)
        return self._as_if_masqueraded(packet, end)

    def _routed_elsewhere(self, source: IPAddress) -> str | None:
        """Why an address of a container may be answered all the same."""
        mode = f"com.docker.network.bridge.gateway_mode_ipv{source.version}"
        if self.network is not None and self.network.options.get(mode) == "routed":
            return f"network {self.network.name} is routed, and whether the routers out there know it cannot be seen here"
        if source.is_global:
            return "a public address; whether it is routed to this host cannot be seen here"
        return None

    def _unanswered(self, place: str, packet: Packet) -> None:
        source = packet.addresses.source
        rule: RuleReference | None = None
        if source != self.sent_from:
            rule = self._nat_rule
            reason = (
                f"its source is rewritten to {source}, which is no address of this host: nobody answers here"
            )
        elif packet.connection.state == "untracked":
            rule = self._untracked_by
            reason = f"it leaves with the container's address {source}, untranslated: tracking is off for it"
        elif self.shadowed_nat and self._nat_rule is not None:
            rule = self._nat_rule
            reason = (
                f"it leaves with the container's address {source}: this rule decides before {self._shadowed}"
            )
        else:
            reason = f"it leaves with the container's address {source}, which nobody out there can answer"
        at = rule_name(rule) if rule is not None else f"source {source} not translated"
        disposition = Disposition.NOT_ANSWERED
        if self._nat_doubt is not None:
            disposition, reason = Disposition.UNKNOWN, f"whether its source is translated: {self._nat_doubt}"
        self._halt("unanswered", place, disposition, at, reason, packet, rule=rule, link=self.uplink)

    @property
    def _shadowed(self) -> str:
        return ", ".join(rule_name(rule) for rule in self.shadowed_nat)

    def _as_if_masqueraded(self, packet: Packet, end: _End) -> Packet:
        candidates = end.terrain.router.local_addresses(end.link.name) if end.link is not None else None
        own = next((a for a in candidates or () if a.version == packet.addresses.source.version), None)
        if own is None:
            return packet
        connection = replace(packet.connection, state="new", source_nat=True)
        self._kept[id(end.terrain)] = connection
        return replace(packet, addresses=replace(packet.addresses, source=own), connection=connection)

    # -- a packet that is made ----------------------------------------------------------------------------------

    def _emit(self, terrain: Terrain, packet: Packet, source: IPAddress | None) -> _End:
        """A process in `terrain` sends `packet`; without `source` its address is chosen here."""
        place = self._place(terrain, "routes")
        packet = replace(packet, locally_generated=True, in_link=None, in_port=None)
        decision, packet = self._depart(terrain, packet, source)
        if packet.connection.direction == "original" and self.sent_from is None:
            self._begin(terrain, packet)
        ways = decision.ways
        if decision.kind == "nowhere" and self._is_isolated(terrain, packet):
            return _End("lost", terrain, packet)
        self._obstacles(terrain, place, decision.obstacles, packet)
        if not ways:
            ways = self._configured_way(terrain)
            if not ways:
                return _End("lost", terrain, packet)
        else:
            self.trail.hop(place, decision.text)
        if decision.kind == "local":
            return self._to_itself(terrain, packet)
        way = self._pick(ways)
        before = packet = replace(packet, out_link=way.link)
        packet = self._cross(terrain, "inet", "output", packet)
        if packet.mark != before.mark or packet.addresses != before.addresses:
            # What an output chain rewrites or marks is routed again.
            decision, _ = self._depart(terrain, packet, packet.addresses.source)
            self._obstacles(terrain, place, decision.obstacles, packet)
            if decision.kind == "local":
                return self._to_itself(terrain, packet)
            way = self._pick(decision.ways) if decision.ways else way
        packet = self._cross(terrain, "inet", "postrouting", replace(packet, out_link=way.link))
        return self._transmit(terrain, way, packet)

    def _depart(self, terrain: Terrain, packet: Packet, source: IPAddress | None) -> tuple[Decision, Packet]:
        addresses = packet.addresses
        decision = terrain.router.depart(
            addresses.destination,
            source=source,
            protocol=packet.protocol,
            source_port=addresses.source_port,
            destination_port=addresses.destination_port,
            mark=packet.mark,
        )
        if source is None:
            chosen = decision.source or self._any_address(terrain)
            if chosen is not None:
                addresses = replace(addresses, source=chosen)
                connection = replace(packet.connection, original=addresses)
                packet = replace(packet, addresses=addresses, connection=connection)
        return decision, packet

    def _any_address(self, terrain: Terrain) -> IPAddress | None:
        for name in terrain.links.by_name:
            if name != LOOPBACK:
                for address in terrain.router.local_addresses(name) or ():
                    if address.version == self.flow.destination.version:
                        return address
        return None

    def _begin(self, terrain: Terrain, packet: Packet) -> None:
        self.sent_from = packet.addresses.source
        if not terrain.is_host:
            self.network = self.world.network_of(terrain.owner, self.sent_from)
        self.trail.hop(
            self._place(terrain, "process"), f"{self.flow.source.name} sends from {self.sent_from}"
        )

    def _is_isolated(self, terrain: Terrain, packet: Packet) -> bool:
        """Says that there is no way because somebody chose none: a container without network, or internal only."""
        owner = terrain.owner
        if owner is None:
            return False
        if owner.network_mode == "none" or not self._driven(owner):
            links = [link for link in terrain.links.by_name.values() if not link.loopback and link.up]
            if owner.network_mode == "none" and not links:
                self._without_route(packet, owner)
                return True
            return False
        networks = self._driven(owner)
        if not all(network.internal for network in networks):
            return False
        names = tuple(network.name for network in networks)
        reason = f"{', '.join(names)} is internal: the container has no default route"
        self._halt(
            "no-route",
            self._place(terrain, "routes"),
            Disposition.NO_ROUTE,
            f"network {', '.join(names)} is internal",
            reason,
            packet,
            isolation="internal",
            networks=names,
            namespace=terrain.namespace.name,
        )
        return True

    def _driven(self, container: Container) -> list[Network]:
        by_name = {network.name: network for network in self.world.networks}
        return [by_name[e.network] for e in container.endpoints if e.network in by_name]

    def _without_route(self, packet: Packet, container: Container) -> _End:
        self._halt(
            "no-route",
            "container routes",
            Disposition.NO_ROUTE,
            f"container {container.name} has no network",
            f"{container.name} was started without a network",
            packet,
            isolation="none",
            namespace=container.namespace,
        )
        return _End("lost", self.world.host, packet)

    def _configured_way(self, terrain: Terrain) -> tuple[Way, ...]:
        """The way that the engine gave a container, as if it were still there."""
        if terrain.owner is None:
            return ()
        six = self.flow.destination.version == 6
        for endpoint in sorted(terrain.owner.endpoints, key=lambda e: -e.gateway_priority):
            gateway = endpoint.gateway6 if six else endpoint.gateway
            address = endpoint.address6 if six else endpoint.address
            for name in terrain.links.by_name:
                own = terrain.links.addresses(name, 6 if six else 4) or []
                if gateway and any(a.address == address for a in own):
                    return (Way(name, ip_address(gateway)),)
        return ()

    def _to_itself(self, terrain: Terrain, packet: Packet) -> _End:
        packet = self._cross(terrain, "inet", "output", replace(packet, out_link=LOOPBACK))
        packet = self._cross(terrain, "inet", "postrouting", packet)
        packet = replace(packet, out_link=None, in_link=LOOPBACK)
        packet = self._cross(terrain, "inet", "prerouting", packet)
        packet = self._cross(terrain, "inet", "input", packet)
        return _End("delivered", terrain, packet)

    # -- a packet that comes in ---------------------------------------------------------------------------------

    def _receive(
        self, terrain: Terrain, link: Link, packet: Packet, toward: IPAddress, *, to_host: bool = False
    ) -> _End:
        """A frame for who has `toward` comes in by `link`."""
        packet = replace(packet, in_link=link.name, out_link=None, in_port=None, out_port=None)
        packet = replace(packet, locally_generated=False)
        self._broken(terrain, link, packet)
        packet = self._cross(terrain, "netdev", "ingress", packet)
        bridge = terrain.links.bridge_of(link)
        wanted = self._wanted_bridge(terrain, link, packet)
        if wanted is not None and (bridge is None or bridge.name != wanted):
            expected = self._bridge(wanted, packet)
            if expected is None:
                return _End("lost", terrain, packet)
            on = f"a port of bridge {bridge.name}" if bridge is not None else "a port of no bridge"
            reason = f"{link.name}, the container's link, is {on}, not of bridge {wanted}"
            self._halt(
                "link", link.name, Disposition.DROPPED, f"link {link.name}", reason, packet, link=link.name
            )
            self._mended.add(expected.name)
            bridge = expected
        if bridge is not None:
            return self._bridged(terrain, bridge, link, packet, toward, to_host=to_host)
        return self._ip_input(terrain, packet)

    def _wanted_bridge(self, terrain: Terrain, link: Link, packet: Packet) -> str | None:
        """The bridge that a container's link on the host belongs to."""
        if not terrain.is_host or link.kind != "veth":
            return None
        station = self.world.container_end(link)
        if station is None or station.terrain is None or station.link is None:
            return None
        for address in station.terrain.links.addresses(station.link.name, packet.family) or ():
            network = self.world.network_of(station.container, ip_address(address.address))
            if network is not None:
                return network.bridge
        return None

    def _bridge(self, name: str, packet: Packet) -> Link | None:
        """A network's bridge; where it is missing, that is said."""
        links = self.world.host.links
        if (bridge := links.get(name)) is not None:
            return bridge
        if links.unread is not None:
            self._unread(f"bridge {name}", f"link {name}", links.unread, packet)
        else:
            reason = f"the bridge {name} does not exist"
            self._halt(
                "link", f"bridge {name}", Disposition.DROPPED, f"link {name}", reason, packet, link=name
            )
        return None

    def _bridged(
        self,
        terrain: Terrain,
        bridge: Link,
        port: Link | None,
        packet: Packet,
        toward: IPAddress,
        *,
        to_host: bool = False,
    ) -> _End:
        """A frame enters a bridge by `port`; who has the address `toward` gets it."""
        place = f"bridge {bridge.name}"
        called = ethernet.bridge_netfilter(terrain.namespace, bridge, packet.family)
        packet = replace(
            packet,
            in_link=bridge.name,
            in_port=port.name if port is not None else None,
            bridge_netfilter=called,
            mac_destination=None,
        )
        if not self._broken(terrain, bridge, packet) and port is not None:
            self._port_state(port, packet)
        packet = self._cross(terrain, "bridge", "prerouting", packet)
        station = None if to_host else self.world.station(bridge, toward)
        owns = to_host or ethernet.owns(terrain.links, bridge, toward)
        if not owns and station is None:
            return self._to_missing(terrain, bridge, port, packet, toward)
        if called:
            packet = self._cross(terrain, "inet", "prerouting", packet)
        if not owns and station is not None:
            return self._across(terrain, bridge, packet, station, toward)
        if not to_host:
            for fault in ethernet.silent(terrain.namespace, terrain.links, bridge, toward):
                self._halt(
                    fault.kind,
                    place,
                    fault.disposition,
                    fault.at,
                    fault.reason,
                    packet,
                    sysctl=fault.sysctl,
                    link=bridge.name,
                )
        packet = replace(packet, mac_destination=bridge.mac)
        packet = self._cross(terrain, "bridge", "input", packet)
        packet = self._cross(terrain, "netdev", "ingress", packet)
        if not to_host:
            self.trail.hop(place, f"{toward} is {bridge.name}'s address: the host takes it in")
        return self._ip_input(terrain, packet, prerouted=bool(called))

    def _to_missing(
        self, terrain: Terrain, bridge: Link, port: Link | None, packet: Packet, toward: IPAddress
    ) -> _End:
        """Nobody known has `toward` on this bridge."""
        place = f"bridge {bridge.name}"
        outer = [p for p in ethernet.outer_ports(self.world, bridge) if port is None or p.index != port.index]
        if outer:
            self.trail.hop(
                place, f"{toward} is beyond {' or '.join(p.name for p in outer)}: the frame is bridged on"
            )
            packet = self._l2_forward(terrain, bridge, packet, outer[0])
            self.uplink = self.uplink or outer[0].name
            self.trail.hop(
                f"uplink {outer[0].name}", "it goes on by bridging; answers depend on the network out there"
            )
            return _End("lost", terrain, packet)
        network = self.world.network_by_bridge(bridge.name)
        gateways = {pool.gateway for pool in network.pools} if network is not None else set()
        if str(toward) not in gateways and toward == packet.addresses.destination:
            if self._nobody_there(terrain, bridge, packet, toward):
                return _End("lost", terrain, packet)
            return _End("lost", terrain, packet)
        at = f"address {toward} of {bridge.name}"
        if terrain.links.addresses(bridge.name, packet.family) is None:
            self._unread(place, at, f"the addresses of {bridge.name} could not be read", packet)
        elif network is not None and network.options.get("com.docker.network.bridge.inhibit_ipv4") == "true":
            reason = f"the gateway {toward} is not this host (inhibit_ipv4), and no machine that has it is seen here"
            self._halt("address", place, Disposition.UNKNOWN, at, reason, packet, link=bridge.name)
        else:
            reason = (
                f"{bridge.name} has lost the gateway address {toward}: nobody answers the container there"
            )
            self._halt("address", place, Disposition.DROPPED, at, reason, packet, link=bridge.name)
        self._mended.add(bridge.name)
        return self._ip_input(terrain, packet)

    def _across(
        self, terrain: Terrain, bridge: Link, packet: Packet, station: Station, toward: IPAddress
    ) -> _End:
        """From one port of a bridge to another."""
        if station.port is not None:
            port = terrain.links.get(packet.in_port)
            if port is not None and port.bridge_port_isolated and station.port.bridge_port_isolated:
                reason = f"{port.name} and {station.port.name} are isolated ports of {bridge.name}"
                at = f"link {station.port.name}"
                self._halt(
                    "link",
                    f"bridge {bridge.name}",
                    Disposition.DROPPED,
                    at,
                    reason,
                    packet,
                    link=station.port.name,
                )
            packet = self._l2_forward(terrain, bridge, packet, station.port)
        return self._into_station(terrain, bridge, station, packet, toward)

    def _l2_forward(self, terrain: Terrain, bridge: Link, packet: Packet, port: Link) -> Packet:
        packet = replace(packet, out_link=bridge.name, out_port=port.name)
        packet = self._cross(terrain, "bridge", "forward", packet)
        if packet.bridge_netfilter is not False:
            doubt = (
                None if packet.bridge_netfilter else "whether bridged frames pass these rules was not read"
            )
            packet = self._cross(terrain, "inet", "forward", packet, doubt=doubt)
            packet = self._cross(terrain, "inet", "postrouting", packet, doubt=doubt)
        return self._cross(terrain, "bridge", "postrouting", packet)

    def _ip_input(self, terrain: Terrain, packet: Packet, *, prerouted: bool = False) -> _End:
        """IP takes the packet in: prerouting, the routing decision, and what follows from it."""
        if not prerouted:
            packet = self._cross(terrain, "inet", "prerouting", packet)
        if not packet.destination_known:
            return _End("lost", terrain, packet)
        place = self._place(terrain, "routing")
        self._routings += 1
        if self._routings > _MAX_ROUTINGS:
            reason = "the packet goes round in circles"
            self._halt("loop", place, Disposition.LOOPED, "routes", reason, packet)
            return _End("lost", terrain, packet)
        decision = terrain.router.arrive(packet)
        homeward = self._is_homeward(terrain, packet)
        following = homeward and self.entry in self._mended
        self._obstacles(terrain, place, decision.obstacles, packet, following=following)
        if decision.disagreement is not None:
            reason = f"{decision.disagreement}: what decides was not seen"
            self._unread(place, "the kernel's own answer", reason, packet)
        if decision.kind == "local":
            self.trail.hop(place, f"{packet.addresses.destination} is an address of {self._owner(terrain)}")
            packet = self._cross(terrain, "inet", "input", packet)
            return _End("delivered", terrain, packet)
        if (
            self.trail.direction == "out"
            and terrain.is_host
            and self.entry is None
            and self._origin is not terrain
        ):
            self.entry = packet.in_link
        ways = self._homeward(place, decision, packet, following=following) if homeward else decision.ways
        if not ways:
            return _End("lost", terrain, packet)
        way = self._pick(ways)
        if decision.ways:
            self.trail.hop(place, decision.text)
        packet = replace(packet, out_link=way.link)
        packet = self._cross(terrain, "inet", "forward", packet)
        packet = self._cross(terrain, "inet", "postrouting", packet)
        return self._transmit(terrain, way, packet)

    def _is_homeward(self, terrain: Terrain, packet: Packet) -> bool:
        return (
            self.trail.direction == "reply"
            and terrain.is_host
            and self.entry is not None
            and packet.addresses.destination == self.sent_from
        )

    def _homeward(
        self, place: str, decision: Decision, packet: Packet, *, following: bool
    ) -> tuple[Way, ...]:
        """The way to the container; where the routes lead elsewhere, that is said and the right one taken."""
        entry = self.entry or ""
        wrong = next((way for way in decision.ways if way.link != entry), None)
        if wrong is not None and not following:
            route = decision.lookup.route
            text = describe_route(route) if route is not None else ""
            reason = f"the answer to {packet.addresses.destination} is sent out of {wrong.link}, not to {entry}: {decision.text}"
            self._halt(
                "route",
                place,
                Disposition.NO_ROUTE,
                f"route {text} dev {wrong.link}",
                reason,
                packet,
                link=wrong.link,
                route=route,
                routing_rule=decision.lookup.rule,
            )
        return (Way(entry),)

    # -- a packet that goes out ---------------------------------------------------------------------------------

    def _transmit(self, terrain: Terrain, way: Way, packet: Packet) -> _End:
        """The packet leaves by a link, for the gateway or for the destination itself."""
        link = terrain.links.get(way.link)
        packet = replace(packet, in_link=None, in_port=None, out_link=way.link)
        if link is None:
            self._unread(
                self._place(terrain, way.link), f"link {way.link}", terrain.links.unread or "", packet
            )
            return _End("lost", terrain, packet)
        toward = way.gateway or packet.addresses.destination
        self._broken(terrain, link, packet)
        packet = self._cross(terrain, "netdev", "egress", packet)
        if link.kind == "bridge":
            return self._onto_bridge(terrain, link, packet, toward, way)
        if link.kind in _UNDERLYING and not terrain.is_host:
            return self._by_parent(terrain, packet, self.world.host_end(link), link.name, link)
        if link.kind == "veth" and not terrain.is_host:
            return self._through_veth(terrain, link, packet, toward)
        station = self.world.container_end(link) if terrain.is_host else None
        if station is not None and station.terrain is not None and station.link is not None:
            packet = self._enter(station.terrain, packet)
            return self._receive(station.terrain, station.link, packet, toward)
        return self._leave(terrain, link, packet, way, toward)

    def _through_veth(self, terrain: Terrain, link: Link, packet: Packet, toward: IPAddress) -> _End:
        host = self.world.host
        self._gateway_neighbour(terrain, link, toward, packet)
        port = self.world.host_end(link)
        if port is None:
            place = self._place(terrain, link.name)
            if host.links.unread is not None:
                reason = f"the other end of {link.name} was not found: {host.links.unread}"
            else:
                reason = f"the other end of {link.name} is in a namespace that was not read (an overlay network has one)"
            self._halt(
                "namespace", place, Disposition.UNKNOWN, f"link {link.name}", reason, packet, link=link.name
            )
            return _End("lost", terrain, packet)
        self.trail.hop(self._place(terrain, link.name), f"through {link.name} to {port.name} on the host")
        packet = replace(self._enter(host, packet), mac_source=link.mac)
        return self._receive(host, port, packet, toward)

    def _enter(self, terrain: Terrain, packet: Packet) -> Packet:
        """Into another namespace: marks and connection tracking start anew there."""
        connection = Connection("new", "original", packet.addresses)
        if self.trail.direction == "reply":
            kept = self._kept.get(id(terrain))
            if kept is not None and kept.state != "untracked":
                connection = replace(kept, state="established", direction="reply")
            elif packet.protocol == "tcp":
                # An answer to a request that was never tracked belongs to no flow.
                connection = replace(connection, state="invalid")
        return replace(packet, mark=0, connection=connection, bridge_netfilter=None)

    def _onto_bridge(
        self, terrain: Terrain, bridge: Link, packet: Packet, toward: IPAddress, way: Way
    ) -> _End:
        """The host puts a frame onto a bridge of its own."""
        station = self.world.station(bridge, toward)
        place = f"bridge {bridge.name}"
        if station is not None:
            if station.port is not None:
                packet = replace(packet, out_port=station.port.name)
                packet = self._cross(terrain, "bridge", "output", packet)
                packet = self._cross(terrain, "bridge", "postrouting", packet)
                self._station_neighbour(terrain, bridge, station, toward, packet)
            return self._into_station(terrain, bridge, station, packet, toward)
        if self.trail.direction == "reply" and toward == self.sent_from:
            self.trail.hop(place, f"to {toward}")
            return _End("delivered", terrain if self._origin is not None else self.world.host, packet)
        outer = ethernet.outer_ports(self.world, bridge)
        network = self.world.network_by_bridge(bridge.name)
        if network is not None and not outer and self._nobody_there(terrain, bridge, packet, toward):
            return _End("lost", terrain, packet)
        port = outer[0] if len(outer) == 1 else None
        if port is not None:
            packet = replace(packet, out_port=port.name)
            self._broken(terrain, port, packet)
        packet = self._cross(terrain, "bridge", "output", packet)
        packet = self._cross(terrain, "bridge", "postrouting", packet)
        return self._leave(terrain, bridge, packet, way, toward, port)

    def _nobody_there(self, terrain: Terrain, bridge: Link, packet: Packet, toward: IPAddress) -> bool:
        """Whether no machine on a network's bridge is known to have an address; says so."""
        neighbour = terrain.neighbour(bridge, toward)
        if neighbour is not None and neighbour.state in ("reachable", "permanent", "stale", "delay", "probe"):
            return False
        network = self.world.network_by_bridge(bridge.name)
        of = f"network {network.name}" if network is not None else bridge.name
        reason = f"{toward} belongs to {of}, and no container there has it"
        place, at = f"bridge {bridge.name}", f"{toward} on {bridge.name}"
        unread = any(isinstance(self.world.terrain_of(c), Unread) for c in self.world.containers)
        disposition = Disposition.UNKNOWN if unread and neighbour is None else Disposition.NO_ROUTE
        self._halt("route", place, disposition, at, reason, packet, link=bridge.name)
        return True

    def _into_station(
        self, terrain: Terrain, bridge: Link, station: Station, packet: Packet, toward: IPAddress
    ) -> _End:
        """Out of a bridge's port and into the container behind it."""
        if station.port is not None:
            port = station.port
            packet = replace(packet, out_link=port.name, out_port=None)
            if port.master != bridge.index:
                reason = f"{port.name}, the link of {station.container.name}, is not a port of bridge {bridge.name}"
                self._halt(
                    "link",
                    port.name,
                    Disposition.DROPPED,
                    f"link {port.name}",
                    reason,
                    packet,
                    link=port.name,
                )
            elif bridge.up and not self._broken(terrain, port, packet):
                self._port_state(port, packet)
            packet = self._cross(terrain, "netdev", "egress", packet)
        if station.terrain is None or station.link is None:
            reason = f"the network namespace of {station.container.name} could not be read: {station.unread}"
            self._unread(
                f"container {station.container.name}",
                f"namespace of container {station.container.name}",
                reason,
                packet,
            )
            return _End("lost", terrain, packet)
        packet = replace(
            self._enter(station.terrain, packet), mac_destination=station.link.mac, mac_source=bridge.mac
        )
        return self._receive(station.terrain, station.link, packet, toward)

    def _leave(
        self,
        terrain: Terrain,
        link: Link,
        packet: Packet,
        way: Way,
        toward: IPAddress,
        port: Link | None = None,
    ) -> _End:
        place = f"uplink {link.name}" if terrain.is_host else self._place(terrain, link.name)
        self._uplink_neighbour(terrain, link, toward, packet)
        if terrain.is_host and self.trail.direction == "out":
            self.uplink = link.name
        rewritten = packet.addresses.source != self.sent_from and packet.source_known
        if self.trail.direction == "out" and (rewritten or self._nat_rule is not None):
            self.translation = Translation(packet.addresses.source, self._nat_rule)
        if link.kind in _HAS_NO_NEIGHBOURS:
            self.trail.hop(place, f"into the tunnel {link.name}; the way of what carries it is not followed")
        else:
            via = f" to {way.gateway}" if way.gateway is not None else ""
            self.trail.hop(place, f"leaves by {link.name}{via}")
        return _End("left", terrain, packet, link, port, way)

    def _by_parent(
        self, terrain: Terrain, packet: Packet, parent: Link | None, name: str, link: Link | None = None
    ) -> _End:
        """A macvlan or ipvlan link sends by its parent; the host's own rules and routes never see it."""
        host = self.world.host
        mode = self.network.options.get("ipvlan_mode", "") if self.network is not None else ""
        if parent is None:
            reason = f"the parent link of {name} was not found on the host"
            self._unread(self._place(terrain, name), f"link {name}", reason, packet)
            return _End("lost", terrain, packet)
        if mode == "l3s":
            reason = f"{name} is an ipvlan in mode l3s, whose way through the host's rules is not followed"
            self._halt(
                "unread",
                f"parent {parent.name}",
                Disposition.UNKNOWN,
                f"link {name}",
                reason,
                packet,
                link=name,
            )
        outside = replace(self._enter(host, packet), out_link=parent.name)
        self._broken(host, parent, outside)
        self._cross(host, "netdev", "egress", outside)
        self.uplink = parent.name
        text = f"leaves by {parent.name}, past the host's rules and routes; what follows is the network out there"
        self.trail.hop(f"uplink {parent.name}", text)
        self.trail.direction = "reply"
        back = replace(self._reversed(packet), in_link=parent.name)
        self._cross(host, "netdev", "ingress", back)
        self.trail.direction = "out"
        if link is None:
            return _End("lost", terrain, packet)
        return _End("left", terrain, packet, link)

    # -- what may be wrong with links and neighbours ------------------------------------------------------------

    def _broken(self, terrain: Terrain, link: Link, packet: Packet) -> bool:
        """Says why a link passes nothing."""
        fault = terrain.links.fault(link)
        if fault is None:
            return False
        if link.kind == "veth" and link.up and self._far_end_is_down(terrain, link):
            return True
        self._halt(
            "link",
            self._place(terrain, fault.link),
            Disposition.DROPPED,
            f"link {fault.link}",
            fault.reason,
            packet,
            link=fault.link,
            namespace=None if terrain.is_host else terrain.namespace.name,
        )
        if terrain.is_host:
            self._mended.add(link.name)
        return True

    def _far_end_is_down(self, terrain: Terrain, link: Link) -> bool:
        """Whether a veth has no carrier for the other end is down, which that end's own halt tells."""
        if terrain.is_host:
            station = self.world.container_end(link)
            return station is not None and station.link is not None and not station.link.up
        other = self.world.host_end(link)
        return other is not None and not other.up

    def _port_state(self, port: Link, packet: Packet) -> None:
        if port.carrier is False or not port.up or port.bridge_port_state in (None, 3):
            return
        states = {0: "disabled", 1: "listening", 2: "learning", 4: "blocking"}
        state = states.get(port.bridge_port_state, str(port.bridge_port_state))
        reason = f"the bridge port {port.name} is {state}: it forwards nothing"
        self._halt(
            "link", port.name, Disposition.DROPPED, f"link {port.name}", reason, packet, link=port.name
        )

    def _gateway_neighbour(self, terrain: Terrain, link: Link, toward: IPAddress, packet: Packet) -> None:
        """What a container knows of its gateway's hardware address."""
        if not (entry := self._neighbour(terrain, link, toward, packet)):
            return
        port = self.world.host_end(link)
        bridge = self.world.host.links.bridge_of(port) if port is not None else None
        if bridge is None:
            return
        if entry.state == "permanent" and ethernet.owns(self.world.host.links, bridge, toward):
            self._wrong_mac(terrain, link, entry, bridge.mac, packet)
        elif "failed" in entry.state and self.sent_from is not None:
            back = self.world.host.neighbour(bridge, self.sent_from)
            if back is None or back.state != "reachable":
                self._failed(terrain, link, entry, packet, Disposition.UNKNOWN)

    def _station_neighbour(
        self, terrain: Terrain, bridge: Link, station: Station, toward: IPAddress, packet: Packet
    ) -> None:
        """What the host knows of a container's hardware address."""
        if station.link is None or not (entry := self._neighbour(terrain, bridge, toward, packet)):
            return
        if entry.state == "permanent":
            self._wrong_mac(terrain, bridge, entry, station.link.mac, packet)
        elif "failed" in entry.state and bridge.name not in self._mended:
            # A failed entry is tried anew with the next packet: it tells of the last try only.
            self._failed(terrain, bridge, entry, packet, Disposition.UNKNOWN)

    def _uplink_neighbour(self, terrain: Terrain, link: Link, toward: IPAddress, packet: Packet) -> None:
        entry = self._neighbour(terrain, link, toward, packet)
        if entry is not None and "failed" in entry.state and link.name not in self._mended:
            self._failed(terrain, link, entry, packet, Disposition.NO_ROUTE)

    def _neighbour(self, terrain: Terrain, link: Link, toward: IPAddress, packet: Packet) -> Neighbour | None:
        neighbours = terrain.namespace.neighbours
        if isinstance(neighbours, Unread):
            reason = f"the neighbours could not be read: {neighbours.reason}"
            self._unread(
                self._place(terrain, link.name), f"neighbour {toward} dev {link.name}", reason, packet
            )
            return None
        return terrain.neighbour(link, toward)

    def _wrong_mac(
        self, terrain: Terrain, link: Link, entry: Neighbour, right: str | None, packet: Packet
    ) -> None:
        if entry.mac is None or right is None or entry.mac.lower() == right.lower():
            return
        reason = f"{entry.address} is fixed to {entry.mac} on {link.name}, but it is {right}"
        self._at_neighbour(terrain, link, entry, packet, Disposition.DROPPED, reason)

    def _failed(
        self, terrain: Terrain, link: Link, entry: Neighbour, packet: Packet, disposition: Disposition
    ) -> None:
        protocol = "ARP" if entry.family == 4 else "neighbour discovery"
        reason = f"{entry.address} did not answer {protocol} on {link.name} when it was last asked"
        self._at_neighbour(terrain, link, entry, packet, disposition, reason)

    def _at_neighbour(
        self,
        terrain: Terrain,
        link: Link,
        entry: Neighbour,
        packet: Packet,
        disposition: Disposition,
        reason: str,
    ) -> None:
        self._halt(
            "neighbour",
            self._place(terrain, link.name),
            disposition,
            f"neighbour {entry.address} dev {link.name}",
            reason,
            packet,
            link=link.name,
            neighbour=entry,
            namespace=None if terrain.is_host else terrain.namespace.name,
        )

    # -- what is met --------------------------------------------------------------------------------------------

    def _cross(
        self, terrain: Terrain, layer: Layer, hook: Hook, packet: Packet, *, doubt: str | None = None
    ) -> Packet:
        """Takes the packet through one hook; `doubt` says why it may not come there at all."""
        crossing = cross(terrain.ruleset, layer, hook, packet, terrain.router)
        place = self._place(terrain, hook if layer == "inet" else f"{layer} {hook}")
        for stop in crossing.stops:
            self._stopped(terrain, place, stop, packet, doubt)
        for passage in crossing.passages:
            verdict = "rewrite" if passage.kind == "nat" else "pass"
            text = f"{rule_name(passage.rule)}: {passage.rule.text}"
            if passage.kind == "nat":
                text += f" ({self._rewritten(packet, crossing.packet)})"
            self.trail.hop(place, text, verdict, passage.rule)
        if layer == "inet":
            self._remember(terrain, hook, crossing)
            return crossing.packet
        return replace(packet, mark=crossing.packet.mark)

    def _stopped(self, terrain: Terrain, place: str, stop: Stop, packet: Packet, doubt: str | None) -> None:
        unread = not stop.rule.table
        kind: HaltKind = "unread" if unread else "rule" if stop.rule.index or stop.rule.handle else "policy"
        self._halt(
            kind,
            place,
            Disposition.UNKNOWN if doubt else _STOPPED[stop.verdict],
            stop.rule.text if unread else rule_name(stop.rule),
            f"{stop.reason} ({doubt})" if doubt else stop.reason,
            packet,
            rule=None if unread else stop.rule,
            netfilter=stop,
            namespace=None if terrain.is_host else terrain.namespace.name,
        )

    def _remember(self, terrain: Terrain, hook: Hook, crossing: Crossing) -> None:
        """What the answer's way depends on."""
        untracked = next((p.rule for p in crossing.passages if p.kind == "notrack"), None)
        if untracked is not None and terrain.is_host:
            self._untracked_by = untracked
        if self.trail.direction == "reply":
            return
        self._kept[id(terrain)] = crossing.packet.connection
        if not terrain.is_host:
            return
        if any(stop.verdict == "unknown" for stop in crossing.stops):
            self._nat_doubt = next(stop.reason for stop in crossing.stops if stop.verdict == "unknown")
        if hook == "postrouting":
            self.shadowed_nat = crossing.shadowed_nat
            self._nat_rule = crossing.nat
            if crossing.nat is None and crossing.shadowed_nat:
                nat = [p.rule for p in crossing.passages if " nat hook " in f" {p.base_chain.text}"]
                self._nat_rule = nat[-1] if nat else None

    @staticmethod
    def _rewritten(before: Packet, after: Packet) -> str:
        if not after.source_known:
            return "source becomes an address of this host"
        if before.addresses.source != after.addresses.source:
            return f"source {before.addresses.source} becomes {after.addresses.source}"
        return f"destination {before.addresses.destination} becomes {after.addresses.destination}"

    def _obstacles(
        self,
        terrain: Terrain,
        place: str,
        obstacles: Iterable[Obstacle],
        packet: Packet,
        *,
        following: bool = False,
    ) -> None:
        for obstacle in obstacles:
            routed = obstacle.kind in ("route", "no-route", "reverse-path")
            if routed and (following or (obstacle.kind == "reverse-path" and obstacle.link in self._mended)):
                continue
            self._halt(
                obstacle.kind,
                place,
                obstacle.disposition,
                obstacle.at,
                obstacle.reason,
                packet,
                sysctl=obstacle.sysctl,
                link=obstacle.link,
                route=obstacle.route,
                routing_rule=obstacle.rule,
                namespace=None if terrain.is_host else terrain.namespace.name,
            )

    def _unread(self, place: str, at: str, reason: str, packet: Packet) -> None:
        self._halt("unread", place, Disposition.UNKNOWN, at, reason, packet)

    def _halt(
        self,
        kind: HaltKind,
        place: str,
        disposition: Disposition,
        at: str,
        reason: str,
        packet: Packet,
        *,
        rule: RuleReference | None = None,
        netfilter: Stop | None = None,
        sysctl: str | None = None,
        link: str | None = None,
        route: Route | None = None,
        routing_rule: RoutingRule | None = None,
        neighbour: Neighbour | None = None,
        isolation: Literal["none", "internal"] | None = None,
        networks: tuple[str, ...] = (),
        namespace: str | None = None,
    ) -> None:
        self.trail.halt(
            Halt(
                direction=self.trail.direction,
                place=place,
                kind=kind,
                disposition=disposition,
                at=at,
                reason=reason,
                packet=packet,
                rule=rule,
                netfilter=netfilter,
                sysctl=sysctl,
                link=link,
                route=route,
                routing_rule=routing_rule,
                neighbour=neighbour,
                isolation=isolation,
                networks=networks,
                namespace=namespace,
            )
        )

    def _pick(self, ways: tuple[Way, ...]) -> Way:
        self.branches = max(self.branches, len(ways))
        return ways[self._choice % len(ways)]

    def _place(self, terrain: Terrain, name: str) -> str:
        if terrain.is_host or terrain.owner is None:
            return name
        if terrain is self._origin:
            return f"container {name}"
        return f"{terrain.owner.name} {name}"

    @staticmethod
    def _owner(terrain: Terrain) -> str:
        return "this host" if terrain.owner is None else f"container {terrain.owner.name}"


__all__ = ["Trip", "sysctl_name"]
