"""Route lookups over one namespace's tables and policy rules, as the kernel's FIB makes them."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import groupby
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.links import Links
from dockerdiag.packet.packet import IPAddress, PortRange, prefix
from dockerdiag.snapshot.model import NetworkNamespace, NextHop, Route, RoutingRule, Unread

TABLE_NAMES = {253: "default", 254: "main", 255: "local"}
LOOPBACK = "lo"
_EXTERNAL_TUNNELS = (
    "vxlan",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "geneve",
    "ipip",
    "sit",
    "ip6tnl",
    "erspan",
)
_ALL_USERS = (0, 2**32 - 1)
_REFUSALS: Mapping[str, Literal["blackhole", "unreachable", "prohibit"]] = {
    "blackhole": "blackhole",
    "unreachable": "unreachable",
    "prohibit": "prohibit",
}


@dataclass(frozen=True, slots=True)
class Query:
    """What a lookup goes by. `in_link` is `lo` for a packet that is made here."""

    destination: IPAddress
    source: IPAddress | None = None
    """None: not chosen yet, which no rule with `from` matches."""
    in_link: str = LOOPBACK
    out_link: str | None = None
    mark: int | None = 0
    tos: int | None = 0
    """None: a rule rewrites it."""
    protocol: int | None = None
    source_port: PortRange | None = None
    destination_port: PortRange | None = None
    user: int | None = 0
    """Forwarded packets count as the namespace's root; None: a process whose user is not known."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the tables answer.

    `outcome` is `found` where a route gives a way or an address type, the refusing type where a route or rule
    refuses, `none` where nothing matches, `unknown` where what is not known decides.
    """

    outcome: Literal["found", "blackhole", "unreachable", "prohibit", "none", "unknown"]
    type: str = ""
    """The route's type where it was found."""
    next_hops: tuple[NextHop, ...] = ()
    """Every way that the kernel may choose; more than one for multipath."""
    route: Route | None = None
    rule: RoutingRule | None = None
    reason: str = ""
    either: "tuple[Lookup, ...]" = ()
    """Of an unknown one: what is found where a policy rule matches or not, where each of them is a way on."""

    @property
    def consequence(self) -> tuple[object, ...]:
        """What two lookups must share to be the same for the packet."""
        return (self.outcome, self.type, frozenset((hop.link, hop.gateway) for hop in self.next_hops))


def describe_route(route: Route) -> str:
    """The route as iproute2 prints it."""
    words = [] if route.type == "unicast" else [route.type]
    words.append("default" if route.destination.endswith("/0") else route.destination)
    if route.source:
        words += ["from", route.source]
    words += ["table", TABLE_NAMES.get(route.table, str(route.table))]
    if route.metric:
        words += ["metric", str(route.metric)]
    return " ".join(words)


def describe_rule(rule: RoutingRule) -> str:
    """The policy rule as iproute2 prints it."""
    words = [f"{rule.priority}:"]
    if rule.invert:
        words.append("not")
    words += ["from", rule.source or "all"]
    options: list[tuple[str, object]] = [("to", rule.destination)]
    if rule.mark is not None or rule.mask:
        mask = "" if rule.mask in (None, 0xFFFFFFFF) else f"/{rule.mask:#x}"
        options.append(("fwmark", f"{rule.mark or 0:#x}{mask}"))
    options += [("iif", rule.in_link), ("oif", rule.out_link), ("ipproto", rule.protocol)]
    options += [("sport", _span(rule.source_ports)), ("dport", _span(rule.destination_ports))]
    options.append(("uidrange", _span(rule.user_ids)))
    options += [(name, "?") for name in rule.unread]
    words += [f"{name} {value}" for name, value in options if value is not None]
    if rule.action == "lookup":
        table = "[l3mdev-table]" if rule.l3mdev else TABLE_NAMES.get(rule.table or 0, str(rule.table))
        words.append(f"lookup {table}")
    elif rule.action == "goto":
        words.append(f"goto {rule.goto}")
    else:
        words.append(rule.action)
    if rule.suppress_prefix_length is not None:
        words.append(f"suppress_prefixlength {rule.suppress_prefix_length}")
    return " ".join(words)


def _span(span: tuple[int, int] | None) -> str | None:
    return None if span is None else f"{span[0]}-{span[1]}" if span[0] != span[1] else str(span[0])


_Culprit = Route | RoutingRule


@dataclass(frozen=True, slots=True)
class _Entry:
    route: Route
    source: IPv6Network | None


@dataclass(slots=True)
class _Table:
    """One routing table of one family, by prefix length."""

    width: int
    by_length: dict[int, dict[int, list[_Entry]]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)

    def add(self, route: Route) -> None:
        network = prefix(route.destination)
        source = prefix(route.source) if route.source else None
        entry = _Entry(route, source if isinstance(source, IPv6Network) and source.prefixlen else None)
        self.by_length.setdefault(network.prefixlen, {}).setdefault(int(network.network_address), []).append(
            entry
        )

    def seal(self) -> None:
        self.lengths = sorted(self.by_length, reverse=True)
        for prefixes in self.by_length.values():
            for entries in prefixes.values():
                entries.sort(
                    key=lambda entry: (-(entry.source.prefixlen if entry.source else 0), entry.route.metric)
                )

    def candidates(self, destination: IPAddress) -> Iterator[list[_Entry]]:
        """The routes to each prefix that holds the address, longest first."""
        value = int(destination)
        for length in self.lengths:
            network = value >> (self.width - length) << (self.width - length)
            if entries := self.by_length[length].get(network):
                yield entries


@dataclass(frozen=True, slots=True)
class _Enquiry:
    """One lookup on its way through the policy rules."""

    rules: list[RoutingRule]
    query: Query
    ignoring: frozenset[_Culprit]
    known: dict[int, Lookup] = field(default_factory=dict)
    """What the rules from a position on answer: each rule that may match asks for it twice."""


class Fib:
    """The tables and policy rules of one namespace."""

    def __init__(self, namespace: NetworkNamespace, links: Links) -> None:
        self._namespace = namespace
        self._links = links

    def lookup(self, query: Query, ignoring: frozenset[_Culprit] = frozenset()) -> Lookup:
        """Answers `query`; `ignoring` leaves out routes and rules, to tell what would decide without them."""
        if isinstance(self._namespace.rules, Unread):
            return Lookup(
                "unknown", reason=f"the policy rules could not be read: {self._namespace.rules.reason}"
            )
        if isinstance(self._namespace.routes, Unread):
            return Lookup("unknown", reason=f"the routes could not be read: {self._namespace.routes.reason}")
        rules = [rule for rule in self._rules[query.destination.version] if rule not in ignoring]
        return self._follow(_Enquiry(rules, query, ignoring), 0)

    def in_table(self, table: int, query: Query) -> Lookup | None:
        """What one table answers, None where it has nothing and the next rule is asked."""
        if isinstance(self._namespace.routes, Unread):
            return Lookup("unknown", reason=f"the routes could not be read: {self._namespace.routes.reason}")
        return self._search(table, query, frozenset())

    @cached_property
    def _rules(self) -> dict[int, list[RoutingRule]]:
        rules = self._namespace.rules
        assert not isinstance(rules, Unread)  # noqa: S101 - lookup() has told the two apart
        ordered = sorted(rules, key=lambda rule: rule.priority)
        return {family: [rule for rule in ordered if rule.family == family] for family in (4, 6)}

    @cached_property
    def _tables(self) -> dict[tuple[int, int], _Table]:
        tables: dict[tuple[int, int], _Table] = {}
        routes = self._namespace.routes
        if not isinstance(routes, Unread):
            for route in routes:
                key = (route.family, route.table)
                tables.setdefault(key, _Table(32 if route.family == 4 else 128)).add(route)
        for table in tables.values():
            table.seal()
        return tables

    def _follow(self, enquiry: _Enquiry, start: int) -> Lookup:
        """What the rules from `start` on answer."""
        if start not in enquiry.known:
            enquiry.known[start] = self._decide(enquiry, start)
        return enquiry.known[start]

    def _decide(self, enquiry: _Enquiry, position: int) -> Lookup:
        rules = enquiry.rules
        while position < len(rules):
            rule = rules[position]
            matches, doubt = self._matches(rule, enquiry.query)
            if matches is False:
                position += 1
                continue
            if matches is None:
                taken = self._take(enquiry, position)
                passed = self._follow(enquiry, position + 1)
                if taken.outcome != "unknown" and taken.consequence == passed.consequence:
                    return passed
                both = (one for answer in (taken, passed) for one in answer.either or (answer,))
                ways = {one.consequence: one for one in both}.values()
                led_on = all((one.outcome, one.type) == ("found", "unicast") for one in ways)
                return Lookup(
                    "unknown",
                    rule=rule,
                    reason=f"the policy rule `{describe_rule(rule)}` decides, and {doubt}",
                    either=tuple(ways) if led_on else (),
                )
            return self._take(enquiry, position)
        return Lookup("none")

    def _take(self, enquiry: _Enquiry, position: int) -> Lookup:
        """What comes of it where the rule at `position` matches."""
        rules = enquiry.rules
        rule = rules[position]
        if rule.action == "goto":
            target = next(
                (i for i, other in enumerate(rules) if i > position and other.priority == rule.goto), None
            )
            return self._follow(enquiry, position + 1 if target is None else target)
        if refusal := _REFUSALS.get(rule.action):
            return Lookup(refusal, rule=rule)
        found = None
        if rule.l3mdev:
            found = Lookup(
                "unknown", rule=rule, reason="the packet's link belongs to a VRF, which is not followed"
            )
        elif rule.action == "lookup" and rule.table is not None:
            found = self._search(rule.table, enquiry.query, enquiry.ignoring)
        if found is not None:
            found = replace(found, rule=rule)
            if found.outcome != "found" or found.route is None:
                return found
            suppressed = self._suppressed(rule, found.route)
            if suppressed is False:
                return found
            if suppressed is None:
                passed = self._follow(enquiry, position + 1)
                if passed.consequence == found.consequence:
                    return found
                reason = (
                    f"the policy rule `{describe_rule(rule)}` suppresses a link group, which was not read"
                )
                return Lookup("unknown", rule=rule, reason=reason)
        return self._follow(enquiry, position + 1)

    def _suppressed(self, rule: RoutingRule, route: Route) -> bool | None:
        length = int(route.destination.rpartition("/")[2])
        if rule.suppress_prefix_length is not None and length <= rule.suppress_prefix_length:
            return True
        if rule.suppress_link_group is None or not route.next_hops:
            return False
        link = self._links.by_index.get(route.next_hops[0].link or 0)
        return None if link is None or link.group is None else link.group == rule.suppress_link_group

    def _search(self, table: int, query: Query, ignoring: frozenset[_Culprit]) -> Lookup | None:
        family = query.destination.version
        if (routes := self._tables.get((family, table))) is None:
            return None
        for entries in routes.candidates(query.destination):
            if query.tos is None and (by_tos := [entry.route for entry in entries if entry.route.tos]):
                reason = f"the route `{describe_route(by_tos[0])}` asks for a TOS, and a rule rewrites the packet's"
                return Lookup("unknown", route=by_tos[0], reason=reason)
            usable = [
                entry
                for entry in entries
                if entry.route.tos in (0, query.tos)
                and (not ignoring or entry.route not in ignoring)
                and _from(entry, query.source)
            ]
            for _, group in groupby(usable, key=_preference):
                answer = self._choose([entry.route for entry in group], query)
                if answer is not None:
                    return None if answer.type == "throw" else answer
        return None

    def _choose(self, routes: list[Route], query: Query) -> Lookup | None:
        """The answer of routes to one prefix with one metric, None where none of them is usable."""
        six = query.destination.version == 6
        if six and len({_REFUSALS.get(route.type, route.type) for route in routes}) > 1:
            # IPv6 takes turns, and not by the order in which it lists them.
            reason = f"several routes to {routes[0].destination} have one metric, and not all lead on"
            return Lookup("unknown", route=routes[0], reason=reason)
        several = six or routes[0].destination.endswith("/0")
        ways: list[NextHop] = []
        chosen: Route | None = None
        for route in routes:
            if chosen is not None and route.type != "unicast":
                continue
            if route.type == "throw":
                return Lookup("found", "throw", route=route)
            if refusal := _REFUSALS.get(route.type):
                return Lookup(refusal, route.type, route=route)
            if route.encapsulation:
                reason = (
                    f"the route `{describe_route(route)}` puts packets into {route.encapsulation}, "
                    "and the way of what carries them is not followed"
                )
                return Lookup("unknown", route=route, reason=reason)
            if not route.next_hops and route.type == "unicast":
                reason = f"the next hop of the route `{describe_route(route)}` could not be read"
                return Lookup("unknown", route=route, reason=reason)
            good = [hop for hop in route.next_hops if self._usable(hop, query)]
            if any(self._doubtful(hop, query) for hop in good):
                reason = (
                    f"a way of the route `{describe_route(route)}` has no carrier, "
                    "and whether the kernel then leaves it out was not read"
                )
                return Lookup("unknown", route=route, reason=reason)
            if route.next_hops and not good:
                continue
            ways += good
            chosen = chosen or route
            # IPv4 takes the first of equal routes, but of equal default routes one whose gateway answers.
            if not several or chosen.type != "unicast":
                break
        if chosen is None:
            return None
        return Lookup("found", chosen.type, tuple(ways), chosen)

    def _usable(self, hop: NextHop, query: Query) -> bool:
        if "dead" in hop.flags:
            return False
        if query.out_link is not None and self._links.name(hop.link) != query.out_link:
            return False
        return not (
            "linkdown" in hop.flags and self._ignores_linkdown(hop, query.destination.version) is True
        )

    def _doubtful(self, hop: NextHop, query: Query) -> bool:
        return "linkdown" in hop.flags and self._ignores_linkdown(hop, query.destination.version) is None

    def _ignores_linkdown(self, hop: NextHop, version: int) -> bool | None:
        sysctls = self._namespace.sysctls
        name = self._links.name(hop.link)
        if isinstance(sysctls, Unread) or name is None:
            return None
        keys = [f"net/ipv{version}/conf/{name}/ignore_routes_with_linkdown"]
        if version == 4:
            keys.append("net/ipv4/conf/all/ignore_routes_with_linkdown")
        values = [sysctls.get(key) for key in keys]
        if any(value not in ("0", None) for value in values):
            return True
        return None if None in values else False

    def _matches(self, rule: RoutingRule, query: Query) -> tuple[bool | None, str]:
        """Whether the rule matches; where that is not known, why."""
        doubt = ""
        for verdict, reason in self._conditions(rule, query):
            if verdict is False:
                return rule.invert, ""
            if verdict is None:
                doubt = doubt or reason
        if doubt:
            return None, doubt
        return not rule.invert, ""

    def _conditions(self, rule: RoutingRule, query: Query) -> Iterator[tuple[bool | None, str]]:
        if rule.source:
            yield query.source is not None and _within(query.source, rule.source), ""
        if rule.destination:
            yield _within(query.destination, rule.destination), ""
        if rule.in_link:
            yield self._enters(rule.in_link, query.in_link), "its link belongs to a VRF"
        if rule.out_link:
            yield rule.out_link == query.out_link, ""
        if rule.tos:
            yield None if query.tos is None else rule.tos == query.tos, "a rule rewrites the packet's TOS"
        if rule.unread:
            yield None, f"what it asks for ({', '.join(rule.unread)}) is not known to this program"
        if rule.mark is not None or rule.mask:
            # A mark of 0 is not in the kernel's answer, its mask is.
            mask = 0xFFFFFFFF if rule.mask is None else rule.mask
            verdict = None if query.mark is None else not (query.mark ^ (rule.mark or 0)) & mask
            yield verdict, "the packet's mark could not be followed"
        if rule.protocol:
            yield rule.protocol == query.protocol, ""
        yield _ports(rule.source_ports, query.source_port), "the packet's source port is not known"
        yield (
            _ports(rule.destination_ports, query.destination_port),
            "the packet's destination port is not known",
        )
        if rule.user_ids is not None and rule.user_ids != _ALL_USERS:
            low, high = rule.user_ids
            verdict = None if query.user is None else low <= query.user <= high
            yield verdict, "the process's user is not known"
        if rule.l3mdev:
            yield self._in_vrf(query), "whether its link belongs to a VRF was not read"
        if rule.tunnel_id:
            link = self._links.get(query.in_link)
            yield (
                (None if link is None or link.kind in _EXTERNAL_TUNNELS else False),
                "its tunnel id is not known",
            )

    def _enters(self, wanted: str, in_link: str) -> bool | None:
        if wanted == in_link:
            return True
        return None if self._links.vrf_of(in_link) is not None else False

    def _in_vrf(self, query: Query) -> bool | None:
        if self._links.unread:
            return None
        names = (query.in_link, query.out_link)
        return any(name is not None and self._links.vrf_of(name) is not None for name in names)


def _preference(entry: _Entry) -> tuple[int, int]:
    return (-(entry.source.prefixlen if entry.source else 0), entry.route.metric)


def _from(entry: _Entry, source: IPAddress | None) -> bool:
    return entry.source is None or (isinstance(source, IPv6Address) and source in entry.source)


def _within(address: IPAddress, written: str) -> bool:
    network = prefix(written)
    if isinstance(address, IPv4Address):
        return isinstance(network, IPv4Network) and address in network
    return isinstance(network, IPv6Network) and address in network


def _ports(wanted: tuple[int, int] | None, port: PortRange | None) -> bool | None:
    if wanted is None:
        return True
    if port is None:
        return False
    if wanted[0] <= port.low and port.high <= wanted[1]:
        return True
    return False if port.high < wanted[0] or port.low > wanted[1] else None
