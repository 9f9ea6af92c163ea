"""What netfilter and the routing code say to a packet, put on the trail."""

from collections.abc import Iterable

from dockerdiag.dataclass import replace
from dockerdiag.packet.adjacency import Adjacency
from dockerdiag.packet.flow import HaltKind, rule_name
from dockerdiag.packet.netfilter import Crossing, Hook, Layer, Passage, Stop, cross
from dockerdiag.packet.packet import IPAddress, Packet
from dockerdiag.packet.routing import Decision, Obstacle
from dockerdiag.packet.tracking import Tracking
from dockerdiag.packet.trail import Trail
from dockerdiag.packet.world import Terrain
from dockerdiag.report import Disposition

_STOPPED = {"drop": Disposition.DROPPED, "reject": Disposition.REJECTED, "unknown": Disposition.UNKNOWN}


class Rulings:
    """Asks a namespace's rules, and notes what they and its routes decide."""

    def __init__(self, trail: Trail, tracking: Tracking, adjacency: Adjacency) -> None:
        self._trail = trail
        self._tracking = tracking
        self._adjacency = adjacency

    def cross(
        self,
        terrain: Terrain,
        layer: Layer,
        hook: Hook,
        packet: Packet,
        *,
        doubt: str | None = None,
        priorities: range | None = None,
    ) -> Packet:
        """Takes the packet through one hook, or its chains of some priorities.

        `doubt` says why it may not come there at all.
        """
        if layer == "netdev":
            self._filtered(terrain, packet.in_link if hook == "ingress" else packet.out_link, packet)
        crossing = self._crossing(terrain, layer, hook, packet, doubt=doubt, priorities=priorities)
        if crossing is None:
            return packet
        after = crossing.packet
        if layer == "inet":
            return after
        return replace(
            packet,
            mark=after.mark,
            tos=after.tos,
            ttl=after.ttl,
            ttl_set_by=after.ttl_set_by,
            changed_sets=after.changed_sets,
        )

    def _filtered(self, terrain: Terrain, name: str | None, packet: Packet) -> None:
        """Notes that traffic control may drop it, where it is known to have dropped others."""
        link = terrain.links.get(name)
        if link is not None and link.filter_drops:
            reason = f"traffic control's filters at {link.name} have dropped packets: which, is not read"
            self._trail.unread(terrain, link.name, f"filters of {link.name}", reason, packet)

    def send(self, terrain: Terrain, packet: Packet) -> tuple[Packet, Packet | None]:
        """Takes a packet that is made here through output; and as what it is routed again, where it is."""
        crossing = self._crossing(terrain, "inet", "output", packet)
        return (packet, None) if crossing is None else (crossing.packet, crossing.rerouted)

    def _crossing(
        self,
        terrain: Terrain,
        layer: Layer,
        hook: Hook,
        packet: Packet,
        *,
        doubt: str | None = None,
        priorities: range | None = None,
    ) -> Crossing | None:
        ruleset = terrain.ruleset
        translated = packet.connection.source_nat or packet.connection.destination_nat
        idle = layer != "inet" or not (ruleset.tables or translated)
        if idle and not self.may_stop(terrain, layer, hook):
            return None
        crossing = cross(ruleset, layer, hook, packet, terrain.router, priorities)
        place = hook if layer == "inet" else f"{layer} {hook}"
        for stop in crossing.stops:
            reason = f"{stop.reason} ({doubt})" if doubt else stop.reason
            self.stopped(terrain, place, stop, packet, reason, Disposition.UNKNOWN if doubt else None)
        for passage in crossing.passages:
            self._passed(terrain, place, passage, packet, crossing.packet)
        self._tracking.remember_sets(terrain, crossing.packet)
        if layer == "inet":
            self._tracking.remember(terrain, hook, crossing, self._trail.direction)
        return crossing

    @staticmethod
    def may_stop(terrain: Terrain, layer: Layer, hook: Hook) -> bool:
        """Whether anything is at a hook that could stop a packet which needs no translation."""
        return bool(terrain.ruleset.unreadable or terrain.ruleset.base_chains(layer, hook))

    def stops(
        self, terrain: Terrain, layer: Layer, hook: Hook, packet: Packet, priorities: range | None = None
    ) -> tuple[Stop, ...]:
        """What stops a packet of no connection at a hook; nothing of it is noted."""
        return cross(terrain.ruleset, layer, hook, packet, terrain.router, priorities).stops

    def stopped(
        self,
        terrain: Terrain,
        place: str,
        stop: Stop,
        packet: Packet,
        reason: str,
        disposition: Disposition | None = None,
        *,
        later: bool = False,
    ) -> None:
        """Notes a stop; `disposition` is by default what it does, and `later` where it does not do so yet."""
        read = bool(stop.rule.table)
        kind: HaltKind = "rule" if stop.rule.index is not None or stop.rule.handle is not None else "policy"
        self._trail.halt(
            terrain,
            place,
            kind if read else "unread",
            disposition or _STOPPED[stop.verdict],
            rule_name(stop.rule) if read else stop.rule.text,
            reason,
            packet,
            rule=stop.rule if read else None,
            netfilter=stop,
            later=later,
        )

    def _passed(self, terrain: Terrain, place: str, passage: Passage, before: Packet, after: Packet) -> None:
        text = f"{rule_name(passage.rule)}: {passage.rule.text}"
        if passage.kind != "nat":
            self._trail.hop(terrain, place, text, rule=passage.rule)
            return
        was, now = before.addresses, after.addresses
        if not after.source_known:
            text += " (its source becomes an address of this host)"
        elif was.source != now.source:
            text += f" (source {was.source} becomes {now.source})"
        elif was.destination != now.destination:
            text += f" (destination {was.destination} becomes {now.destination})"
        self._trail.hop(terrain, place, text, "rewrite", passage.rule)

    def time_to_live(self, terrain: Terrain, place: str, packet: Packet, router: IPAddress | None) -> None:
        """Notes that a router passes on no packet whose time to live is used up, by a rule or by its sender.

        Of the next one out there it is not known whether it routes the packet or is who it is for.
        """
        rule = packet.ttl_set_by
        if packet.ttl is None or packet.ttl > 1:
            return
        name = "time to live" if packet.family == 4 else "hop limit"
        who = "the host" if router is None else f"{router}, unless that is who it is for,"
        left = "its sender's net.ipv4.ip_default_ttl gives it" if rule is None else "this rule leaves it"
        reason = f"{left} a {name} of {packet.ttl}, with which {who} does not pass it on"
        disposition = Disposition.DROPPED if router is None else Disposition.UNKNOWN
        at = "net.ipv4.ip_default_ttl" if rule is None else rule_name(rule)
        self._trail.halt(terrain, place, "time-to-live", disposition, at, reason, packet, rule=rule)

    def obstacles(
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
            self._trail.halt(
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

    def disagreement(self, terrain: Terrain, place: str, decision: Decision, packet: Packet) -> None:
        """Says that the kernel itself answers otherwise than its tables and rules do here."""
        if decision.disagreement is not None:
            reason = f"{decision.disagreement}: what decides was not seen"
            self._trail.unread(terrain, place, "the kernel's own answer", reason, packet)

    def unnamed(self, terrain: Terrain, place: str, packet: Packet) -> None:
        """Says that a route names a link that was not read."""
        reason = terrain.links.unread or "the link that the route names is not there"
        self._trail.unread(terrain, place, "links", reason, packet)
