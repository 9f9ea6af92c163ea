"""Remedies for what stops packets besides the host's rules: links, addresses, routes, the container's namespace."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from dockerdiag.case import Case, Hit
from dockerdiag.packet.adjacency import HAIRPIN_OFF, NO_GATEWAY
from dockerdiag.packet.fib import Query
from dockerdiag.packet.flow import Halt
from dockerdiag.packet.ipsec import describe_policy, selector_of
from dockerdiag.packet.links import WITHOUT_PORT
from dockerdiag.packet.packet import PROTOCOL_NUMBERS
from dockerdiag.report import Remedy
from dockerdiag.snapshot import Network, Route, RoutingRule, Unread
from dockerdiag_checks.commands import AtEngineStart, Change, in_namespace, set_sysctl, sh, show_sysctl
from dockerdiag_checks.egress_targets import targets
from dockerdiag_checks.host_ways import has_default, mend_host_first
from dockerdiag_checks.link_remedies import (
    another_subnet,
    arp_answered,
    arp_on,
    bridge_again,
    gateway_of,
    into_vlan,
    ipv6_on,
    keeping_off,
    moved,
    no_port,
    without_orphan,
)
from dockerdiag_checks.own_network import (
    lacks_address,
    own_address,
    refusing_route,
    subnet_route,
    way_by,
    without_way,
)
from dockerdiag_checks.path_causes import ADDRESS_TAKEN, link_named, network_of, vpn_of
from dockerdiag_checks.routing_words import words_of_rule
from dockerdiag_checks.rule_commands import delete_rule, let_pass
from dockerdiag_checks.wording import FOR_GOOD, containers_of, listed, retry, subnets_of

_MAIN = 254
_FORWARDING = 3
"""BR_STATE_FORWARDING of a bridge port."""


def mending(case: Case, hit: Hit, code: str) -> tuple[Remedy, ...]:
    """What mends it, narrowest first."""
    halt = hit.halt
    if code == "host-offline":
        return (mend_host_first(case, halt.packet.family),)
    if (mended := _by_name(case, hit, code)) is not None:
        return mended
    if (asked_anew := _unfixed(case, hit)) is not None:
        return (asked_anew,)
    if halt.namespace is not None:
        return (_gateway_out_there(case, hit),) if _on_parents_network(halt) else in_container(case, hit)
    if halt.kind == "reverse-path" and halt.link is not None:
        return (_loose(case, halt),)
    if halt.kind == "link" and halt.link is not None:
        return (_port_forwards(case, halt) or _link_up(case, halt),)
    if halt.kind == "ipsec" and (removed := _without_policy(case, halt)) is not None:
        return (removed,)
    if halt.kind == "time-to-live" and halt.rule is None:
        return (_as_other_systems(case, hit),)
    if halt.kind == "time-to-live" and (removed := _without_rule(case, halt)) is not None:
        return (removed,)
    if code == ADDRESS_TAKEN:
        how, risk = moved(case, hit.networks)
        summary = (
            f"Give {listed(hit.networks, 'network')} another subnet ({how}), where this host has no address"
        )
        return (Remedy(summary=summary, verify=("ip address show", *retry(case)), risk=risk),)
    lost = halt.kind == "address" and halt.place.startswith("bridge ")
    if lost and (given := _bridge_address(case, hit)) is not None:
        return (given,)
    led = halt.kind == "no-route" or (halt.kind == "route" and (halt.route or halt.routing_rule))
    found = (_for_host_too(case, halt), _and_to_bridge(case, hit, _past_policy(case, hit))) if led else ()
    remedies = tuple(one for one in found if one is not None)
    # Both may come to the same command; the first tells more of its risk.
    if len({one.now for one in remedies}) < len(remedies):
        remedies = remedies[:1]
    if remedies:
        return remedies
    if (without := _past_gateway(case, halt)) is not None:
        return (without,)
    return (_to_be_seen(case, halt),)


def _past_gateway(case: Case, halt: Halt) -> Remedy | None:
    """Deletes the default route by a gateway that does not answer, where the host has another beside it."""
    entry, routes = halt.neighbour, case.snapshot.network.routes
    if entry is None or "failed" not in entry.state or not halt.certain or isinstance(routes, Unread):
        return None
    defaults = [
        one
        for one in routes
        if (one.family, one.table, one.type) == (entry.family, _MAIN, "unicast")
        and ip_network(one.destination).prefixlen == 0
    ]
    astray = [one for one in defaults if [hop.gateway for hop in one.next_hops] == [entry.address]]
    if len(astray) != 1 or len(defaults) < 2 or _answers_not(case, defaults, astray[0]):
        return None
    return _without_route(
        case, replace(halt, route=astray[0]), f"{entry.address} may be off for a while only. "
    )


def _answers_not(case: Case, defaults: list[Route], astray: Route) -> bool:
    """Whether the default route that would take over leads to a gateway that does not answer either."""
    first = min((one for one in defaults if one is not astray), key=lambda one: one.metric)
    neighbours = case.snapshot.network.neighbours
    failed = (
        set()
        if isinstance(neighbours, Unread)
        else {one.address for one in neighbours if "failed" in one.state}
    )
    return any(hop.gateway in failed for hop in first.next_hops)


def _unfixed(case: Case, hit: Hit) -> Remedy | None:
    """Deletes a neighbour that somebody fixed to a wrong hardware address: the kernel then asks who it is."""
    halt = hit.halt
    entry = halt.neighbour
    if entry is None or entry.state != "permanent" or entry.mac is None or halt.link is None:
        return None
    inside = halt.namespace is not None
    there = ("dev", halt.link)
    lines = (
        sh("ip", "neigh", "del", entry.address, *there),
        sh("ip", "neigh", "replace", entry.address, "lladdr", entry.mac, *there, "nud", "permanent"),
        sh("ip", "neigh", "show", entry.address, *there),
    )
    do, undo, show = (
        tuple(in_namespace(name, line) for name in hit.containers) if inside else (line,) for line in lines
    )
    return Remedy(
        summary=f"Have {entry.address} asked for its hardware address again, instead of the fixed {entry.mac}",
        now=do,
        verify=(*show, *retry(case)),
        undo=undo,
        risk=(
            "Who fixed it may have meant to keep others from answering for that address: now whoever answers first is "
            "believed. Who added it will add it again unless it is removed there too."
        ),
    )


def _without_rule(case: Case, halt: Halt) -> Remedy | None:
    deletion = delete_rule(halt.rule) if halt.rule is not None else None
    if deletion is None:
        return None
    return Remedy(
        summary="Delete the rule that uses up the packets' time to live",
        now=(deletion.do,),
        verify=retry(case),
        undo=deletion.undo,
        risk=deletion.lasts,
    )


def _beside_parent(case: Case, halt: Halt) -> Remedy:
    return Remedy(
        summary=(
            f"Have the containers ask another machine; or give the host a macvlan link on {halt.link} with an address "
            "of its own, and routes by it to these containers"
        ),
        verify=(sh("ip", "-d", "link", "show", "type", "macvlan"), *retry(case)),
        risk="What listens on the host for the network out there is then reached by these containers too.",
    )


def _without_policy(case: Case, halt: Halt) -> Remedy | None:
    """Deletes an IPsec policy that discards packets; one about ports is found by more than its words here."""
    read = case.snapshot.network.ipsec_policies
    policies = () if isinstance(read, Unread) else read
    policy = next((one for one in policies if describe_policy(one) == halt.at), None)
    if policy is None or not policy.blocks or policy.link is not None:
        return None
    # Older iproute2 does not ask for a mark of 0 when it deletes.
    if policy.source_port[1] or policy.destination_port[1] or (policy.mask and not policy.mark):
        return None
    words, priority = selector_of(policy), ("priority", str(policy.priority))
    return Remedy(
        summary="Delete the IPsec policy that discards them",
        now=(sh("ip", "xfrm", "policy", "delete", *words),),
        verify=("ip xfrm policy", *retry(case)),
        undo=(sh("ip", "xfrm", "policy", "add", *words, "action", "block", *priority),),
        risk=(
            "What it selects is sent unprotected, where nothing else protects it: where it is a VPN's kill switch, "
            "bring the VPN up instead. Who added it adds it again unless it is removed there too."
        ),
    )


def _by_name(case: Case, hit: Hit, code: str) -> tuple[Remedy, ...] | None:
    """What mends causes that are known by name; None for others."""
    halt = hit.halt
    if code == "container-gateway-wrong":
        return _route_again(case, hit)
    if code == "bridge-missing":
        return (bridge_again(case, hit),)
    if code == "arp-off":
        return (arp_on(case, halt),)
    if code == "arp-ignored":
        return (arp_answered(case, halt),)
    if code == "local-table-late" and (first := _local_table_first(case, halt)) is not None:
        return (first,)
    if code == "uplink-is-a-port":
        return (no_port(case, halt),)
    if code == "bridge-lost-route" and (led := _route_to_bridge(case, hit)) is not None:
        return (led,)
    if code == "ipv6-disabled" and (on := ipv6_on(case, hit)) is not None:
        return (on,)
    if code == "macvlan-parent-apart":
        return (_beside_parent(case, halt),)
    if code == "bridge-vlan-missing":
        return (into_vlan(case, halt),)
    if code == "subnet-overlap":
        return (another_subnet(case, hit),)
    if code == "duplicate-bridge-route" and (gone := without_orphan(case, hit)) is not None:
        return (gone,)
    return None


def _started_again(case: Case, hit: Hit) -> Remedy:
    return Remedy(
        summary="Start it again: the engine sets the container's namespace up anew",
        now=tuple(sh("docker", "restart", name) for name in hit.containers),
        verify=retry(case),
        risk=f"Interrupts {containers_of(hit)}. What the container itself set up, it sets up again. {FOR_GOOD}",
    )


def _route_again(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """The default route that the engine gave the containers, in the place of another."""
    again = _started_again(case, hit)
    given = _default_route(case, hit)
    if given is None:
        return (again,)
    gateway = None if hit.halt.at.startswith(NO_GATEWAY) else hit.halt.at.split()[1]
    replaced = given.do.replace(" add ", " replace ", 1)
    changes: dict[str, tuple[Change, ...]] = {}
    for one in case.containers:
        led = way_by(one, case, hit, gateway) if one.name in hit.containers else None
        if led is not None:
            route, way = led
            metric = f" metric {route.metric}" if route.metric else ""
            back = f"{replaced.rpartition(' via ')[0]} {sh(*way)}{metric}"
            changes[one.name] = (without_way(route, way) or Change(f"{replaced}{metric}", back, ""),)
    if not changes:
        return (again,)
    if all(change.do.startswith(replaced) for (change,) in changes.values()):
        return (_in_those(case, changes, "Give the container its own default route again"), again)
    by = "by that address" if gateway is not None else "that leads to no gateway"
    return (_in_those(case, changes, f"Delete the container's own route {by}"), again)


def in_container(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """What mends a container's own firewall or routes; as the other way, starts it again."""
    again = _started_again(case, hit)
    if hit.halt.netfilter is not None:
        changes = let_pass(hit.halts, subnets_of(case, hit))
        opened = _in_each(case, hit, changes, "Let these packets pass in the container's own firewall")
        return (opened, again)
    if hit.halt.kind == "no-route" and (change := _default_route(case, hit)) is not None:
        if not lacks_address(case, hit):
            on_link = subnet_route(case, hit, change.do.rpartition(" ")[2])
            if on_link is not None:
                both = "Give the container the routes to its subnet and out of it again"
                return (_in_each(case, hit, (on_link, change), both), again)
            return (_in_each(case, hit, (change,), "Give the container its default route again"), again)
        if (address := own_address(case, hit)) is not None:
            both = "Give the container its address and its default route again"
            return (_in_each(case, hit, (address, change), both), again)
    refusing = {
        one.name: (change,)
        for one in case.containers
        if one.name in hit.containers and (change := refusing_route(one, case, hit)) is not None
    }
    if len(refusing) == len(hit.containers) > 0:
        return (
            _in_those(case, refusing, "Delete the container's own route that refuses these packets"),
            again,
        )
    return (again,)


def _as_other_systems(case: Case, hit: Hit) -> Remedy:
    change = set_sysctl("net/ipv4/ip_default_ttl", "64", str(hit.halt.packet.ttl))
    return _in_each(
        case, hit, (change,), "Have the container send with the time to live that others send with"
    )


def _on_parents_network(halt: Halt) -> bool:
    """Whether a container's own macvlan or ipvlan link finds nobody at its gateway's address."""
    return halt.neighbour is not None and "failed" in halt.neighbour.state and halt.certain


def _gateway_out_there(case: Case, hit: Hit) -> Remedy:
    gateway = hit.halt.neighbour.address if hit.halt.neighbour is not None else ""
    look = in_namespace(hit.containers[0], sh("ip", "neigh", "show", gateway)) if hit.containers else ""
    return Remedy(
        summary=(
            f"Make {listed(hit.networks, 'network')} anew with a gateway that is there: "
            f"{gateway} must answer on the network that its parent link is on"
        ),
        verify=(*((look,) if look else ()), *retry(case)),
        risk="None by looking.",
    )


def _in_each(case: Case, hit: Hit, changes: tuple[Change, ...], summary: str) -> Remedy:
    return _in_those(case, dict.fromkeys(hit.containers, changes), summary)


def _in_those(case: Case, changes: Mapping[str, tuple[Change, ...]], summary: str) -> Remedy:
    """What each container gets, by its name."""
    each = [(name, change) for name, its in changes.items() for change in its]
    return Remedy(
        summary=summary,
        now=tuple(in_namespace(name, change.do) for name, change in each),
        verify=retry(case),
        undo=tuple(in_namespace(name, change.undo) for name, change in reversed(each)),
        risk=(
            "Gone when the container starts again. Who shut it in there may have meant to (a VPN's kill switch): "
            "what lasts is a change of the image or its start script."
        ),
    )


def _default_route(case: Case, hit: Hit) -> Change | None:
    """By the gateway that the engine gave the containers, where they have one in common."""
    six = hit.halt.packet.family == 6
    members = [one for one in case.containers if one.name in hit.containers]
    gateways = {end.gateway6 if six else end.gateway for one in members for end in one.endpoints} - {""}
    if len(gateways) != 1:
        return None
    tool = ("ip", "-6") if six else ("ip",)
    way = ("default", "via", gateways.pop())
    return Change(sh(*tool, "route", "add", *way), sh(*tool, "route", "del", *way), "")


def _loose(case: Case, halt: Halt) -> Remedy:
    # Of `all` and the link's own value the larger counts: 2 on the link is enough.
    key = f"net/ipv4/conf/{halt.link}/rp_filter"
    sysctls = case.snapshot.network.sysctls
    before = "1" if isinstance(sysctls, Unread) else sysctls.get(key, "1")
    change = set_sysctl(key, "2", before)
    each_start = AtEngineStart(f"rp-filter-{halt.link}", [change.do])
    return Remedy(
        summary=f"Check the source's way back on any link, not on {halt.link} alone",
        now=(change.do,),
        lasting=each_start.lines,
        verify=retry(case),
        undo=(change.undo, *each_start.undo),
        risk="Packets whose answers would leave by another link are taken in.",
    )


def _port_forwards(case: Case, halt: Halt) -> Remedy | None:
    """For a bridge port that is up, and that the bridge keeps from forwarding or apart from other ports."""
    name = halt.link or ""
    links = case.snapshot.network.links
    link = None if isinstance(links, Unread) else next((one for one in links if one.name == name), None)
    if link is None or not link.up or link.master is None or link.carrier is False:
        return None
    if halt.reason.endswith(HAIRPIN_OFF):
        state = ("hairpin", "on"), ("hairpin", "off")
    elif link.bridge_port_state not in (None, _FORWARDING):
        state = ("state", str(_FORWARDING)), ("state", str(link.bridge_port_state))
    elif link.bridge_port_isolated:
        state = ("isolated", "off"), ("isolated", "on")
    else:
        return None
    read = () if isinstance(links, Unread) else links
    master = next((one for one in read if one.index == link.master), None)
    if master is not None and master.stp and state[0][0] == "state":
        return Remedy(
            summary=f"Wait for the spanning tree of {master.name}, which takes twice its forward delay; where it keeps "
            f"{name} blocked, there is a loop that it cuts there",
            verify=(sh("bridge", "-d", "link", "show", "dev", name), *retry(case)),
            risk="None by looking. Without the spanning tree, a loop takes the whole network down.",
        )
    then, now = (sh("bridge", "link", "set", "dev", name, *words) for words in state)
    return Remedy(
        summary=f"Let the bridge port {name} forward",
        now=(then,),
        verify=(sh("bridge", "-d", "link", "show", "dev", name), *retry(case)),
        undo=(now,),
        risk="Carries traffic again. Whoever stopped it may do so again.",
    )


def _link_up(case: Case, halt: Halt) -> Remedy:
    link = halt.link or ""
    read = link_named(case, link)
    if halt.reason.endswith(WITHOUT_PORT):
        return Remedy(
            summary=f"Make the link that {link} is to send by a port of it again, as the host's network is configured",
            verify=(sh("ip", "link", "show", "master", link), *retry(case)),
            risk="None by looking. A link that becomes a port needs no address: that belongs to what it is a port of.",
        )
    if read is not None and read.up and read.carrier is False:
        return Remedy(
            summary=f"Give {link} a carrier: its cable, its switch's port, or its other end on this host or a guest",
            verify=(sh("ip", "link", "show", link), *retry(case)),
            risk="None by looking.",
        )
    bridge = next(
        (one.bridge for one in case.networks if one.bridge and f"bridge {one.bridge}" in halt.reason), None
    )
    attach = ("master", bridge) if bridge is not None and bridge != link else ()
    kept_off, undo, risk = keeping_off(case, link)
    return Remedy(
        summary=f"Set {link} up{f' and make it a port of {bridge} again' if attach else ''}",
        # A manager that still has the link may take it again at once.
        now=(*kept_off, sh("ip", "link", "set", link, *attach, "up")),
        verify=(sh("ip", "link", "show", link), *retry(case)),
        undo=(sh("ip", "link", "set", link, *(("nomaster",) if attach else ("down",))), *undo),
        risk=f"Carries traffic again. {risk}",
    )


def _missing(halt: Halt, network: Network) -> str | None:
    """The address that the containers route to and the bridge has not, with the subnet's prefix length."""
    toward = ip_address(halt.at.split()[1])
    for pool in network.pools:
        if pool.subnet and toward in (subnet := ip_network(pool.subnet, strict=False)):
            return f"{toward}/{subnet.prefixlen}"
    return None


def _bridge_address(case: Case, hit: Hit) -> Remedy | None:
    network = network_of(case, hit)
    if network is None or network.bridge is None:
        return None
    lost = hit.halt.kind == "address"
    missing = _missing(hit.halt, network) if lost else None
    address = missing or gateway_of(case, network, hit.halt.packet.family)
    if address is None:
        return None
    there = ("dev", network.bridge)
    tool = ("ip", "-6", "address") if ":" in address else ("ip", "address")
    kept_off, undo, risk = keeping_off(case, network.bridge)
    return Remedy(
        summary=f"Give {network.bridge} the address that its containers route to",
        now=(*kept_off, sh(*tool, "add", address, *there, *(("nodad",) if ":" in address else ()))),
        verify=(sh(*tool, "show", *there), *retry(case)),
        undo=(sh(*tool, "del", address, *there), *undo),
        risk=_BECOMES_GATEWAY
        if network.leaves_gateway_to_others
        else f"None beyond the traffic that it carries again. {risk}",
    )


_BECOMES_GATEWAY = (
    "The host becomes the gateway, which the network leaves to another machine (inhibit_ipv4), until the next reboot: "
    "where there is such a machine, make the link that leads to it a port of the bridge instead."
)


def _route_to_bridge(case: Case, hit: Hit) -> Remedy | None:
    """The route to a network's subnet that its bridge's address brought along."""
    network = network_of(case, hit)
    address = gateway_of(case, network, hit.halt.packet.family) if network is not None else None
    addresses, bridge = case.snapshot.network.addresses, link_named(case, network.bridge if network else None)
    if address is None or bridge is None or isinstance(addresses, Unread):
        return None
    if not any((one.link, one.address) == (bridge.index, address.partition("/")[0]) for one in addresses):
        # With the address comes the route.
        return _bridge_address(case, hit)
    change = _subnet_route(bridge.name, address)
    return Remedy(
        summary=f"Have the host's routes lead to {bridge.name} again",
        now=(change.do,),
        verify=(sh("ip", "route", "show", "table", "main"), *retry(case)),
        undo=(change.undo,),
        risk=(
            "None beyond the traffic that it carries again: the kernel makes this route with the bridge's address. "
            "Who deleted it may do so again."
        ),
    )


def _subnet_route(bridge: str, gateway: str) -> Change:
    """The route that the kernel makes for a bridge's address, which has the subnet's prefix length."""
    address, six = ip_interface(gateway), ":" in gateway
    tool = ("ip", "-6", "route") if six else ("ip", "route")
    way = (str(address.network), "dev", bridge)
    details = ("proto", "kernel", *(("metric", "256") if six else ("scope", "link", "src", str(address.ip))))
    return Change(sh(*tool, "add", *way, *details), sh(*tool, "del", *way), "")


def _and_to_bridge(case: Case, hit: Hit, remedy: Remedy | None) -> Remedy | None:
    """A remedy for answers that go astray; with the route to the bridge, where the main table has none either."""
    network = network_of(case, hit)
    bridge, routes = link_named(case, network.bridge if network else None), case.snapshot.network.routes
    address = gateway_of(case, network, hit.halt.packet.family) if network is not None else None
    if remedy is None or bridge is None or address is None or isinstance(routes, Unread):
        return remedy
    to = hit.halt.packet.addresses.destination
    led = any(
        one.table == _MAIN
        and one.family == to.version
        and to in ip_network(one.destination)
        and any(hop.link == bridge.index for hop in one.next_hops)
        for one in routes
    )
    if led or hit.directions != ("reply",):
        return remedy
    change = _subnet_route(bridge.name, address)
    return replace(
        remedy,
        summary=f"{remedy.summary}; and have the host's routes lead to {bridge.name} again",
        now=(*remedy.now, change.do),
        undo=(change.undo, *remedy.undo),
    )


def _local_table_first(case: Case, halt: Halt) -> Remedy | None:
    """Where no rule of priority 0 leads elsewhere: a new one would come after that."""
    if halt.routing_rule is not None and halt.routing_rule.priority == 0:
        return None
    way = ("lookup", "local", "priority", "0")
    add, remove = sh("ip", "rule", "add", *way), sh("ip", "rule", "del", *way)
    each_start = AtEngineStart("local-table-first", [f"{remove} 2>/dev/null; {add}"])
    return Remedy(
        summary="Have the table of the host's own addresses asked before all others, as the kernel does by default",
        now=(add,),
        lasting=each_start.lines,
        verify=(sh("ip", "rule", "show"), *retry(case)),
        undo=(remove, *each_start.undo),
        risk=(
            "What the other order was for does not hold any more: what went into a tunnel or a VRF for addresses of "
            "this host stays here. Who moved the rule may do so again."
        ),
    )


def _past_policy(case: Case, hit: Hit) -> Remedy | None:
    """The main table for one network, before the policy rules that lead it elsewhere."""
    rules = case.snapshot.network.rules
    family = hit.halt.packet.family
    subnet = next((one for one in subnets_of(case, hit) if (":" in one) == (family == 6)), None)
    if isinstance(rules, Unread) or subnet is None or not has_default(case, family):
        return None
    blamed = hit.halt.routing_rule
    if blamed is not None and blamed.table == _MAIN and blamed.action == "lookup":
        return _without_route(case, hit.halt)
    priorities = [rule.priority for rule in rules if rule.family == family and rule.priority > 1]
    first = blamed.priority if blamed is not None else min(priorities, default=0)
    if first < 2:
        return None
    tool = ("ip", "-6", "rule") if family == 6 else ("ip", "rule")
    ways: tuple[str, ...] = ("from",)
    if hit.directions == ("reply",):
        ways = ("to",)  # what they send gets where the policy leads it
    elif blamed is not None and _takes_answers(case, hit, blamed):
        ways = ("from", "to")
    whose = f"{'answers to ' if ways == ('to',) else ''}{listed(hit.networks, 'network')}"
    main = (subnet, "lookup", "main", "priority", str(first - 1))
    add = tuple(sh(*tool, "add", way, *main) for way in ways)
    remove = tuple(sh(*tool, "del", way, *main) for way in ways)
    anew = [f"{gone} 2>/dev/null; {again}" for gone, again in zip(remove, add, strict=True)]
    each_start = AtEngineStart(f"route-{'-'.join(hit.networks[:1])}", anew)
    return Remedy(
        summary=f"Let {whose} take the host's main routes, past that rule",
        now=add,
        lasting=each_start.lines,
        verify=(f"{sh(*tool, 'show')}", *retry(case)),
        undo=(*remove, *each_start.undo),
        risk=(
            "What these containers send still goes where that rule leads it."
            if ways == ("to",)
            else "What the policy was for (a VPN, say) does not hold for these containers any more."
        ),
    )


def _takes_answers(case: Case, hit: Hit, rule: RoutingRule) -> bool:
    """Whether a policy rule that takes requests takes their answers too, by the links that they come in by."""
    if case.walker is None:
        return False
    fib, asked = case.walker.world.host.router.fib, hit.halt.packet.connection.original
    return any(
        fib.lookup(
            Query(
                journey.sent_from,
                journey.flow.destination,
                in_link=journey.uplink,
                protocol=PROTOCOL_NUMBERS[journey.flow.protocol],
                source_port=asked.destination_port,
                destination_port=asked.source_port,
            )
        ).rule
        == rule
        for journey in (traced.journey for traced in hit.traced)
        if journey.sent_from is not None and journey.uplink is not None
    )


def _for_host_too(case: Case, halt: Halt) -> Remedy | None:
    """Where a route or policy rule refuses the host's own packets as well, a way past it for one network mends half."""
    refuses = halt.route.type != "unicast" if halt.route is not None else halt.routing_rule is not None
    own = [one.journey.halts[0] for one in targets(case) if one.journey.halts]
    if not refuses or all(one.at != halt.at for one in own):
        return None
    first = (
        "It refuses this host's own packets too: where it is a VPN's kill switch, bring the VPN up instead. "
    )
    if halt.route is None:
        return _without_routing_rule(halt.routing_rule, case, first)
    without = _without_route(case, halt, first)
    if without is None or not vpn_of(halt):
        return without
    return replace(without, summary="Bring the VPN up again, or delete the route where it is gone for good")


def _without_routing_rule(rule: RoutingRule | None, case: Case, first: str) -> Remedy | None:
    words = words_of_rule(rule) if rule is not None else None
    if rule is None or words is None:
        return None
    tool = ("ip", "-6", "rule") if rule.family == 6 else ("ip", "rule")
    return Remedy(
        summary="Delete the policy rule, where nobody needs it",
        now=(sh(*tool, "del", *words),),
        verify=(sh(*tool, "show"), *retry(case)),
        undo=(sh(*tool, "add", *words),),
        risk=f"{first}What it refused goes by the rules after it. Who added it will add it again unless it is removed "
        "there too.",
    )


def _without_route(case: Case, halt: Halt, first: str = "") -> Remedy | None:
    route, links = halt.route, case.snapshot.network.links
    if route is None or isinstance(links, Unread) or len(route.next_hops) > 1:
        return None
    names = {link.index: link.name for link in links}
    tool = ("ip", "-6", "route") if route.family == 6 else ("ip", "route")
    # An IPv4 route by a nexthop object that refuses is told with that type and a link, and found by neither.
    by_object = route.family == 4 and route.type != "unicast" and bool(route.next_hops)
    kind = [route.type]
    way = [route.destination]
    for hop in () if by_object else route.next_hops:
        way += ["via", hop.gateway] if hop.gateway else []
        way += ["dev", names[hop.link]] if hop.link in names else []
    way += ["table", str(route.table), *(("metric", str(route.metric)) if route.metric else ())]
    rest = [*(("proto", route.protocol) if route.protocol else ()), *_scope_and_source(route)]
    return Remedy(
        summary="Delete the route, where nobody needs it",
        now=(sh(*tool, "del", *(() if by_object else kind), *way),),
        verify=(sh(*tool, "show", "table", "all"), *retry(case)),
        undo=(sh(*tool, "add", *kind, *way, *rest),),
        risk=(
            f"{first}What it led to, or refused, goes by the other routes. Who added it will add it again unless it is "
            "removed there too; where both are needed, give the network another subnet."
        ),
    )


def _scope_and_source(route: Route) -> tuple[str, ...]:
    scope = ("scope", route.scope) if route.family == 4 and route.scope else ()
    return (*scope, *(("src", route.preferred_source) if route.preferred_source else ()))


def _to_be_seen(case: Case, halt: Halt) -> Remedy:
    shown = {
        "neighbour": "ip neigh show",
        "address": "ip address show",
        "sysctl": show_sysctl(halt.sysctl or "net"),
    }
    return Remedy(
        summary="Set right what is named here, where the host's network is configured",
        verify=(shown.get(halt.kind, "ip route show table all"), *retry(case)),
        risk="None by looking.",
    )
