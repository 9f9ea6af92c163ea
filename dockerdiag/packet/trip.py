"""One packet's way out and its answer's way back."""

from ipaddress import ip_address

from dockerdiag.dataclass import replace
from dockerdiag.packet import beginning, ethernet
from dockerdiag.packet.fib import LOOPBACK
from dockerdiag.packet.flow import KNOWN_HERE_ALONE, HaltKind, rule_name
from dockerdiag.packet.listening import reception
from dockerdiag.packet.movement import UNDERLYING, End, Movement
from dockerdiag.packet.packet import IPAddress, Packet
from dockerdiag.packet.resolution import Side
from dockerdiag.packet.routing import Decision
from dockerdiag.packet.world import Terrain
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Container, Endpoint, Link, Network, Unread


class Trip(Movement):
    """Takes one flow's first packet out and the answer back."""

    def run(self) -> None:
        """Walks out and back."""
        source, host = self.flow.source, self.world.host
        if (source.container is not None or source.network is not None) and self.world.elsewhere is not None:
            packet = beginning.first_packet(self.flow, None)
            self.trail.unread(host, "engine", "engine", self.world.elsewhere, packet)
            return
        end = self._request()
        if self._is_over(end):
            return
        if end.kind == "delivered":
            self._received(end)
        packet = self._answerable(end) if end.kind == "left" else end.packet
        self.trail.direction = "reply"
        self._answer(end, beginning.answer_to(packet))

    def _is_over(self, end: End) -> bool:
        """Whether there is no more to follow."""
        if end.kind == "lost" and not self.trail.halts:
            reason = "the packet's way could not be followed here"
            self.trail.unread(end.terrain, "routes", "unknown way", reason, end.packet)
        return end.kind in ("lost", "beyond")

    # -- the request --------------------------------------------------------------------------------------------

    def _request(self) -> End:
        source, host = self.flow.source, self.world.host
        sender: Terrain | Unread | None = None
        if source.container is not None:
            sender = self.world.terrain_of(source.container)
        elif source.network is None:
            sender = host
        if isinstance(sender, Terrain):
            self.trail.origin = sender
            return self._emit(sender, beginning.first_packet(self.flow, sender.namespace), None)
        packet = beginning.first_packet(self.flow, None)
        network, endpoint = source.network, None
        if source.container is not None:
            if isinstance(sender, Unread):
                reason = f"the network namespace of {source.name} could not be read: {sender.reason}"
                self.trail.unread(host, "container", f"namespace of {source.name}", reason, packet)
            if source.container.network_mode == "none":
                return self._without_network(host, packet, source.container)
            endpoint, network = beginning.configured_endpoint(self.world, source.container, packet.family)
        if network is None:
            reason = f"{source.name} is on no network that was read"
            self.trail.unread(host, "container", source.name, reason, packet)
            return End("lost", host, packet)
        return self._from_network(network, endpoint, packet)

    def _from_network(self, network: Network, endpoint: Endpoint | None, packet: Packet) -> End:
        """Starts on a network's bridge, where the container's own namespace cannot be looked at."""
        host, version = self.world.host, packet.family
        told = beginning.address_of(endpoint, version) if endpoint is not None else ""
        address = ip_address(told) if told else beginning.unused_address(self.world, network, version)
        self.network = network
        if address is None:
            reason = f"network {network.name} has no IPv{version} subnet"
            at = f"network {network.name}"
            self.trail.halt(host, "container", "no-route", Disposition.NO_ROUTE, at, reason, packet)
            return End("lost", host, packet)
        self.sent_from = address
        packet = replace(beginning.with_source(packet, address), locally_generated=False)
        on_link = self.world.holds(network, self.flow.destination)
        if network.internal and not on_link:
            self._internal(host, packet, (network,))
            return End("lost", host, packet)
        self.trail.hop(host, "container", f"{self.flow.source.name} sends from {address}")
        if network.driver in UNDERLYING:
            name = network.options.get("parent", "")
            return self._by_parent(host, packet, host.links.get(name), name)
        if network.bridge is None:
            reason = (
                f"network {network.name} has driver {network.driver}: only its containers show the way out"
            )
            self.trail.unread(host, "container", f"network {network.name}", reason, packet)
            return End("lost", host, packet)
        gateways = [
            pool.gateway for pool in network.pools if pool.gateway and (":" in pool.gateway) == (version == 6)
        ]
        gateway = (beginning.gateway_of(endpoint, version) if endpoint is not None else "") or next(
            iter(gateways), ""
        )
        bridge = self._bridge(network.bridge, packet)
        if bridge is None:
            return End("lost", host, packet)
        toward = self.flow.destination if on_link or not gateway else ip_address(gateway)
        self._ask_on_bridge(Side(), bridge, toward, packet)
        return self._bridged(host, bridge, None, packet, toward)

    def _received(self, end: End) -> None:
        """Whether a process is there for a packet that came to its address."""
        terrain, packet = end.terrain, end.packet
        if terrain.router.address_type(packet.addresses.destination) != "local":
            return
        taken = reception(terrain.namespace, packet)
        if taken is None:
            return
        owner = "this host" if terrain.owner is None else f"container {terrain.owner.name}"
        port = packet.addresses.destination_port
        at = f"port {port.low if port is not None else ''}/{packet.protocol} of {owner}"
        if taken.kind == "taken":
            self.trail.hop(terrain, "process", taken.text)
        elif taken.kind == "unread":
            self.trail.unread(terrain, "process", at, taken.text, packet)
        else:
            reason = f"{taken.text}: {owner} refuses it"
            self.trail.halt(terrain, "process", "listener", Disposition.REJECTED, at, reason, packet)

    # -- the answer ---------------------------------------------------------------------------------------------

    def _answer(self, end: End, packet: Packet) -> None:
        if end.kind == "left":
            link = end.port or end.link
            if link is None:
                return
            final = self._receive(end.terrain, link, packet, packet.addresses.destination, to_host=True)
        else:
            final = self._emit(end.terrain, packet, packet.addresses.source)
        if not self._is_over(final):
            self._came_back(final)

    def _came_back(self, final: End) -> None:
        """Whether the answer is where the request came from."""
        host = self.world.host
        if final.kind == "delivered" and final.terrain is (self.trail.origin or host):
            if self._from_a_stranger(final):
                return
            self.trail.hop(final.terrain, "process", "the answer arrives", "delivered")
            return
        if final.kind == "delivered" and final.terrain is host:
            self._not_translated_back(final.packet)
            return
        reason = f"the answer does not come back to {self.flow.source.name}"
        self.trail.halt(host, "reply", "route", Disposition.NOT_ANSWERED, "reply", reason, final.packet)

    def _from_a_stranger(self, final: End) -> bool:
        """Whether who asked does not know the answer for one: it comes from another address than was asked."""
        packet, asked = final.packet, self.flow.destination
        source = packet.addresses.source
        if source == asked or not packet.source_known or self.trail.origin is None:
            return False
        reason = (
            f"{asked} was asked and {source} answers: no connection tracking on that way translates it back"
        )
        at = f"answer from {source}"
        place = "process"
        self.trail.halt(final.terrain, place, "answer", Disposition.NOT_ANSWERED, at, reason, packet)
        return True

    def _not_translated_back(self, packet: Packet) -> None:
        """The answer stays with the host: connection tracking did not rewrite it, or to an address of the host's."""
        rule = self.tracking.untracked_by
        destination = packet.addresses.destination
        if rule is None and destination == self.sent_from:
            at, reason = (
                f"address {destination}",
                f"{destination} is an address of this host too: the answer stays here",
            )
            dropped = Disposition.DROPPED
            self.trail.halt(self.world.host, "prerouting", "address", dropped, at, reason, packet)
            return
        by = f": {rule_name(rule)} takes it out of connection tracking" if rule is not None else ""
        reason = f"the answer to {destination} is not translated back to the container{by}"
        at = rule_name(rule) if rule is not None else f"address {destination}"
        kind: HaltKind = "rule" if rule is not None else "unanswered"
        host = self.world.host
        self.trail.halt(host, "prerouting", kind, Disposition.NOT_ANSWERED, at, reason, packet, rule=rule)

    def _answerable(self, end: End) -> Packet:
        """Whether who gets the packet can answer its source; the packet as it would have to be, where not."""
        packet, terrain, link = end.packet, end.terrain, end.link
        source = packet.addresses.source
        place = f"uplink {link.name}" if link is not None else "uplink"
        if link is not None and link.kind in UNDERLYING:
            self.trail.hop(terrain, place, f"answers to {source} depend on the network out there")
            return packet
        if not packet.source_known:
            self._one_of_several(terrain, place, packet)
            return packet
        own = terrain.router.is_own(source)
        if own is None:
            reason = f"whether {source} is an address of this host was not read"
            self.trail.unread(terrain, place, f"address {source}", reason, packet)
            return packet
        if own and (bridge := self._inner_bridge(terrain, source, link)) is not None:
            return self._leaves_as_a_bridge(end, place, bridge)
        if own:
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
        another = next((a for a in candidates or () if a.version == source.version), None)
        return packet if another is None else self.tracking.masqueraded(terrain, packet, another)

    def _inner_bridge(self, terrain: Terrain, source: IPAddress, link: Link | None) -> Link | None:
        """The network's bridge, other than the one it leaves by, that an address of the host belongs to."""
        if source.version != 4 or not terrain.is_host or self._perhaps_routed(source) is not None:
            return None
        for holder in terrain.links.holders(source):
            if holder is link or self.world.network_by_bridge(holder.name) is None:
                continue
            if not ethernet.outer_ports(self.world, holder):
                return holder
        return None

    def _leaves_as_a_bridge(self, end: End, place: str, bridge: Link) -> Packet:
        """Notes that it leaves with the address that a bridge of the engine's has on this host."""
        packet, terrain, link = end.packet, end.terrain, end.link
        source = packet.addresses.source
        became = "is" if source == self.sent_from else "is rewritten to"
        reason = f"its source {became} {source}, which is {bridge.name}'s and {KNOWN_HERE_ALONE}"
        rule = self.tracking.nat_rule
        at = rule_name(rule) if rule is not None else f"address {source} of {bridge.name}"
        kind: HaltKind = "unanswered"
        if link is not None and not _outward(terrain, link, source.version):
            kind, at = "address", f"address of {link.name}"
            reason = f"{link.name} has no IPv{source.version} address to send from: {reason}"
        self.trail.halt(
            terrain, place, kind, Disposition.NOT_ANSWERED, at, reason, packet, rule=rule, link=self.uplink
        )
        return packet

    def _one_of_several(self, terrain: Terrain, place: str, packet: Packet) -> None:
        """Its source is chosen among several, or was not read: whether all of them are this host's is not known."""
        rule = self.tracking.nat_rule
        at = rule_name(rule) if rule is not None else "source that was not read"
        reason = (
            "its source becomes one of several addresses, or one that was not read: "
            "whether answers to it come back to this host is not known"
        )
        unknown = Disposition.UNKNOWN
        self.trail.halt(
            terrain, place, "unanswered", unknown, at, reason, packet, rule=rule, link=self.uplink
        )

    def _perhaps_routed(self, source: IPAddress) -> str | None:
        """Why an address of a container may be answered all the same."""
        mode = f"com.docker.network.bridge.gateway_mode_ipv{source.version}"
        if self.network is not None and self.network.options.get(mode) == "routed":
            return f"network {self.network.name} is routed; whether routers out there know it cannot be seen here"
        if source.is_global:
            return "a public address; whether it is routed to this host cannot be seen here"
        return None

    # -- a packet that is made ----------------------------------------------------------------------------------

    def _emit(self, terrain: Terrain, packet: Packet, source: IPAddress | None) -> End:
        """A process in `terrain` sends `packet`; without `source` its address is chosen here."""
        packet = replace(packet, locally_generated=True, in_link=None, in_port=None)
        decision, packet = self._depart(terrain, packet, source)
        routeless = decision.lookup.outcome == "none"
        if decision.kind == "nowhere" and self._isolated(terrain, packet, routeless=routeless):
            return End("lost", terrain, packet)
        down = routeless and self._adjacency.gone_with_its_link(terrain, packet)
        self._rulings.obstacles(terrain, "routes", decision.obstacles, packet, following=down)
        self._rulings.disagreement(terrain, "routes", decision, packet)
        if decision.kind != "nowhere" and not decision.ways:
            self._rulings.unnamed(terrain, "routes", packet)
        if decision.ways:
            self.trail.hop(terrain, "routes", decision.text)
        ways = decision.ways or beginning.configured_way(terrain, packet.family)
        if not ways:
            return End("lost", terrain, packet)
        way = self._pick(ways)
        packet = replace(packet, out_link=LOOPBACK if decision.kind == "local" else way.link)
        packet, rerouted = self._rulings.send(terrain, packet)
        if rerouted is not None:
            decision, _ = self._depart(terrain, rerouted, rerouted.addresses.source)
            self._rulings.obstacles(terrain, "routes", decision.obstacles, packet)
            way = self._pick(decision.ways) if decision.ways else way
        if decision.kind == "local":
            return self._to_itself(terrain, packet)
        self._ipsec(terrain, "out", packet, way.link)
        packet = self._rulings.cross(
            terrain, "inet", "postrouting", replace(packet, out_link=way.link, gateway=way.gateway)
        )
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
            out_link=self._bound_to(terrain, addresses.destination),
            tos=packet.tos,
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

    def _bound_to(self, terrain: Terrain, destination: IPAddress) -> str | None:
        """The link that the sender's own address for its destination names; a rewritten one is found by routes."""
        zone = self.flow.zone
        if zone is None or destination != self.flow.destination:
            return None
        named = terrain.links.get(zone) or terrain.links.by_index.get(int(zone) if zone.isdecimal() else 0)
        return named.name if named is not None else zone

    def _isolated(self, terrain: Terrain, packet: Packet, *, routeless: bool) -> bool:
        """Says that there is no way because somebody chose none: a container without network, or internal only."""
        owner = terrain.owner
        if owner is None:
            return False
        if owner.network_mode == "none":
            wired = any(link.up and not link.loopback for link in terrain.links.by_name.values())
            if wired and not routeless:
                return False
            self._without_network(terrain, packet, owner, wired=wired)
            return True
        by_name = {network.name: network for network in self.world.networks}
        networks = tuple(by_name[e.network] for e in owner.endpoints if e.network in by_name)
        if not networks or not all(network.internal for network in networks):
            return False
        self._internal(terrain, packet, networks)
        return True

    def _without_network(
        self, terrain: Terrain, packet: Packet, container: Container, *, wired: bool = False
    ) -> End:
        links = ", and no link that somebody gave it leads there" if wired else ""
        self.trail.halt(
            terrain,
            "routes",
            "no-route",
            Disposition.NO_ROUTE,
            f"container {container.name} without a network",
            f"{container.name} was started without a network{links}",
            packet,
            isolation="none",
        )
        return End("lost", terrain, packet)

    def _internal(self, terrain: Terrain, packet: Packet, networks: tuple[Network, ...]) -> None:
        names = tuple(network.name for network in networks)
        single = len(names) == 1
        internal = (
            f"network {names[0]} is internal" if single else f"networks {', '.join(names)} are internal"
        )
        self.trail.halt(
            terrain,
            "routes",
            "no-route",
            Disposition.NO_ROUTE,
            f"internal network {', '.join(names)}",
            f"{internal}: {'its' if single else 'their'} containers have no default route",
            packet,
            isolation="internal",
            networks=names,
        )

    def _to_itself(self, terrain: Terrain, packet: Packet) -> End:
        loopback = terrain.links.get(LOOPBACK)
        if loopback is not None:
            self._adjacency.broken(terrain, loopback, packet)
        packet = self._rulings.cross(terrain, "inet", "postrouting", packet)
        packet = replace(packet, out_link=None, in_link=LOOPBACK)
        packet = self._rulings.cross(terrain, "inet", "prerouting", packet)
        packet = self._rulings.cross(terrain, "inet", "input", packet)
        return End("delivered", terrain, packet)


def _outward(terrain: Terrain, link: Link, family: int) -> bool:
    """Whether a link has an address that is meant for more than that link."""
    return any(one.scope == "global" for one in terrain.links.addresses(link.name, family) or ())
