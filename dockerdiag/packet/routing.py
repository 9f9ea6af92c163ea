"""Routing as the kernel does it for one namespace: where a packet goes on, or what keeps it from going."""

from collections.abc import Iterable
from functools import cached_property
from ipaddress import IPv4Address
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.fib import LOOPBACK, Fib, Lookup, Query, describe_route, describe_rule
from dockerdiag.packet.links import VALID, Links
from dockerdiag.packet.listening import listens_at
from dockerdiag.packet.packet import (
    PROTOCOL_NUMBERS,
    Connection,
    IPAddress,
    Packet,
    PortRange,
    Tuple,
    as_address,
)
from dockerdiag.packet.source_address import UNUSABLE, SourceAddresses
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import (
    Address,
    NetworkNamespace,
    NextHop,
    Route,
    RouteAnswer,
    RoutingRule,
    Unread,
)

ObstacleKind = Literal["sysctl", "route", "no-route", "address", "reverse-path", "ipsec", "unread"]

LOCAL_TABLE_LATE = "the table `local` is asked too late, or never"
"""How the reason of an obstacle ends where policy rules keep this host from knowing its own address."""
_LOCAL_TABLE = 255
_LOCAL_TYPES = ("local", "broadcast", "anycast", "multicast")
_NOBODY = -1
_BROADCAST = IPv4Address("255.255.255.255")
_REFUSAL_DISPOSITIONS = {
    "blackhole": Disposition.DROPPED,
    "unreachable": Disposition.REJECTED,
    "prohibit": Disposition.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Way:
    """One next hop: the link, and the gateway where the destination is not on the link itself."""

    link: str
    gateway: IPAddress | None = None
    limit: Route | None = None
    """The route, where it has an MTU of its own."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing in the routing code that stops a packet, or may."""

    kind: ObstacleKind
    disposition: Disposition
    at: str
    reason: str
    sysctl: str | None = None
    link: str | None = None
    route: Route | None = None
    rule: RoutingRule | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a packet goes.

    `obstacles` are in the kernel's order: [0] is what the kernel does, the others would stop the packet next.
    `ways` are where it goes, as if they were mended; several where the kernel chooses by a hash, or by
    what is not known.
    """

    kind: Literal["local", "forward", "nowhere"]
    ways: tuple[Way, ...]
    obstacles: tuple[Obstacle, ...]
    lookup: Lookup
    source: IPAddress | None = None
    """The source address that a packet made here gets."""
    disagreement: str | None = None
    """How the kernel's own answer differs."""

    @property
    def text(self) -> str:
        """The route that was chosen, with the policy rule that led to it."""
        if self.lookup.route is None:
            return "no route"
        route = describe_route(self.lookup.route)
        via = " or ".join(
            f"dev {way.link}" + (f" via {way.gateway}" if way.gateway else "") for way in self.ways
        )
        rule = self.lookup.rule
        by = (
            f" (rule {describe_rule(rule)})"
            if rule is not None and rule.priority not in (0, 32766, 32767)
            else ""
        )
        return f"route {route} {via}{by}" if via else f"route {route}{by}"


def sysctl_name(key: str) -> str:
    """The sysctl as sysctl(8) takes it: dots between the parts, unless a link's name holds one."""
    return key if "." in key else key.replace("/", ".")


class Router:
    """The routing of one namespace; also what netfilter's matches ask of it (`Surroundings`)."""

    def __init__(self, namespace: NetworkNamespace) -> None:
        self.links = Links(namespace)
        self.fib = Fib(namespace, self.links)
        self._namespace = namespace
        self._sources = SourceAddresses(namespace, self.links)
        self._local_addresses: dict[str, tuple[IPAddress, ...] | None] = {}
        self._answers: dict[tuple[str, str | None, str | None], list[RouteAnswer]] = {}
        for answer in namespace.route_answers:
            self._answers.setdefault((answer.destination, answer.source, answer.in_link), []).append(answer)

    # -- packets that come in -----------------------------------------------------------------------

    def arrive(self, packet: Packet) -> Decision:
        """Routes a packet that came in by `packet.in_link`: to this host, on, or nowhere."""
        in_link = packet.in_link or LOOPBACK
        decision = self._arrive(packet, in_link, _query(packet, in_link), either=True)
        addresses = packet.addresses
        answers = self._asked(str(addresses.destination), str(addresses.source), in_link, packet.mark)
        if not answers:
            return decision
        asked = self._arrive(packet, in_link, _as_asked(_query(packet, in_link)))
        return replace(decision, disagreement=_disagreement(answers, asked, packet.family))

    def _arrive(self, packet: Packet, in_link: str, query: Query, *, either: bool = False) -> Decision:
        obstacles = list(self._odd_addresses(packet, in_link))
        lookup, refusals = self._look_up(query, either=either)
        ways = self._ways(lookup)
        kind: Literal["local", "forward", "nowhere"] = "nowhere"
        forwarding = []
        if lookup.outcome == "found":
            kind = "local" if lookup.type in ("local", "broadcast", "anycast", "multicast") else "forward"
        if kind == "forward" or (lookup.outcome != "found" and packet.family == 4):
            # IPv4 asks whether the link forwards even where the lookup failed; it then discards in silence.
            forwarding = list(self._forwarding(in_link, packet.family))
        obstacles += [*forwarding, *refusals] if packet.family == 4 else [*refusals, *forwarding]
        if lookup.outcome == "found" and packet.family == 4:
            oif = ways[0].link if kind == "forward" and ways else LOOPBACK
            obstacles += self._reverse_path(packet, in_link, oif, query)
        return Decision(kind, ways, tuple(obstacles), lookup)

    def question(self, asker: IPAddress, address: IPAddress, in_link: str) -> Decision:
        """Where `asker`'s ARP question for `address` would be routed: `arp_process` goes by that before it answers."""
        addresses = Tuple(asker, address, None, None)
        question = Packet("arp", addresses, Connection("untracked", "original", addresses), in_link=in_link)
        return self._arrive(question, in_link, Query(address, asker, in_link=in_link))

    def astray(self, packet: Packet) -> Obstacle | None:
        """What leads a packet that came in, and is for an address of this host, away from it."""
        return self.led_away(packet.addresses.destination, _query(packet, packet.in_link or LOOPBACK))

    def refuses_question(self, asker: IPAddress, address: IPAddress, in_link: str) -> tuple[Obstacle, ...]:
        """Why this host does not answer ARP of `asker` for its `address`."""
        decision = self.question(asker, address, in_link)
        refusals = tuple(one for one in decision.obstacles if one.kind == "reverse-path")
        late = self.led_away(address, Query(address, asker, in_link=in_link))
        return (late, *refusals) if late is not None else refusals

    def led_away(self, address: IPAddress, query: Query) -> Obstacle | None:
        """Why this host does not know its own address for one: policy rules lead elsewhere before the table `local`."""
        own = self.fib.in_table(_LOCAL_TABLE, Query(address))
        found = self.fib.lookup(query) if own is not None and own.type == "local" else None
        if found is None or found.outcome == "unknown" or found.type in _LOCAL_TYPES:
            return None
        rule = found.rule
        at = f"rule {describe_rule(rule)}" if rule is not None else f"address {address}"
        goes = f"goes by the {at}" if rule is not None else "has no way"
        reason = f"what comes in for its own address {address} {goes}: {LOCAL_TABLE_LATE}"
        return Obstacle("route", Disposition.DROPPED, at, reason, rule=rule)

    def _odd_addresses(self, packet: Packet, in_link: str) -> Iterable[Obstacle]:
        source, destination = packet.addresses.source, packet.addresses.destination
        if source.is_multicast or source == _BROADCAST or _zeronet(source):
            yield _martian(f"{source} is no source address that the kernel takes from a link")
        if in_link == LOOPBACK or not (source.is_loopback or destination.is_loopback):
            return
        if packet.family == 6:
            yield _martian(f"the kernel takes no packet with ::1 from {in_link}")
            return
        values = [self._sysctl(f"net/ipv4/conf/{name}/route_localnet") for name in ("all", in_link)]
        if "1" not in values:
            key = f"net/ipv4/conf/{in_link}/route_localnet"
            reason = f"a packet with a loopback address comes in by {in_link}, whose route_localnet is off"
            unread = None in values
            yield Obstacle(
                "unread" if unread else "sysctl",
                Disposition.UNKNOWN if unread else Disposition.DROPPED,
                sysctl_name(key),
                f"{sysctl_name(key)} could not be read" if unread else reason,
                sysctl=key,
                link=in_link,
            )

    def _forwarding(self, in_link: str, family: int) -> Iterable[Obstacle]:
        if family == 4:
            key, everywhere = f"net/ipv4/conf/{in_link}/forwarding", "net/ipv4/ip_forward"
        else:
            key = everywhere = "net/ipv6/conf/all/forwarding"
        value = self._sysctl(key)
        if value is None:
            yield self._unread_sysctl(key)
        elif value == "0" and not (
            family == 6 and self._sysctl(f"net/ipv6/conf/{in_link}/force_forwarding") == "1"
        ):
            # Writing ip_forward sets every link; the link's own value is what the kernel goes by.
            cause = everywhere if self._sysctl(everywhere) == "0" else key
            reason = f"the kernel does not forward what comes in by {in_link}: {sysctl_name(cause)} = 0"
            yield Obstacle(
                "sysctl", Disposition.DROPPED, sysctl_name(cause), reason, sysctl=cause, link=in_link
            )
        if family == 6 and self._sysctl(f"net/ipv6/conf/{in_link}/disable_ipv6") == "1":
            key = f"net/ipv6/conf/{in_link}/disable_ipv6"
            reason = f"IPv6 is switched off on {in_link}: {sysctl_name(key)} = 1"
            yield Obstacle("sysctl", Disposition.DROPPED, sysctl_name(key), reason, sysctl=key, link=in_link)

    def _reverse_path(self, packet: Packet, in_link: str, oif: str, query: Query) -> Iterable[Obstacle]:
        """Whether the way back to the source leads out of the link it came by (`fib_validate_source`)."""
        source = packet.addresses.source
        key, strictness = self._maximum("rp_filter", in_link)
        back = self.fib.lookup(self._reversed(packet, in_link, oif, query))
        if back.outcome == "unknown":
            if strictness != 0 or self.address_type(source) is None:
                yield Obstacle(
                    "unread", Disposition.UNKNOWN, "reverse path", f"the way back to {source}: {back.reason}"
                )
            return
        if back.outcome == "found" and back.type != "unicast":
            refused = list(self._source_is_ours(source, in_link, back))
            if refused:
                yield from refused
                return
        if self.links.vrf_of(in_link) is not None:
            reason = f"{in_link} belongs to a VRF, which is not followed"
            yield Obstacle("unread", Disposition.UNKNOWN, "reverse path", reason, link=in_link)
            return
        matches = back.outcome == "found" and in_link in {
            self.links.name(hop.link) for hop in _all_hops(back)
        }
        if matches or strictness == 0:
            return
        addressless = self.links.addresses(in_link, 4) == []
        loose_passes = back.outcome == "found" and not addressless
        if strictness is None:
            yield self._unread_sysctl(key)
        elif strictness == 1 or not loose_passes:
            if back.outcome == "found":
                where = " or ".join(sorted({way.link for way in self._ways(back)}))
                way = f"the way back to {source} leads out of {where}"
            else:
                way = f"there is no way back to {source}"
            yield Obstacle(
                "reverse-path",
                Disposition.DROPPED,
                sysctl_name(key),
                f"it came in by {in_link}, but {way}: {sysctl_name(key)} = {strictness} discards it",
                sysctl=key,
                link=in_link,
                route=back.route,
                rule=back.rule,
            )

    def _source_is_ours(self, source: IPAddress, in_link: str, back: Lookup) -> Iterable[Obstacle]:
        if back.type == "local":
            values = [self._sysctl(f"net/ipv4/conf/{name}/accept_local") for name in ("all", in_link)]
            if "1" in values:
                return
            if None in values:
                yield self._unread_sysctl(f"net/ipv4/conf/{in_link}/accept_local")
                return
        reason = (
            f"{source}, its source, is a {back.type} address of this host: the kernel takes it for forged"
        )
        yield Obstacle(
            "address", Disposition.DROPPED, f"address {source}", reason, link=in_link, route=back.route
        )

    def _reversed(self, packet: Packet, in_link: str, oif: str, query: Query) -> Query:
        mark: int | None = 0
        if packet.mark != 0:
            values = [self._sysctl(f"net/ipv4/conf/{name}/src_valid_mark") for name in ("all", in_link)]
            mark = packet.mark if "1" in values else None if None in values else 0
        return replace(
            query,
            destination=packet.addresses.source,
            source=packet.addresses.destination,
            in_link=oif,
            mark=mark,
            source_port=query.destination_port,
            destination_port=query.source_port,
        )

    # -- packets made here --------------------------------------------------------------------------

    def depart(
        self,
        destination: IPAddress,
        *,
        source: IPAddress | None = None,
        protocol: str = "tcp",
        source_port: PortRange | None = None,
        destination_port: PortRange | None = None,
        mark: int | None = 0,
        out_link: str | None = None,
        tos: int | None = 0,
    ) -> Decision:
        """Routes a packet that a process of this namespace sends, and chooses its source if it has none."""
        query = Query(
            destination,
            source,
            out_link=out_link,
            mark=mark,
            tos=tos,
            protocol=PROTOCOL_NUMBERS[protocol],
            source_port=source_port,
            destination_port=destination_port,
            user=None,
        )
        decision = self._depart(query)
        answers = self._asked(str(destination), None if source is None else str(source), None, mark)
        if answers:
            asked = self._depart(_as_asked(query))
            decision = replace(decision, disagreement=_disagreement(answers, asked, destination.version))
        if source is None and decision.source is not None:
            # connect() asks again with the source that the first answer gave.
            again = self._depart(replace(query, source=decision.source))
            return replace(again, disagreement=decision.disagreement)
        if source is not None and self.is_own(source) is False:
            reason = f"{source} is no address of this namespace"
            foreign = Obstacle("address", Disposition.DROPPED, f"address {source}", reason)
            return replace(decision, obstacles=(*decision.obstacles, foreign))
        return decision

    def _depart(self, query: Query) -> Decision:
        lookup, obstacles = self._look_up(query)
        kind: Literal["local", "forward", "nowhere"] = "nowhere"
        source = query.source
        if lookup.outcome == "found":
            kind = "local" if lookup.type == "local" else "forward"
            source = source or self._choose_source(query.destination, lookup)
        return Decision(kind, self._ways(lookup), obstacles, lookup, source)

    def _choose_source(self, destination: IPAddress, lookup: Lookup) -> IPAddress | None:
        if lookup.route is not None and lookup.route.preferred_source:
            return as_address(lookup.route.preferred_source)
        if lookup.type == "local":
            return destination
        scope = lookup.route.scope if lookup.route is not None else "global"
        chosen = (
            self._sources.choose(way.link, destination, way.gateway, scope) for way in self._ways(lookup)
        )
        return next((address for address in chosen if address is not None), None)

    def translated_source(
        self, link: str, destination: IPAddress, gateway: IPAddress | None
    ) -> IPAddress | None:
        """The address that MASQUERADE gives; None where `link` has none, or they were not read."""
        return self._sources.choose(link, destination, gateway or destination)

    def asking_address(self, link: str, toward: IPAddress, source: IPAddress | None) -> IPAddress | None:
        """The address from which a link asks for a neighbour's hardware address; None where it has none.

        `source` is that of the packet that waits: it is taken where it is this machine's (of IPv6: this link's) own.
        """
        own = self.links.addresses(link, toward.version) or []
        if source is not None and any(address.address == str(source) for address in own):
            return source
        if toward.version == 4 and source is not None and self.address_type(source) == "local":
            return source
        usable = (a for a in own if (a.scope == "link" or a.family == 4) and not UNUSABLE & set(a.flags))
        return next((as_address(address.address) for address in usable), None)

    # -- lookups ------------------------------------------------------------------------------------

    def _look_up(self, query: Query, *, either: bool = False) -> tuple[Lookup, tuple[Obstacle, ...]]:
        """The way, as if every route and rule that refuses were gone; and those refusals.

        With `either`, all ways where what is not known decides between ways alone.
        """
        obstacles: list[Obstacle] = []
        ignoring: frozenset[Route | RoutingRule] = frozenset()
        while True:
            lookup = self.fib.lookup(query, ignoring)
            if either and lookup.either:
                lookup = replace(lookup.either[0], either=lookup.either, reason=lookup.reason)
            if lookup.outcome == "found":
                break
            obstacles.append(self._refusal(query, lookup, last=not obstacles))
            culprit = lookup.route or lookup.rule
            if lookup.outcome not in _REFUSAL_DISPOSITIONS or culprit is None:
                break
            ignoring |= {culprit}
        return lookup, tuple(obstacle for obstacle in obstacles if obstacle.at)

    def _refusal(self, query: Query, lookup: Lookup, *, last: bool) -> Obstacle:
        destination = query.destination
        if lookup.outcome == "unknown":
            return Obstacle(
                "unread", Disposition.UNKNOWN, "routes", lookup.reason, route=lookup.route, rule=lookup.rule
            )
        if lookup.outcome == "none":
            # Where a refusing route was all there was, it alone is the finding.
            at = f"no route to {destination}" if last else ""
            vrf = self._vrf_with_way(query)
            if vrf is not None and query.in_link == LOOPBACK:
                # `ip vrf exec` binds a process to one, of which nothing is read.
                reason = f"only the VRF {vrf} has a route to {destination}, and who sends may be bound to it"
                return Obstacle("unread", Disposition.UNKNOWN, "routes", reason)
            down = ", ".join(self._down(destination.version))
            reason = f"no table has a route to {destination}"
            if vrf is not None:
                reason = f"no table has a route to {destination} but that of the VRF {vrf}, which its links alone go by"
            return Obstacle(
                "no-route", Disposition.NO_ROUTE, at, reason + (f"; {down} is down" if down else "")
            )
        if lookup.route is not None:
            at, what = f"route {describe_route(lookup.route)}", f"the route `{describe_route(lookup.route)}`"
        else:
            rule = describe_rule(lookup.rule) if lookup.rule is not None else ""
            at, what = f"rule {rule}", f"the policy rule `{rule}`"
        disposition = _REFUSAL_DISPOSITIONS[lookup.outcome]
        does = "discards" if disposition is Disposition.DROPPED else "refuses"
        reason = f"{what} {does} what goes to {destination}"
        return Obstacle("route", disposition, at, reason, route=lookup.route, rule=lookup.rule)

    def _vrf_with_way(self, query: Query) -> str | None:
        """The VRF in whose table there is a way, where nothing leads the packet into it."""
        for name, table in self.links.vrfs.items():
            found = self.fib.in_table(table, query)
            if found is not None and found.outcome == "found":
                return name
        return None

    def _down(self, family: int) -> list[str]:
        """The links that have an address and are down, which takes their routes away; with what carries them."""
        found = []
        for name, link in self.links.by_name.items():
            if link.up or link.loopback or not self.links.addresses(name, family):
                continue
            fault = self.links.fault(link)
            carried = fault is not None and fault.link != name
            found.append(f"{fault.link}, which carries {name}," if fault and carried else name)
        return found

    def _ways(self, lookup: Lookup) -> tuple[Way, ...]:
        ways = []
        for one in lookup.either or (lookup,):
            for hop in self._answering(one):
                name = self.links.name(hop.link)
                if name is not None:
                    limit = one.route if one.route is not None and one.route.mtu else None
                    ways.append(Way(name, as_address(hop.gateway) if hop.gateway else None, limit))
        return tuple(dict.fromkeys(ways))

    def _answering(self, lookup: Lookup) -> tuple[NextHop, ...]:
        """The next hops among which the kernel chooses: told to, it leaves out those known not to answer."""
        hops, neighbours = lookup.next_hops, self._namespace.neighbours
        told = self._sysctl("net/ipv4/fib_multipath_use_neigh") == "1"
        if len(hops) < 2 or lookup.route is None or lookup.route.family == 6 or not told:
            return hops
        silent = (
            set()
            if isinstance(neighbours, Unread)
            else {(one.link, one.address) for one in neighbours if one.state not in VALID}
        )
        return tuple(hop for hop in hops if (hop.link, hop.gateway) not in silent) or hops[:1]

    def _asked(
        self, destination: str, source: str | None, in_link: str | None, mark: int | None
    ) -> list[RouteAnswer]:
        """The kernel's own answers to this question."""
        answers = self._answers.get((destination, source, in_link), ())
        return [answer for answer in answers if answer.mark == mark]

    # -- sysctls ------------------------------------------------------------------------------------

    def _sysctl(self, key: str) -> str | None:
        sysctls = self._namespace.sysctls
        return None if isinstance(sysctls, Unread) else sysctls.get(key)

    def _maximum(self, name: str, link: str) -> tuple[str, int | None]:
        """Key and value in force of an IPv4 switch, where the larger of `all` and the link's counts."""
        keys = [f"net/ipv4/conf/{where}/{name}" for where in (link, "all")]
        values = {key: self._sysctl(key) for key in keys}
        for key, value in values.items():
            if value is None:
                return key, None
        key = max(keys, key=lambda key: int(values[key] or 0))
        return key, int(values[key] or 0)

    def _unread_sysctl(self, key: str) -> Obstacle:
        sysctls = self._namespace.sysctls
        why = f": {sysctls.reason}" if isinstance(sysctls, Unread) else ""
        name = sysctl_name(key)
        return Obstacle(
            "unread", Disposition.UNKNOWN, name, f"{name} decides and was not read{why}", sysctl=key
        )

    # -- what netfilter's matches ask ---------------------------------------------------------------

    def address_type(self, address: IPAddress, link: str | None = None) -> str | None:
        """What kind of address it is to this namespace, as addrtype and `fib` tell; None: not known."""
        if address.is_multicast:
            return "multicast"
        if address.version == 4:
            if _zeronet(address) or address == _BROADCAST:
                return "broadcast"
            found = self.fib.in_table(_LOCAL_TABLE, Query(address))
        else:
            found = self.fib.lookup(Query(address))
        if found is None:
            return "unicast"
        if found.outcome == "unknown":
            return None
        if found.outcome == "none":
            return "unreachable"
        if link is not None and link not in {self.links.name(hop.link) for hop in _all_hops(found)}:
            return "unicast"
        return found.type or found.outcome

    def is_own(self, address: IPAddress) -> bool | None:
        """Whether it is an address of this namespace, of a VRF's links too; None: not known."""
        kind = self.address_type(address)
        if kind is None:
            return None
        return kind == "local" or any(self._local_in(table, address) for table in self.links.vrfs.values())

    def _local_in(self, table: int, address: IPAddress) -> bool:
        found = self.fib.in_table(table, Query(address))
        return found is not None and found.type == "local"

    def route_link(
        self,
        destination: IPAddress,
        source: IPAddress | None,
        in_link: str | None,
        mark: int | None,
        protocol: int | None = None,
    ) -> str | None:
        """The link that a lookup answers with; "" for no route, None where it is not known."""
        query = Query(destination, source, in_link=in_link or LOOPBACK, mark=mark, protocol=protocol)
        found = self.fib.lookup(query)
        if found.outcome == "unknown":
            return None
        if found.outcome != "found":
            return ""
        names = {way.link for way in self._ways(found)}
        return names.pop() if len(names) == 1 else None

    def local_addresses(self, link: str) -> tuple[IPAddress, ...] | None:
        """The addresses that a packet leaving by `link` may be given, the kernel's first choice first."""
        if link not in self._local_addresses:
            self._local_addresses[link] = self._choices(link)
        return self._local_addresses[link]

    def _choices(self, link: str) -> tuple[IPAddress, ...] | None:
        found: list[IPAddress] = []
        for family in (4, 6):
            own = self._by_preference(link, family)
            if own is None:
                return None
            found += [as_address(address.address) for address in own] or self._everywhere[family]
        return tuple(found)

    @cached_property
    def _everywhere(self) -> dict[int, list[IPAddress]]:
        """What a link without addresses borrows from the others."""
        return {
            family: [
                as_address(address.address)
                for name in self.links.by_name
                if name != LOOPBACK
                for address in self._by_preference(name, family) or []
            ]
            for family in (4, 6)
        }

    def link_group(self, link: str) -> int | None:
        """The link's group; None where it was not read."""
        own = self.links.get(link)
        return None if own is None else own.group

    def link_kind(self, link: str) -> str | None:
        """The link's kind, empty for hardware; None where it was not read."""
        own = self.links.get(link)
        return None if own is None else own.kind or ""

    def is_listened_on(self, protocol: str, ports: PortRange, at: IPAddress | None = None) -> bool | None:
        """Whether a socket of this namespace listens there; None where they were not read."""
        listeners = self._namespace.listeners
        if isinstance(listeners, Unread):
            return None
        return any(
            one.protocol == protocol and ports.low <= one.port <= ports.high and at in (None, listens_at(one))
            for one in listeners
        )

    def served_queues(self) -> tuple[int, ...] | None:
        """Numbers of the queues that a program takes packets from; None where they were not read."""
        queues = self._namespace.packet_queues
        return None if isinstance(queues, Unread) else queues

    def _by_preference(self, link: str, family: int) -> list[Address] | None:
        addresses = self.links.addresses(link, family)
        if addresses is None:
            return None
        usable = [a for a in addresses if not UNUSABLE & set(a.flags) and a.scope == "global"]
        return sorted(usable, key=lambda a: ("secondary" in a.flags, "deprecated" in a.flags))


def _query(packet: Packet, in_link: str) -> Query:
    addresses = packet.addresses
    return Query(
        destination=addresses.destination,
        source=addresses.source,
        in_link=in_link,
        mark=packet.mark,
        tos=packet.tos,
        protocol=PROTOCOL_NUMBERS[packet.protocol],
        source_port=addresses.source_port,
        destination_port=addresses.destination_port,
    )


def _as_asked(query: Query) -> Query:
    """What RTM_GETROUTE is asked: it knows neither the packet's ports nor its protocol, nor what rules made of it."""
    no_port = PortRange.one(0)
    if query.destination.version == 4:
        # The kernel makes up a UDP packet. One that comes in is root's, one that is sent the asking process's.
        protocol, user = PROTOCOL_NUMBERS["udp"], query.user
    else:
        protocol, user = 0, query.user if query.in_link == LOOPBACK else _NOBODY
    return replace(
        query,
        out_link=None,
        protocol=protocol,
        source_port=no_port,
        destination_port=no_port,
        user=user,
        tos=0,
    )


def _disagreement(answers: Iterable[RouteAnswer], decision: Decision, family: int) -> str | None:
    """How the kernel's own answer to the same question differs."""
    if any(obstacle.disposition is Disposition.UNKNOWN for obstacle in decision.obstacles):
        return None
    # Asked over netlink, IPv6 does not look at the forwarding switches.
    obstacles = [obstacle for obstacle in decision.obstacles if family == 4 or obstacle.kind != "sysctl"]
    ways = {(way.link, None if way.gateway is None else str(way.gateway)) for way in decision.ways}
    for answer in answers:
        via = f" via {answer.gateway}" if answer.gateway else ""
        says = f"the kernel itself routes it by {answer.out_link}{via}"
        if answer.error is not None:
            if not obstacles:
                return f"the kernel itself answers {answer.error}, where its tables read here lead on"
        elif obstacles:
            return f"{says}, where {obstacles[0].reason}"
        elif decision.kind == "forward" and (answer.out_link, answer.gateway) not in ways:
            return f"{says}, not by {decision.text}"
        elif answer.type is not None and (decision.lookup.type in _LOCAL_TYPES) is not (
            answer.type in _LOCAL_TYPES
        ):
            return f"to the kernel itself the destination is {answer.type}, not by {decision.text}"
        elif (
            answer.source is None
            and answer.in_link is None
            and None not in (answer.preferred_source, decision.source)
            and answer.preferred_source != str(decision.source)
        ):
            return f"the kernel itself sends it from {answer.preferred_source}, not from {decision.source}"
    return None


def _all_hops(lookup: Lookup) -> tuple[NextHop, ...]:
    return lookup.route.next_hops if lookup.route is not None else lookup.next_hops


def _martian(reason: str) -> Obstacle:
    return Obstacle("address", Disposition.DROPPED, "martian source", reason)


def _zeronet(address: IPAddress) -> bool:
    return int(address) >> (24 if isinstance(address, IPv4Address) else 0) == 0
