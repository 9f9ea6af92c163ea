"""One packet on its way through the namespaces of a snapshot, and its answer on the way back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Literal

from dockerdiag.packet import beginning, ethernet
from dockerdiag.packet.adjacency import Adjacency
from dockerdiag.packet.fib import LOOPBACK, describe_route
from dockerdiag.packet.flow import Flow, HaltKind, Translation, rule_name
from dockerdiag.packet.netfilter import Hook, Layer, Passage, Stop, cross
from dockerdiag.packet.packet import IPAddress, Packet
from dockerdiag.packet.routing import Decision, Obstacle, Way
from dockerdiag.packet.tracking import Tracking
from dockerdiag.packet.trail import Trail
from dockerdiag.packet.world import Station, Terrain, World
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Container, Endpoint, Link, Network, Unread

_MAX_ROUTINGS = 24
_UNDERLYING = ("macvlan", "ipvlan", "macvtap", "ipvtap")
_TUNNELS = ("wireguard", "tun", "ipip", "sit", "gre", "xfrm", "ppp", "vti", "ip6tnl")
_STOPPED = {"drop": Disposition.DROPPED, "reject": Disposition.REJECTED, "unknown": Disposition.UNKNOWN}


@dataclass(frozen=True, slots=True)
class _End:
    """Where one direction ended: at a process, off the host by a link, beyond what can be seen, or at a halt."""

    kind: Literal["delivered", "left", "beyond", "lost"]
    terrain: Terrain
    packet: Packet
    link: Link | None = None
    port: Link | None = None
    """Of a bridge it left by: the port."""


class Trip:
    """Takes one flow's first packet out and the answer back; `trail` has what was met.

    Each method that moves the packet ends where the direction ends. A stop is noted, and the packet goes on as if it
    were mended.

    Args:
        world: The snapshot.
        flow: Who sends what where.
        choice: Which way to take where a multipath route offers several.
    """

    def __init__(self, world: World, flow: Flow, choice: int = 0) -> None:
        self.world = world
        self.flow = flow
        self.trail = Trail()
        self.tracking = Tracking()
        self.sent_from: IPAddress | None = None
        self.uplink: str | None = None
        self.entry: str | None = None
        """The host's link that the container's packets come in by."""
        self.network: Network | None = None
        self.translation: Translation | None = None
        self.branches = 1
        """How many ways the widest multipath route offers."""
        self._choice = choice
        self._adjacency = Adjacency(world, self.trail)
        self._routings = 0

    def run(self) -> None:
        """Walks out and back."""
        source, host = self.flow.source, self.world.host
        if (source.container is not None or source.network is not None) and self.world.elsewhere is not None:
            packet = beginning.first_packet(self.flow)
            self.trail.unread(host, "engine", "engine", self.world.elsewhere, packet)
            return
        end = self._request()
        if self._is_over(end):
            return
        packet = self._answerable(end) if end.kind == "left" else end.packet
        self.trail.direction = "reply"
        self._answer(end, beginning.answer_to(packet))

    def _is_over(self, end: _End) -> bool:
        """Whether there is no more to follow."""
        if end.kind == "lost" and not self.trail.halts:
            reason = "the packet's way could not be followed here"
            self.trail.unread(end.terrain, "routes", "unknown way", reason, end.packet)
        return end.kind in ("lost", "beyond")

    # -- the request --------------------------------------------------------------------------------------------

    def _request(self) -> _End:
        source, host = self.flow.source, self.world.host
        packet = beginning.first_packet(self.flow)
        if source.container is None and source.network is None:
            self.trail.origin = host
            return self._emit(host, packet, None)
        network, endpoint = source.network, None
        if source.container is not None:
            terrain = self.world.terrain_of(source.container)
            if isinstance(terrain, Terrain):
                self.trail.origin = terrain
                return self._emit(terrain, packet, None)
            if isinstance(terrain, Unread):
                reason = f"the network namespace of {source.name} could not be read: {terrain.reason}"
                self.trail.unread(host, "container", f"namespace of {source.name}", reason, packet)
            if source.container.network_mode == "none":
                return self._without_network(host, packet, source.container)
            endpoint, network = beginning.configured_endpoint(self.world, source.container, packet.family)
        if network is None:
            reason = f"{source.name} is on no network that was read"
            self.trail.unread(host, "container", source.name, reason, packet)
            return _End("lost", host, packet)
        return self._from_network(network, endpoint, packet)

    def _from_network(self, network: Network, endpoint: Endpoint | None, packet: Packet) -> _End:
        """Starts on a network's bridge, where the container's own namespace cannot be looked at."""
        host, version = self.world.host, packet.family
        told = beginning.address_of(endpoint, version) if endpoint is not None else ""
        address = ip_address(told) if told else beginning.unused_address(self.world, network, version)
        self.network = network
        if address is None:
            reason = f"network {network.name} has no IPv{version} subnet"
            at = f"network {network.name}"
            self.trail.halt(host, "container", "no-route", Disposition.NO_ROUTE, at, reason, packet)
            return _End("lost", host, packet)
        self.sent_from = address
        packet = replace(beginning.with_source(packet, address), locally_generated=False)
        on_link = self.world.holds(network, self.flow.destination)
        if network.internal and not on_link:
            self._internal(host, packet, (network,))
            return _End("lost", host, packet)
        self.trail.hop(host, "container", f"{self.flow.source.name} sends from {address}")
        if network.driver in _UNDERLYING:
            name = network.options.get("parent", "")
            return self._by_parent(host, packet, host.links.get(name), name)
        if network.bridge is None:
            reason = (
                f"network {network.name} has driver {network.driver}: only its containers show the way out"
            )
            self.trail.unread(host, "container", f"network {network.name}", reason, packet)
            return _End("lost", host, packet)
        gateways = [
            pool.gateway for pool in network.pools if pool.gateway and (":" in pool.gateway) == (version == 6)
        ]
        gateway = (beginning.gateway_of(endpoint, version) if endpoint is not None else "") or next(
            iter(gateways), ""
        )
        bridge = self._bridge(network.bridge, packet)
        if bridge is None:
            return _End("lost", host, packet)
        toward = self.flow.destination if on_link or not gateway else ip_address(gateway)
        return self._bridged(host, bridge, None, packet, toward)

    # -- the answer ---------------------------------------------------------------------------------------------

    def _answer(self, end: _End, packet: Packet) -> None:
        host = self.world.host
        if end.kind == "left":
            link = end.port or end.link
            if link is None:
                return
            final = self._receive(end.terrain, link, packet, packet.addresses.destination, to_host=True)
        else:
            final = self._emit(end.terrain, packet, packet.addresses.source)
        if self._is_over(final):
            return
        if final.kind == "delivered" and final.terrain is (self.trail.origin or host):
            self.trail.hop(final.terrain, "process", "the answer arrives", "delivered")
            return
        if final.kind == "delivered" and final.terrain is host:
            self._not_translated_back(final.packet)
            return
        reason = f"the answer does not come back to {self.flow.source.name}"
        self.trail.halt(host, "reply", "route", Disposition.NOT_ANSWERED, "reply", reason, final.packet)

    def _not_translated_back(self, packet: Packet) -> None:
        """The answer stays with the host, since connection tracking did not rewrite it."""
        rule = self.tracking.untracked_by
        destination = packet.addresses.destination
        by = f": {rule_name(rule)} takes it out of connection tracking" if rule is not None else ""
        reason = f"the answer to {destination} is not translated back to the container{by}"
        at = rule_name(rule) if rule is not None else f"address {destination}"
        kind: HaltKind = "rule" if rule is not None else "unanswered"
        host = self.world.host
        self.trail.halt(host, "prerouting", kind, Disposition.NOT_ANSWERED, at, reason, packet, rule=rule)

    def _answerable(self, end: _End) -> Packet:
        """Whether who gets the packet can answer its source; the packet as it would have to be, where not."""
        packet, terrain, link = end.packet, end.terrain, end.link
        source = packet.addresses.source
        place = f"uplink {link.name}" if link is not None else "uplink"
        if link is not None and link.kind in _UNDERLYING:
            self.trail.hop(terrain, place, f"answers to {source} depend on the network out there")
            return packet
        if not packet.source_known:
            self.trail.hop(terrain, place, "its source is an address of this host, which one was not read")
            return packet
        kind = terrain.router.address_type(source)
        if kind is None:
            reason = f"whether {source} is an address of this host was not read"
            self.trail.unread(terrain, place, f"address {source}", reason, packet)
            return packet
        if kind == "local":
            self.trail.hop(terrain, place, f"answers to {source} come back to this host")
            return packet
        if source == self.sent_from and (why := self._perhaps_routed(source)) is not None:
            self.trail.hop(terrain, place, f"it leaves with the container's own address {source}: {why}")
            return packet
        reason, rule = self.tracking.unanswered(packet, self.sent_from)
        at = rule_name(rule) if rule is not None else f"source {source} not translated"
        disposition = Disposition.NOT_ANSWERED
        if self.tracking.doubt is not None:
            disposition, reason = (
                Disposition.UNKNOWN,
                f"whether its source is translated: {self.tracking.doubt}",
            )
        self.trail.halt(
            terrain, place, "unanswered", disposition, at, reason, packet, rule=rule, link=self.uplink
        )
        candidates = terrain.router.local_addresses(link.name) if link is not None else None
        own = next((a for a in candidates or () if a.version == source.version), None)
        return packet if own is None else self.tracking.masqueraded(terrain, packet, own)

    def _perhaps_routed(self, source: IPAddress) -> str | None:
        """Why an address of a container may be answered all the same."""
        mode = f"com.docker.network.bridge.gateway_mode_ipv{source.version}"
        if self.network is not None and self.network.options.get(mode) == "routed":
            return f"network {self.network.name} is routed; whether routers out there know it cannot be seen here"
        if source.is_global:
            return "a public address; whether it is routed to this host cannot be seen here"
        return None

    # -- a packet that is made ----------------------------------------------------------------------------------

    def _emit(self, terrain: Terrain, packet: Packet, source: IPAddress | None) -> _End:
        """A process in `terrain` sends `packet`; without `source` its address is chosen here."""
        packet = replace(packet, locally_generated=True, in_link=None, in_port=None)
        decision, packet = self._depart(terrain, packet, source)
        if decision.kind == "nowhere" and self._isolated(terrain, packet):
            return _End("lost", terrain, packet)
        down = decision.lookup.outcome == "none" and self._adjacency.gone_with_its_link(terrain, packet)
        self._obstacles(terrain, "routes", decision.obstacles, packet, following=down)
        if decision.kind != "nowhere" and not decision.ways:
            self._unnamed(terrain, "routes", packet)
        if decision.ways:
            self.trail.hop(terrain, "routes", decision.text)
        ways = decision.ways or beginning.configured_way(terrain, packet.family)
        if not ways:
            return _End("lost", terrain, packet)
        way = self._pick(ways)
        before = packet = replace(packet, out_link=LOOPBACK if decision.kind == "local" else way.link)
        packet = self._cross(terrain, "inet", "output", packet)
        if packet.mark != before.mark or packet.addresses != before.addresses:
            # What an output chain rewrites or marks is routed again.
            decision, _ = self._depart(terrain, packet, packet.addresses.source)
            self._obstacles(terrain, "routes", decision.obstacles, packet)
            way = self._pick(decision.ways) if decision.ways else way
        if decision.kind == "local":
            return self._to_itself(terrain, packet)
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
            chosen = decision.source or beginning.any_address(terrain, packet.family)
            if chosen is not None:
                packet = beginning.with_source(packet, chosen)
            self.sent_from = packet.addresses.source
            if not terrain.is_host:
                self.network = self.world.network_of(terrain.owner, self.sent_from)
            self.trail.hop(terrain, "process", f"{self.flow.source.name} sends from {self.sent_from}")
        return decision, packet

    def _isolated(self, terrain: Terrain, packet: Packet) -> bool:
        """Says that there is no way because somebody chose none: a container without network, or internal only."""
        owner = terrain.owner
        if owner is None:
            return False
        if owner.network_mode == "none":
            if any(link.up and not link.loopback for link in terrain.links.by_name.values()):
                return False
            self._without_network(terrain, packet, owner)
            return True
        by_name = {network.name: network for network in self.world.networks}
        networks = tuple(by_name[e.network] for e in owner.endpoints if e.network in by_name)
        if not networks or not all(network.internal for network in networks):
            return False
        self._internal(terrain, packet, networks)
        return True

    def _without_network(self, terrain: Terrain, packet: Packet, container: Container) -> _End:
        self.trail.halt(
            terrain,
            "routes",
            "no-route",
            Disposition.NO_ROUTE,
            f"container {container.name} has no network",
            f"{container.name} was started without a network",
            packet,
            isolation="none",
        )
        return _End("lost", terrain, packet)

    def _internal(self, terrain: Terrain, packet: Packet, networks: tuple[Network, ...]) -> None:
        names = tuple(network.name for network in networks)
        self.trail.halt(
            terrain,
            "routes",
            "no-route",
            Disposition.NO_ROUTE,
            f"network {', '.join(names)} is internal",
            f"network {', '.join(names)} is internal: its containers have no default route",
            packet,
            isolation="internal",
            networks=names,
        )

    def _to_itself(self, terrain: Terrain, packet: Packet) -> _End:
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
        self._adjacency.broken(terrain, link, packet)
        packet = self._cross(terrain, "netdev", "ingress", packet)
        bridge = terrain.links.bridge_of(link)
        wanted = self._wanted_bridge(terrain, link, packet)
        if wanted is not None and (bridge is None or bridge.name != wanted):
            bridge = self._bridge(wanted, packet)
            if bridge is None:
                return _End("lost", terrain, packet)
            self._adjacency.not_a_port(terrain, link, wanted, packet)
        if bridge is not None:
            return self._bridged(terrain, bridge, link, packet, toward, to_host=to_host)
        return self._ip_input(terrain, packet)

    def _wanted_bridge(self, terrain: Terrain, link: Link, packet: Packet) -> str | None:
        """The bridge that a container's link on the host belongs to."""
        station = self.world.container_end(link) if terrain.is_host and link.kind == "veth" else None
        if station is None or station.terrain is None or station.link is None:
            return None
        for address in station.terrain.links.addresses(station.link.name, packet.family) or ():
            network = self.world.network_of(station.container, ip_address(address.address))
            if network is not None:
                return network.bridge
        return None

    def _bridge(self, name: str, packet: Packet) -> Link | None:
        """A network's bridge; where it is missing, that is said."""
        host = self.world.host
        if (bridge := host.links.get(name)) is not None:
            return bridge
        place, at = f"bridge {name}", f"link {name}"
        if host.links.unread is not None:
            self.trail.unread(host, place, at, host.links.unread, packet)
        else:
            reason = f"the bridge {name} does not exist"
            self.trail.halt(host, place, "link", Disposition.DROPPED, at, reason, packet, link=name)
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
        called = ethernet.bridge_netfilter(terrain.namespace, bridge, packet.family)
        port_name = port.name if port is not None else None
        packet = replace(packet, in_link=bridge.name, in_port=port_name, bridge_netfilter=called)
        if not self._adjacency.broken(terrain, bridge, packet) and port is not None:
            self._adjacency.port_state(terrain, port, packet)
        packet = self._cross(terrain, "bridge", "prerouting", packet)
        owned = to_host or ethernet.owns(terrain.links, bridge, toward)
        station = None if owned else self.world.station(bridge, toward)
        if not owned and station is None:
            return self._to_unseen(terrain, bridge, port, packet, toward)
        if called:
            packet = self._cross(terrain, "inet", "prerouting", packet)
        if station is not None:
            return self._across(terrain, bridge, port, packet, station)
        if not to_host:
            self._adjacency.silent(terrain, bridge, toward, packet)
        packet = replace(packet, mac_destination=bridge.mac)
        packet = self._cross(terrain, "bridge", "input", packet)
        packet = self._cross(terrain, "netdev", "ingress", packet)
        if not to_host:
            text = f"{toward} is {bridge.name}'s address: the host takes the packet in"
            self.trail.hop(terrain, f"bridge {bridge.name}", text)
        return self._ip_input(terrain, packet, prerouted=bool(called))

    def _to_unseen(
        self, terrain: Terrain, bridge: Link, port: Link | None, packet: Packet, toward: IPAddress
    ) -> _End:
        """Nobody that is known has `toward` on this bridge."""
        outer = [p for p in ethernet.outer_ports(self.world, bridge) if p is not port]
        if outer:
            names = " or ".join(p.name for p in outer)
            self.trail.hop(terrain, f"bridge {bridge.name}", f"{toward} is beyond {names}: bridged on")
            self._l2_forward(terrain, bridge, packet, outer[0])
            self.uplink = self.uplink or outer[0].name
            text = "it goes on by bridging; answers depend on the network out there"
            self.trail.hop(terrain, f"uplink {outer[0].name}", text)
            return _End("beyond", terrain, packet)
        if toward == packet.addresses.destination:
            if not self._adjacency.nobody(terrain, bridge, toward, packet):
                self.trail.hop(terrain, f"bridge {bridge.name}", f"{toward} answers on {bridge.name}")
                return _End("beyond", terrain, packet)
            return _End("lost", terrain, packet)
        self._adjacency.no_gateway(terrain, bridge, toward, packet)
        return self._ip_input(terrain, packet)

    def _across(
        self, terrain: Terrain, bridge: Link, port: Link | None, packet: Packet, station: Station
    ) -> _End:
        """From one port of a bridge to another."""
        if station.port is not None:
            if port is not None:
                self._adjacency.isolated(terrain, port, station.port, packet)
            packet = self._l2_forward(terrain, bridge, packet, station.port)
        return self._into_station(terrain, bridge, station, packet)

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
        self._routings += 1
        if self._routings > _MAX_ROUTINGS:
            reason = "the packet goes round in circles"
            self.trail.halt(terrain, "routing", "loop", Disposition.LOOPED, "routes", reason, packet)
            return _End("lost", terrain, packet)
        decision = terrain.router.arrive(packet)
        homeward = self._is_homeward(terrain, packet)
        following = homeward and self.entry in self._adjacency.mended
        self._obstacles(terrain, "routing", decision.obstacles, packet, following=following)
        if decision.disagreement is not None:
            reason = f"{decision.disagreement}: what decides was not seen"
            self.trail.unread(terrain, "routing", "the kernel's own answer", reason, packet)
        if decision.kind == "local":
            mine = "this host" if terrain.owner is None else f"container {terrain.owner.name}"
            self.trail.hop(terrain, "routing", f"{packet.addresses.destination} is an address of {mine}")
            packet = self._cross(terrain, "inet", "input", packet)
            return _End("delivered", terrain, packet)
        if self.trail.direction == "out" and terrain.is_host and self.entry is None:
            self.entry = packet.in_link
        ways = self._homeward(terrain, decision, packet, following=following) if homeward else decision.ways
        if decision.kind == "forward" and not ways:
            self._unnamed(terrain, "routing", packet)
        if not ways:
            return _End("lost", terrain, packet)
        way = self._pick(ways)
        if decision.ways:
            self.trail.hop(terrain, "routing", decision.text)
        packet = replace(packet, out_link=way.link)
        packet = self._cross(terrain, "inet", "forward", packet)
        packet = self._cross(terrain, "inet", "postrouting", packet)
        return self._transmit(terrain, way, packet)

    def _is_homeward(self, terrain: Terrain, packet: Packet) -> bool:
        back = self.trail.direction == "reply" and terrain.is_host and self.entry is not None
        return back and packet.addresses.destination == self.sent_from

    def _homeward(
        self, terrain: Terrain, decision: Decision, packet: Packet, *, following: bool
    ) -> tuple[Way, ...]:
        """The way to the container; where the routes lead elsewhere, that is said and the right one taken."""
        entry = self.entry or ""
        wrong = next((way for way in decision.ways if way.link != entry), None)
        if wrong is not None and not following:
            route = decision.lookup.route
            at = f"route {describe_route(route)} dev {wrong.link}" if route is not None else wrong.link
            where = f"{packet.addresses.destination} is sent out of {wrong.link}, not to {entry}"
            self.trail.halt(
                terrain,
                "routing",
                "route",
                Disposition.NO_ROUTE,
                at,
                f"the answer to {where}: {decision.text}",
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
            reason = terrain.links.unread or f"{way.link} is not among the links"
            self.trail.unread(terrain, way.link, f"link {way.link}", reason, packet)
            return _End("lost", terrain, packet)
        toward = way.gateway or packet.addresses.destination
        self._adjacency.broken(terrain, link, packet)
        packet = self._cross(terrain, "netdev", "egress", packet)
        if link.kind == "bridge":
            return self._onto_bridge(terrain, link, packet, way)
        if link.kind in _UNDERLYING and not terrain.is_host:
            return self._by_parent(terrain, packet, self.world.host_end(link), link.name, link)
        if link.kind == "veth" and not terrain.is_host:
            return self._through_veth(terrain, link, packet, toward)
        station = self.world.container_end(link) if terrain.is_host else None
        if station is not None and station.terrain is not None and station.link is not None:
            packet = self.tracking.enter(station.terrain, packet, self.trail.direction)
            return self._receive(station.terrain, station.link, packet, toward)
        return self._leave(terrain, link, packet, way)

    def _through_veth(self, terrain: Terrain, link: Link, packet: Packet, toward: IPAddress) -> _End:
        host = self.world.host
        self._adjacency.of_container(terrain, link, toward, packet)
        port = self.world.host_end(link)
        if port is None:
            why = (
                host.links.unread
                or "it is in a namespace that was not read, such as an overlay network's own"
            )
            reason = f"the other end of {link.name} was not found: {why}"
            at = f"link {link.name}"
            self.trail.halt(
                terrain, link.name, "namespace", Disposition.UNKNOWN, at, reason, packet, link=link.name
            )
            return _End("lost", terrain, packet)
        self.trail.hop(terrain, link.name, f"through {link.name} to {port.name} on the host")
        packet = self.tracking.enter(host, packet, self.trail.direction)
        return self._receive(host, port, replace(packet, mac_source=link.mac), toward)

    def _onto_bridge(self, terrain: Terrain, bridge: Link, packet: Packet, way: Way) -> _End:
        """The host puts a frame onto a bridge of its own."""
        toward = way.gateway or packet.addresses.destination
        station = self.world.station(bridge, toward)
        if station is not None:
            if station.port is not None:
                packet = self._bridge_output(terrain, station.port, packet)
                self._adjacency.of_station(terrain, bridge, station, toward, packet)
            return self._into_station(terrain, bridge, station, packet)
        if self.trail.origin is None and toward == self.sent_from:
            self.trail.hop(terrain, f"bridge {bridge.name}", f"to {toward}")
            return _End("delivered", terrain, packet)
        outer = ethernet.outer_ports(self.world, bridge)
        docker = self.world.network_by_bridge(bridge.name) is not None
        if docker and not outer and self._adjacency.nobody(terrain, bridge, toward, packet):
            return _End("lost", terrain, packet)
        port = outer[0] if len(outer) == 1 else None
        if port is not None:
            self._adjacency.broken(terrain, port, packet)
            packet = self._bridge_output(terrain, port, packet)
        return self._leave(terrain, bridge, packet, way, port)

    def _bridge_output(self, terrain: Terrain, port: Link, packet: Packet) -> Packet:
        packet = replace(packet, out_port=port.name)
        packet = self._cross(terrain, "bridge", "output", packet)
        return self._cross(terrain, "bridge", "postrouting", packet)

    def _into_station(self, terrain: Terrain, bridge: Link, station: Station, packet: Packet) -> _End:
        """Out of a bridge's port and into the container behind it."""
        if station.port is not None:
            port = station.port
            packet = replace(packet, out_link=port.name, out_port=None)
            if port.master != bridge.index:
                self._adjacency.not_a_port(terrain, port, bridge.name, packet)
            elif bridge.up and not self._adjacency.broken(terrain, port, packet):
                self._adjacency.port_state(terrain, port, packet)
            packet = self._cross(terrain, "netdev", "egress", packet)
        if station.terrain is None or station.link is None:
            at = f"namespace of container {station.container.name}"
            reason = f"the network {at} could not be read: {station.unread}"
            self.trail.unread(terrain, f"container {station.container.name}", at, reason, packet)
            return _End("lost", terrain, packet)
        packet = self.tracking.enter(station.terrain, packet, self.trail.direction)
        packet = replace(packet, mac_destination=station.link.mac, mac_source=bridge.mac)
        return self._receive(station.terrain, station.link, packet, packet.addresses.destination)

    def _leave(
        self, terrain: Terrain, link: Link, packet: Packet, way: Way, port: Link | None = None
    ) -> _End:
        """Off the host, as far as it can be seen."""
        toward = way.gateway or packet.addresses.destination
        self._adjacency.of_uplink(terrain, link, toward, packet)
        if self.trail.direction == "out":
            if terrain.is_host:
                self.uplink = link.name
            rewritten = packet.addresses.source != self.sent_from and packet.source_known
            if rewritten or self.tracking.nat_rule is not None:
                self.translation = Translation(packet.addresses.source, self.tracking.nat_rule)
        via = f" to {way.gateway}" if way.gateway is not None else ""
        text = f"leaves by {link.name}{via}"
        if link.kind in _TUNNELS:
            text = f"into the tunnel {link.name}; the way of what carries it is not followed"
        self.trail.hop(terrain, f"uplink {link.name}" if terrain.is_host else link.name, text)
        return _End("left", terrain, packet, link, port)

    def _by_parent(
        self, terrain: Terrain, packet: Packet, parent: Link | None, name: str, link: Link | None = None
    ) -> _End:
        """A macvlan or ipvlan link sends by its parent; the host's own rules and routes never see it."""
        host = self.world.host
        if parent is None:
            reason = f"the parent link of {name or 'the network'} was not found on the host"
            self.trail.unread(terrain, name or "parent", f"link {name}", reason, packet)
            return _End("lost", terrain, packet)
        place = f"parent {parent.name}"
        if self.network is not None and self.network.options.get("ipvlan_mode") == "l3s":
            reason = f"{name} is an ipvlan in mode l3s, whose way through the host's rules is not followed"
            self.trail.unread(host, place, f"link {name}", reason, packet)
        outside = replace(packet, out_link=parent.name, mark=0)
        self._adjacency.broken(host, parent, outside)
        self._cross(host, "netdev", "egress", outside)
        self.uplink = parent.name
        text = f"leaves by {parent.name}, past the host's rules and routes: the rest is the network out there"
        self.trail.hop(host, place, text)
        self.trail.direction = "reply"
        self._cross(host, "netdev", "ingress", replace(beginning.answer_to(packet), in_link=parent.name))
        self.trail.direction = "out"
        return _End("beyond", terrain, packet) if link is None else _End("left", terrain, packet, link)

    # -- what is met --------------------------------------------------------------------------------------------

    def _cross(
        self, terrain: Terrain, layer: Layer, hook: Hook, packet: Packet, *, doubt: str | None = None
    ) -> Packet:
        """Takes the packet through one hook; `doubt` says why it may not come there at all."""
        ruleset = terrain.ruleset
        translated = packet.connection.source_nat or packet.connection.destination_nat
        idle = layer != "inet" or not (ruleset.tables or translated)
        if idle and not ruleset.unreadable and not ruleset.base_chains(layer, hook):
            return packet
        crossing = cross(ruleset, layer, hook, packet, terrain.router)
        place = hook if layer == "inet" else f"{layer} {hook}"
        for stop in crossing.stops:
            self._stopped(terrain, place, stop, packet, doubt)
        for passage in crossing.passages:
            self._passed(terrain, place, passage, packet, crossing.packet)
        if layer == "inet":
            self.tracking.remember(terrain, hook, crossing, self.trail.direction)
            return crossing.packet
        return replace(packet, mark=crossing.packet.mark)

    def _stopped(self, terrain: Terrain, place: str, stop: Stop, packet: Packet, doubt: str | None) -> None:
        read = bool(stop.rule.table)
        kind: HaltKind = "rule" if stop.rule.index is not None or stop.rule.handle is not None else "policy"
        self.trail.halt(
            terrain,
            place,
            kind if read else "unread",
            Disposition.UNKNOWN if doubt else _STOPPED[stop.verdict],
            rule_name(stop.rule) if read else stop.rule.text,
            f"{stop.reason} ({doubt})" if doubt else stop.reason,
            packet,
            rule=stop.rule if read else None,
            netfilter=stop,
        )

    def _passed(self, terrain: Terrain, place: str, passage: Passage, before: Packet, after: Packet) -> None:
        text = f"{rule_name(passage.rule)}: {passage.rule.text}"
        if passage.kind != "nat":
            self.trail.hop(terrain, place, text, rule=passage.rule)
            return
        was, now = before.addresses, after.addresses
        if not after.source_known:
            text += " (its source becomes an address of this host)"
        elif was.source != now.source:
            text += f" (source {was.source} becomes {now.source})"
        elif was.destination != now.destination:
            text += f" (destination {was.destination} becomes {now.destination})"
        self.trail.hop(terrain, place, text, "rewrite", passage.rule)

    def _obstacles(
        self,
        terrain: Terrain,
        place: str,
        obstacles: Iterable[Obstacle],
        packet: Packet,
        *,
        following: bool = False,
    ) -> None:
        """Notes what routing stops; `following` leaves out what comes of a link that is broken."""
        for obstacle in obstacles:
            broken_link = terrain.is_host and obstacle.link in self._adjacency.mended
            if following and obstacle.kind in ("route", "no-route", "reverse-path"):
                continue
            if broken_link and obstacle.kind == "reverse-path":
                continue
            self.trail.halt(
                terrain,
                place,
                obstacle.kind,
                obstacle.disposition,
                obstacle.at,
                obstacle.reason,
                packet,
                sysctl=obstacle.sysctl,
                link=obstacle.link,
                route=obstacle.route,
                routing_rule=obstacle.rule,
            )

    def _unnamed(self, terrain: Terrain, place: str, packet: Packet) -> None:
        reason = terrain.links.unread or "the link that the route names is not there"
        self.trail.unread(terrain, place, "links", reason, packet)

    def _pick(self, ways: tuple[Way, ...]) -> Way:
        self.branches = max(self.branches, len(ways))
        return ways[self._choice % len(ways)]
