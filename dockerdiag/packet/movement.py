"""How a packet gets from namespace to namespace: in by links and bridges, through routing, out again."""

from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet import beginning, ethernet
from dockerdiag.packet.adjacency import Adjacency
from dockerdiag.packet.fib import describe_route
from dockerdiag.packet.flow import Flow, Narrowing, Translation
from dockerdiag.packet.packet import IPAddress, Packet, as_address
from dockerdiag.packet.resolution import Resolution, Side
from dockerdiag.packet.routing import Decision, Way
from dockerdiag.packet.rulings import Rulings
from dockerdiag.packet.tracking import Tracking
from dockerdiag.packet.trail import Trail
from dockerdiag.packet.world import Station, Terrain, World
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Link, Network

_MAX_ROUTINGS = 24
_USUAL_TTL = 63
"""Behind one router, of what Linux sends."""
UNDERLYING = ("macvlan", "ipvlan", "macvtap", "ipvtap")
"""Kinds of links, and drivers of networks, that send by a parent link."""
_TUNNELS = frozenset(
    [
        "wireguard",
        "tun",
        "ipip",
        "sit",
        "gre",
        "gretap",
        "erspan",
        "ip6gre",
        "ip6gretap",
        "ip6erspan",
        "xfrm",
        "ppp",
        "vti",
        "vti6",
        "ip6tnl",
        "vxlan",
        "geneve",
        "bareudp",
        "amt",
        "gtp",
        "l2tp_eth",
    ]
)


@dataclass(frozen=True, slots=True)
class End:
    """Where one direction ended: at a process, off the host by a link, beyond what can be seen, or at a halt."""

    kind: Literal["delivered", "left", "beyond", "lost"]
    terrain: Terrain
    packet: Packet
    link: Link | None = None
    port: Link | None = None
    """Of a bridge it left by: the port."""


class Movement:
    """Moves one flow's packets; `trail` has what they met.

    Each method takes the packet as far as it goes. A stop is noted, and the packet goes on as if it were mended.

    Args:
        world: The snapshot.
        flow: Who sends what where.
        choice: Which way to take where a multipath route offers several.
        trail: Where to note what they met; a new one by default.
    """

    def __init__(self, world: World, flow: Flow, choice: int = 0, trail: Trail | None = None) -> None:
        self.world = world
        self.flow = flow
        self.trail = trail or Trail()
        self.tracking = Tracking()
        self.sent_from: IPAddress | None = None
        self.uplink: str | None = None
        self.entry: str | None = None
        """The host's link that the container's packets come in by."""
        self.network: Network | None = None
        self.translation: Translation | None = None
        self.narrowest: Narrowing | None = None
        self.branches = 1
        """How many ways the widest multipath route offers."""
        self._choice = choice
        self._adjacency = Adjacency(world, self.trail)
        self._rulings = Rulings(self.trail, self.tracking, self._adjacency)
        self._resolution = Resolution(world, self.trail, self._rulings)
        self._routings = 0
        self._own_link: Link | None = None
        """The container's link that its packets leave by, on their way out."""

    def _pick(self, ways: tuple[Way, ...]) -> Way:
        self.branches = max(self.branches, len(ways))
        return ways[self._choice % len(ways)]

    # -- a packet that comes in ---------------------------------------------------------------------------------

    def _receive(
        self, terrain: Terrain, link: Link, packet: Packet, toward: IPAddress, *, to_host: bool = False
    ) -> End:
        """A frame for who has `toward` comes in by `link`."""
        packet = replace(packet, in_link=link.name, out_link=None, in_port=None, out_port=None)
        packet = replace(packet, locally_generated=False)
        self._adjacency.broken(terrain, link, packet)
        packet = self._rulings.cross(terrain, "netdev", "ingress", packet)
        bridge = terrain.links.bridge_of(link)
        wanted = self._wanted_bridge(terrain, link, packet)
        if wanted is not None and (bridge is None or bridge.name != wanted):
            bridge = self._bridge(wanted, packet)
            if bridge is None:
                return End("lost", terrain, packet)
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
            network = self.world.network_of(station.container, as_address(address.address))
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
    ) -> End:
        """A frame enters a bridge by `port`; who has the address `toward` gets it."""
        called = ethernet.bridge_netfilter(terrain.namespace, bridge, packet.family)
        port_name = port.name if port is not None else None
        packet = replace(packet, in_link=bridge.name, in_port=port_name, bridge_netfilter=called)
        if not self._adjacency.broken(terrain, bridge, packet) and port is not None:
            self._adjacency.port_state(terrain, port, packet)
        arrived, destination = packet, packet.addresses.destination
        packet = self._bridge_prerouting(terrain, packet)
        owned = to_host or ethernet.owns(terrain.links, bridge, toward)
        station = None if owned else self.world.station(bridge, toward)
        asker = packet.addresses.source
        lent = not owned and station is None
        if lent and not ethernet.answers_for_another(terrain, bridge, toward, asker):
            return self._to_unseen(terrain, bridge, port, packet, toward)
        owned = owned or lent
        if called and owned and packet.addresses.destination != destination:
            station = self._turned_round(terrain, bridge, packet)
        if station is not None:
            return self._across(terrain, bridge, port, packet, station)
        if not to_host:
            self._adjacency.silent(terrain, bridge, toward, packet)
        packet = replace(packet, mac_destination=bridge.mac)
        packet = self._rulings.cross(terrain, "bridge", "input", packet)
        packet = self._rulings.cross(terrain, "netdev", "ingress", packet)
        if not to_host:
            what = f"the host answers for {toward}" if lent else f"{toward} is {bridge.name}'s address"
            text = f"{what}: the host takes the packet in"
            self.trail.hop(terrain, f"bridge {bridge.name}", text)
        return self._ip_input(terrain, packet, prerouted=bool(called), arrived=arrived)

    def _bridge_prerouting(self, terrain: Terrain, packet: Packet) -> Packet:
        if not packet.bridge_netfilter:
            return self._rulings.cross(terrain, "bridge", "prerouting", packet)
        earlier, later = ethernet.EARLIER["prerouting"], ethernet.LATER["prerouting"]
        packet = self._rulings.cross(terrain, "bridge", "prerouting", packet, priorities=earlier)
        packet = self._rulings.cross(terrain, "inet", "prerouting", packet)
        return self._rulings.cross(terrain, "bridge", "prerouting", packet, priorities=later)

    def _turned_round(self, terrain: Terrain, bridge: Link, packet: Packet) -> Station | None:
        """Who gets what br_netfilter lets DNAT send back to the bridge it came by: it is bridged, not routed."""
        if not packet.destination_known:
            return None
        decision = terrain.router.arrive(packet)
        if decision.obstacles or {way.link for way in decision.ways} != {bridge.name}:
            return None
        return self.world.station(bridge, packet.addresses.destination)

    def _to_unseen(
        self, terrain: Terrain, bridge: Link, port: Link | None, packet: Packet, toward: IPAddress
    ) -> End:
        """Nobody that is known has `toward` on this bridge."""
        outer = [p for p in ethernet.outer_ports(self.world, bridge) if p is not port]
        if outer:
            names = " or ".join(p.name for p in outer)
            self.trail.hop(terrain, f"bridge {bridge.name}", f"{toward} is beyond {names}: bridged on")
            self._l2_forward(terrain, bridge, packet, outer[0])
            self.uplink = self.uplink or outer[0].name
            text = "it goes on by bridging; answers depend on the network out there"
            self.trail.hop(terrain, f"uplink {outer[0].name}", text)
            return End("beyond", terrain, packet)
        if toward == packet.addresses.destination:
            if port is not None and self._adjacency.without_gateway(terrain, bridge, toward, packet):
                return self._ip_input(terrain, packet, prerouted=bool(packet.bridge_netfilter))
            if not self._adjacency.nobody(terrain, bridge, toward, packet, packet):
                self.trail.hop(terrain, f"bridge {bridge.name}", f"{toward} answers on {bridge.name}")
                return End("beyond", terrain, packet)
            return End("lost", terrain, packet)
        self._adjacency.no_gateway(terrain, bridge, toward, packet)
        return self._ip_input(terrain, packet, prerouted=bool(packet.bridge_netfilter))

    def _across(
        self, terrain: Terrain, bridge: Link, port: Link | None, packet: Packet, station: Station
    ) -> End:
        """From one port of a bridge to another."""
        if station.port is not None:
            if port is not None:
                self._adjacency.isolated(terrain, port, station.port, packet)
                self._adjacency.hairpin(terrain, port, station.port, packet)
            packet = self._l2_forward(terrain, bridge, packet, station.port)
        return self._into_station(terrain, bridge, station, packet)

    def _l2_forward(self, terrain: Terrain, bridge: Link, packet: Packet, port: Link) -> Packet:
        packet = replace(packet, out_link=bridge.name, out_port=port.name)
        if packet.bridge_netfilter is False:
            packet = self._rulings.cross(terrain, "bridge", "forward", packet)
            return self._rulings.cross(terrain, "bridge", "postrouting", packet)
        doubt = None if packet.bridge_netfilter else "whether bridged frames pass these rules was not read"
        earlier, later = ethernet.EARLIER["forward"], ethernet.LATER["forward"]
        packet = self._rulings.cross(terrain, "bridge", "forward", packet, priorities=earlier)
        packet = self._rulings.cross(terrain, "inet", "forward", packet, doubt=doubt)
        packet = self._rulings.cross(terrain, "bridge", "forward", packet, priorities=later)
        packet = self._rulings.cross(terrain, "bridge", "postrouting", packet)
        # Unlike for what is routed, the link that it came in by is not shown there.
        packet = replace(packet, in_link=None)
        return self._rulings.cross(terrain, "inet", "postrouting", packet, doubt=doubt)

    def _ip_input(
        self, terrain: Terrain, packet: Packet, *, prerouted: bool = False, arrived: Packet | None = None
    ) -> End:
        """IP takes the packet in: prerouting, the routing decision, and what follows from it.

        `arrived` is the packet as it was before it was prerouted.
        """
        arrived = arrived or packet
        if not prerouted:
            packet = self._rulings.cross(terrain, "inet", "prerouting", packet)
        if not packet.destination_known:
            return End("lost", terrain, packet)
        self._routings += 1
        if self._routings > _MAX_ROUTINGS:
            reason = "the packet goes round in circles"
            self.trail.halt(terrain, "routing", "loop", Disposition.LOOPED, "routes", reason, packet)
            return End("lost", terrain, packet)
        decision = terrain.router.arrive(packet)
        homeward = self._is_homeward(terrain, packet)
        following = homeward and self.entry in self._adjacency.mended
        astray = terrain.router.astray(packet) if decision.kind != "local" else None
        obstacles = decision.obstacles if astray is None else (astray,)
        self._rulings.obstacles(terrain, "routing", obstacles, packet, following=following)
        self._rulings.disagreement(terrain, "routing", decision, packet)
        if decision.kind == "local" or astray is not None:
            mine = "this host" if terrain.owner is None else f"container {terrain.owner.name}"
            self.trail.hop(terrain, "routing", f"{packet.addresses.destination} is an address of {mine}")
            packet = self._rulings.cross(terrain, "inet", "input", packet)
            self._ipsec(terrain, "in", replace(arrived, mark=packet.mark), packet.in_link)
            return End("delivered", terrain, packet)
        from_outside = self.flow.source.outside is not None
        if self.trail.direction == "out" and terrain.is_host and self.entry is None and not from_outside:
            self.entry = packet.in_link
        ways = self._homeward(terrain, decision, packet, following=following) if homeward else decision.ways
        if decision.kind == "forward" and not ways:
            self._rulings.unnamed(terrain, "routing", packet)
        if not ways:
            return End("lost", terrain, packet)
        way = self._pick(ways)
        if decision.ways:
            self.trail.hop(terrain, "routing", decision.text)
        packet = replace(packet, out_link=way.link, gateway=way.gateway)
        if packet.ttl is not None:
            self._rulings.time_to_live(terrain, "routing", packet, None)
            mended = packet.ttl <= 1 and packet.ttl_set_by is None
            packet = replace(packet, ttl=_USUAL_TTL if mended else max(packet.ttl - 1, 1))
        # NAT's translation is undone for it.
        self._ipsec(terrain, "forward", replace(arrived, mark=packet.mark), packet.in_link)
        self._ipsec(terrain, "out", packet, way.link)
        source = packet.addresses.source
        packet = self._rulings.cross(terrain, "inet", "forward", packet)
        packet = self._rulings.cross(terrain, "inet", "postrouting", packet)
        if packet.addresses.source != source or not packet.source_known:
            # NAT asks again for what it has changed.
            self._ipsec(terrain, "out", packet, way.link)
        return self._transmit(terrain, way, packet)

    def _ipsec(
        self, terrain: Terrain, direction: Literal["in", "out", "forward"], packet: Packet, link: str | None
    ) -> None:
        obstacles = terrain.ipsec.obstacles(direction, packet, link)
        self._rulings.obstacles(terrain, "IPsec", obstacles, packet)

    def _is_homeward(self, terrain: Terrain, packet: Packet) -> bool:
        back = self.trail.direction == "reply" and terrain.is_host and self.entry is not None
        return back and packet.addresses.destination == self.sent_from

    def _homeward(
        self, terrain: Terrain, decision: Decision, packet: Packet, *, following: bool
    ) -> tuple[Way, ...]:
        """The way to the container; where the routes lead elsewhere, that is said and the right one taken."""
        entry = self.entry or ""
        wrong = next((way for way in decision.ways if way.link != entry), None)
        right = any(way.link == entry for way in decision.ways)
        if wrong is not None and right and decision.lookup.either:
            rule, reason = decision.lookup.rule, decision.lookup.reason
            self.trail.halt(
                terrain,
                "routing",
                "unread",
                Disposition.UNKNOWN,
                "routes",
                reason,
                packet,
                routing_rule=rule,
            )
        elif wrong is not None and not following:
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

    def _transmit(self, terrain: Terrain, way: Way, packet: Packet) -> End:
        """The packet leaves by a link, for the gateway or for the destination itself."""
        link, routed = terrain.links.get(way.link), packet
        packet = replace(packet, in_link=None, in_port=None, out_link=way.link)
        if link is None:
            reason = terrain.links.unread or f"{way.link} is not among the links"
            self.trail.unread(terrain, way.link, f"link {way.link}", reason, packet)
            return End("lost", terrain, packet)
        toward = way.gateway or packet.addresses.destination
        self._adjacency.broken(terrain, link, packet)
        self._measure(terrain, link, way)
        packet = self._rulings.cross(terrain, "netdev", "egress", packet)
        if link.kind == "bridge":
            return self._onto_bridge(terrain, link, packet, way, routed)
        lower = terrain.links.lower(link)
        if link.kind == "vlan" and lower is not None and lower.kind == "bridge":
            self._adjacency.outward(terrain, lower, toward, packet, link)
        if link.kind in UNDERLYING and not terrain.is_host:
            # Its neighbours are the machines out there, as an uplink's are.
            parent = self.world.host_end(link)
            self._resolution.resolve(Side(terrain, link, parent), Side(), toward, packet)
            self._adjacency.of_uplink(terrain, link, toward, packet)
            if parent is not None:
                self._adjacency.apart(parent, self.network, toward, packet)
            return self._by_parent(terrain, packet, parent, link.name, link)
        if link.kind == "veth" and not terrain.is_host:
            return self._through_veth(terrain, link, packet, toward)
        station = self.world.container_end(link) if terrain.is_host else None
        if station is not None and self._adjacency.not_beyond(terrain, link, station, toward, packet):
            return End("lost", terrain, packet)
        if station is not None and station.terrain is not None and station.link is not None:
            packet = self.tracking.enter(station.terrain, packet, self.trail.direction)
            return self._receive(station.terrain, station.link, packet, toward)
        return self._leave(terrain, link, packet, way)

    def _measure(self, terrain: Terrain, link: Link, way: Way | None = None, *, silent: bool = False) -> None:
        """Notes where the container's way out gets narrower than its own link."""
        outward = "reply" if self.flow.source.outside is not None else "out"
        if self.trail.direction != outward:
            return
        if self._own_link is None:
            self._own_link = None if terrain.is_host else link
            return
        route = way.limit if way is not None else None
        routed = route.mtu if route is not None else None
        mtu = min(link.mtu, routed) if routed else link.mtu
        own = self._own_link
        if mtu >= (self.narrowest.mtu if self.narrowest is not None else own.mtu):
            return
        by_route = route if routed and routed < link.mtu else None
        self.narrowest = Narrowing(link.name, mtu, own.name, own.mtu, by_route, silent)
        what = f"the route to {by_route.destination} has" if by_route is not None else f"{link.name} has"
        then = (
            "larger packets are dropped there in silence"
            if silent
            else "larger packets are refused there, which path MTU discovery has to tell the sender"
        )
        text = f"{what} an MTU of {mtu}, the container's {own.name} one of {own.mtu}: {then}"
        self.trail.hop(terrain, link.name, text)

    def _through_veth(self, terrain: Terrain, link: Link, packet: Packet, toward: IPAddress) -> End:
        host = self.world.host
        port = self.world.host_end(link)
        bridge = host.links.bridge_of(port) if port is not None else None
        if bridge is not None:
            self._ask_on_bridge(Side(terrain, link, port), bridge, toward, packet)
        self._adjacency.of_container(terrain, link, toward, packet)
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
            return End("lost", terrain, packet)
        self.trail.hop(terrain, link.name, f"through {link.name} to {port.name} on the host")
        self._measure(host, port, silent=True)
        packet = self.tracking.enter(host, packet, self.trail.direction)
        return self._receive(host, port, replace(packet, mac_source=link.mac), toward)

    def _ask_on_bridge(self, asker: Side, bridge: Link, toward: IPAddress, packet: Packet) -> None:
        """A container asks for the hardware address of its next hop."""
        host = self.world.host
        source = packet.addresses.source
        owned = ethernet.owns(host.links, bridge, toward)
        station = None if owned else self.world.station(bridge, toward)
        if station is not None:
            answerer = Side.of(station)
        elif owned or ethernet.answers_for_another(host, bridge, toward, source):
            answerer = Side(host, bridge)
            if toward.version == 4 and not self._resolution.knows(asker, toward):
                refusals = host.router.refuses_question(source, toward, bridge.name)
                self._rulings.obstacles(host, f"bridge {bridge.name}", refusals, packet)
        else:
            outer = ethernet.outer_ports(self.world, bridge)
            if not outer:
                return
            answerer = Side(port=outer[0])
        self._resolution.resolve(asker, answerer, toward, packet, bridge)

    def _onto_bridge(self, terrain: Terrain, bridge: Link, packet: Packet, way: Way, routed: Packet) -> End:
        """The host puts a frame onto a bridge of its own; `routed` is the packet as the routes were asked for it."""
        toward = way.gateway or packet.addresses.destination
        station = self.world.station(bridge, toward)
        if station is not None:
            if station.port is not None:
                self._resolution.resolve(Side(terrain, bridge), Side.of(station), toward, packet, bridge)
                packet = self._bridge_output(terrain, station.port, packet)
                self._adjacency.of_station(terrain, bridge, station, toward, packet)
            return self._into_station(terrain, bridge, station, packet)
        if self.trail.origin is None and toward == self.sent_from:
            self.trail.hop(terrain, f"bridge {bridge.name}", f"to {toward}")
            return End("delivered", terrain, packet)
        docker = self.world.network_by_bridge(bridge.name) is not None
        beyond = not docker or bool(ethernet.outer_ports(self.world, bridge))
        if not beyond and self._adjacency.nobody(terrain, bridge, toward, packet, routed):
            return End("lost", terrain, packet)
        port = self._adjacency.outward(terrain, bridge, toward, packet) if beyond else None
        if port is not None:
            packet = self._bridge_output(terrain, port, packet)
        return self._leave(terrain, bridge, packet, way, port)

    def _bridge_output(self, terrain: Terrain, port: Link, packet: Packet) -> Packet:
        packet = replace(packet, out_port=port.name)
        packet = self._rulings.cross(terrain, "bridge", "output", packet)
        return self._rulings.cross(terrain, "bridge", "postrouting", packet)

    def _into_station(self, terrain: Terrain, bridge: Link, station: Station, packet: Packet) -> End:
        """Out of a bridge's port and into the container behind it."""
        if station.port is not None:
            port = station.port
            packet = replace(packet, out_link=port.name, out_port=None)
            if port.master != bridge.index:
                self._adjacency.not_a_port(terrain, port, bridge.name, packet)
            elif bridge.up and not self._adjacency.broken(terrain, port, packet):
                self._adjacency.port_state(terrain, port, packet)
            packet = self._rulings.cross(terrain, "netdev", "egress", packet)
        if station.terrain is None or station.link is None:
            at = f"namespace of container {station.container.name}"
            reason = f"the network {at} could not be read: {station.unread}"
            self.trail.unread(terrain, f"container {station.container.name}", at, reason, packet)
            return End("lost", terrain, packet)
        packet = self.tracking.enter(station.terrain, packet, self.trail.direction)
        packet = replace(packet, mac_destination=station.link.mac, mac_source=bridge.mac)
        return self._receive(station.terrain, station.link, packet, packet.addresses.destination)

    def _leave(self, terrain: Terrain, link: Link, packet: Packet, way: Way, port: Link | None = None) -> End:
        """Off the host, as far as it can be seen."""
        toward = way.gateway or packet.addresses.destination
        bridge = link if link.kind == "bridge" else None
        self._resolution.resolve(Side(terrain, link), Side(port=port), toward, packet, bridge)
        self._adjacency.of_uplink(terrain, link, toward, packet)
        if self.trail.direction == "out":
            if terrain.is_host:
                self.uplink = link.name
            rewritten = packet.addresses.source != self.sent_from and packet.source_known
            if rewritten or self.tracking.nat_rule is not None:
                self.translation = Translation(packet.addresses.source, self.tracking.nat_rule)
        if way.gateway is not None and way.gateway != packet.addresses.destination:
            self._rulings.time_to_live(terrain, f"uplink {link.name}", packet, way.gateway)
        via = f" to {way.gateway}" if way.gateway is not None else ""
        text = f"leaves by {link.name}{via}"
        if link.kind in _TUNNELS:
            text = (
                f"into the tunnel {link.name}, and told as far as there: whether what carries it leaves this host, "
                "and comes to the tunnel's other end, is not followed"
            )
        self.trail.hop(terrain, f"uplink {link.name}" if terrain.is_host else link.name, text)
        return End("left", terrain, packet, link, port)

    def _by_parent(
        self, terrain: Terrain, packet: Packet, parent: Link | None, name: str, link: Link | None = None
    ) -> End:
        """A macvlan or ipvlan link sends by its parent; the host's own rules and routes never see it."""
        host = self.world.host
        if parent is None:
            reason = f"the parent link of {name or 'the network'} was not found on the host"
            self.trail.unread(terrain, name or "parent", f"link {name}", reason, packet)
            return End("lost", terrain, packet)
        place = f"parent {parent.name}"
        if self.network is not None and self.network.options.get("ipvlan_mode") == "l3s":
            reason = f"{name} is an ipvlan in mode l3s, whose way through the host's rules is not followed"
            self.trail.unread(host, place, f"link {name}", reason, packet)
        outside = replace(packet, out_link=parent.name, mark=0)
        self._adjacency.broken(host, parent, outside)
        self._rulings.cross(host, "netdev", "egress", outside)
        self.uplink = parent.name
        text = f"leaves by {parent.name}, past the host's rules and routes: the rest is the network out there"
        self.trail.hop(host, place, text)
        self.trail.direction = "reply"
        self._rulings.cross(
            host, "netdev", "ingress", replace(beginning.answer_to(packet), in_link=parent.name)
        )
        self.trail.direction = "out"
        return End("beyond", terrain, packet) if link is None else End("left", terrain, packet, link)
