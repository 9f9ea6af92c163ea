"""A packet from outside to a published port: how it comes in, who serves it, whether the answer leaves again."""

from dockerdiag.dataclass import replace
from dockerdiag.packet import beginning
from dockerdiag.packet.fib import Query
from dockerdiag.packet.flow import Flow, HaltKind, Published, Source, rule_name
from dockerdiag.packet.listening import reception
from dockerdiag.packet.movement import End
from dockerdiag.packet.packet import IPAddress, Packet
from dockerdiag.packet.routing import Way
from dockerdiag.packet.trip import Trip
from dockerdiag.packet.world import Terrain, World
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Link, Unread

_MAIN_TABLE = 254


def ways_outside(world: World, outside: IPAddress) -> tuple[Way, ...]:
    """How the host reaches an address out there: by its main table, where policy rules lead its own packets aside."""
    router = world.host.router
    found = router.fib.in_table(_MAIN_TABLE, Query(outside))
    if found is not None and found.outcome == "found":
        names = [router.links.name(hop.link) for hop in found.next_hops]
        return tuple(Way(name) for name in dict.fromkeys(names) if name is not None)
    return router.depart(outside).ways


class InboundTrip(Trip):
    """Takes a packet from outside to a container and the answer out again."""

    def _request(self) -> End:
        host, outside = self.world.host, self.flow.source.outside
        packet = replace(beginning.first_packet(self.flow, None, outside), locally_generated=False)
        self.sent_from = outside
        if self.world.elsewhere is not None:
            self.trail.unread(host, "engine", "engine", self.world.elsewhere, packet)
            return End("lost", host, packet)
        name = self._outer_link()
        link = host.links.get(name)
        if link is None:
            reason = host.links.unread or f"which link leads to {outside} could not be told"
            self.trail.unread(host, "uplink", f"way to {outside}", reason, packet)
            return End("lost", host, packet)
        self.uplink = link.name
        text = f"{self.flow.source.name} sends from {outside} to {self.flow.to}"
        self.trail.hop(host, f"uplink {link.name}", text)
        end = self._enter(link, replace(packet, mac_destination=link.mac))
        if end.kind == "left" and self.flow.published is not None:
            self._misdirected(end, self.flow.published)
            return End("lost", end.terrain, end.packet)
        return end

    def _enter(self, link: Link, packet: Packet) -> End:
        host = self.world.host
        if link.kind == "bridge":
            ports = [port for port in host.links.ports(link) if self.world.container_end(port) is None]
            if len(ports) == 1:
                return self._receive(host, ports[0], packet, self.flow.destination, to_host=True)
            return self._bridged(host, link, None, packet, self.flow.destination, to_host=True)
        return self._receive(host, link, packet, self.flow.destination, to_host=True)

    def _outer_link(self) -> str | None:
        """The link that such a packet comes in by: the one with its address, else the one that leads back."""
        links, destination = self.world.host.links, self.flow.destination
        for name, link in links.by_name.items():
            if link.loopback or self.world.network_by_bridge(name) is not None:
                continue
            if any(a.address == str(destination) for a in links.addresses(name, destination.version) or ()):
                return name
        outside = self.flow.source.outside
        ways = ways_outside(self.world, outside) if outside is not None else ()
        return self._pick(ways).link if ways else None

    # -- who serves it ------------------------------------------------------------------------------------------

    def _received(self, end: End) -> None:
        published, host = self.flow.published, self.world.host
        if published is None:
            super()._received(end)
            return
        wanted = self.world.terrain_of(published.container)
        if end.terrain is wanted:
            own = end.packet.addresses.destination
            self.network = self.world.network_of(published.container, own) or self.network
            super()._received(end)
        elif end.terrain is host:
            super()._received(end)
            taken = reception(host.namespace, end.packet)
            if taken is None or taken.kind != "refused":
                self._relay(published, end.packet)
        else:
            self._misdirected(end, published)

    def _misdirected(self, end: End, published: Published) -> None:
        rule = self.tracking.destination_rule
        destination = end.packet.addresses.destination
        reason = f"it is led to {destination}, which is not {published.container.name}"
        at = rule_name(rule) if rule is not None else f"address {destination}"
        kind: HaltKind = "rule" if rule is not None else "address"
        host = self.world.host
        disposition = Disposition.NOT_ANSWERED
        self.trail.halt(host, "prerouting", kind, disposition, at, reason, end.packet, rule=rule)

    def _relay(self, published: Published, packet: Packet) -> None:
        """No rule leads it on: a process of the host has it, docker-proxy where the engine runs that."""
        host, name = self.world.host, published.container.name
        at = f"port {self.flow.port}/{self.flow.protocol} of this host"
        if published.relay is None:
            reason = (
                f"a process of this host takes it in, and whether that passes it on to {name} cannot be seen"
            )
            self.trail.unread(host, "process", at, reason, packet)
            return
        if published.userland_proxy is False:
            reason = "no rule leads it on, and without its userland proxy the engine only holds the port"
            self.trail.halt(host, "process", "listener", Disposition.NOT_ANSWERED, at, reason, packet)
            return
        if published.userland_proxy is None:
            reason = "no rule leads it on, and whether the engine runs its userland proxy was not read"
            self.trail.unread(host, "process", at, reason, packet)
        address, port = published.relay
        self.trail.hop(host, "process", f"docker-proxy passes it on to {name}")
        onward = Flow(Source(namespace=host.namespace), address, self.flow.protocol, port)
        relayed = Trip(self.world, onward, self._choice, self.trail)
        relayed.run()
        self.network = self.world.network_of(published.container, address) or self.network
        self.branches = max(self.branches, relayed.branches)
        self.trail.origin = None

    # -- the answer ---------------------------------------------------------------------------------------------

    def _came_back(self, final: End) -> None:
        host, addresses = self.world.host, final.packet.addresses
        if final.kind != "left" or final.terrain is not host or final.link is None:
            reason = f"the answer does not leave for {self.sent_from}"
            self.trail.halt(host, "reply", "route", Disposition.NOT_ANSWERED, "reply", reason, final.packet)
            return
        place = f"uplink {final.link.name}"
        port = addresses.source_port
        if addresses.source != self.flow.destination or (port is not None and port.low != self.flow.port):
            rule = self.tracking.untracked_by
            by = f": {rule_name(rule)} takes it out of connection tracking" if rule is not None else ""
            reason = f"the answer leaves with the source {addresses.source}, not {self.flow.destination}{by}"
            at = rule_name(rule) if rule is not None else f"source {addresses.source}"
            kind: HaltKind = "rule" if rule is not None else "unanswered"
            disposition = Disposition.NOT_ANSWERED
            self.trail.halt(host, place, kind, disposition, at, reason, final.packet, rule=rule)
            return
        if final.link.name != self.uplink:
            reason = (
                f"the answer leaves by {final.link.name}, the request came by {self.uplink}: "
                "whether that is let through out there cannot be seen"
            )
            self.trail.unread(host, place, f"link {final.link.name}", reason, final.packet)
            return
        self.trail.hop(host, place, f"the answer leaves for {self.sent_from}", "delivered")


def host_address(world: World, bound_to: IPAddress | None, outside: IPAddress) -> IPAddress | None:
    """The host's address that somebody at `outside` would ask; None where it has none of that version.

    Args:
        world: The snapshot.
        bound_to: What the port is bound to; from outside a loopback address is no other than any.
        outside: Who asks.
    """
    if bound_to is not None and not (bound_to.is_unspecified or bound_to.is_loopback):
        return bound_to
    host: Terrain = world.host
    if isinstance(host.namespace.addresses, Unread):
        return None
    for way in ways_outside(world, outside):
        for address in host.router.local_addresses(way.link) or ():
            if address.version == outside.version:
                return address
    return None


def neighbour_of(world: World, address: IPAddress) -> IPAddress | None:
    """Some machine on the same link as one of the host's addresses; None where there is none."""
    links = world.host.links
    for name in links.by_name:
        for own in links.addresses(name, address.version) or ():
            if own.address == str(address):
                return beginning.another_on(own)
    return None
