"""Links, addresses, routes, policy rules and neighbours, of the network namespace the reader is in."""

import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.readers.deadline import unread_on_error
from dockerdiag.readers.messages import MIRRED, POLICE
from dockerdiag.readers.rtnetlink import Rtnetlink
from dockerdiag.snapshot import Address, BridgeVlans, Link, Neighbour, NextHop, Route, RoutingRule, Unread

Family = Literal[4, 6]
FAMILIES: tuple[tuple[int, Family], ...] = ((socket.AF_INET, 4), (socket.AF_INET6, 6))

_ANY: dict[Family, str] = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - a route's destination, nothing is bound

_IFF_UP, _IFF_LOOPBACK, _IFF_NOARP = 0x1, 0x8, 0x80
_RTM_F_CLONED = 0x200
_FIB_RULE_INVERT = 0x2
_NONE = 0xFFFFFFFF
_PVID, _RANGE_BEGIN, _RANGE_END = 0x2, 0x8, 0x10
_ROOT_QDISC = 0xFFFFFFFF
_RTN_MULTICAST, _RTN_BROADCAST = 5, 3

_ROUTE_TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_PROTOCOLS = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    9: "ra",
    11: "zebra",
    12: "bird",
    16: "dhcp",
}
_PROTOCOLS |= {186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp"}
_RULE_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_UNREAD_ATTRIBUTES = {25: "dscp", 26: "flowlabel", 27: "flowlabel", 30: "dscp"}
_WHOLE_PORT = 0xFFFF
_ENCAPSULATIONS = {
    1: "mpls",
    2: "ip",
    3: "ila",
    4: "ip6",
    5: "seg6",
    6: "bpf",
    7: "seg6local",
    8: "rpl",
    9: "ioam6",
}
_ENCAPSULATIONS |= {10: "xfrm"}
_NEXT_HOP_FLAGS = {0x1: "dead", 0x4: "onlink", 0x10: "linkdown", 0x20: "unresolved"}
_NEIGHBOUR_STATES = {
    0x00: "none",
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
_ADDRESS_FLAGS = {
    0x01: "secondary",
    0x02: "nodad",
    0x04: "optimistic",
    0x08: "dadfailed",
    0x10: "home",
    0x20: "deprecated",
    0x40: "tentative",
    0x100: "mngtmpaddr",
    0x200: "noprefixroute",
    0x400: "autojoin",
}


@dataclass(frozen=True, slots=True)
class Routing:
    """What rtnetlink tells of one network namespace."""

    links: tuple[Link, ...] | Unread
    addresses: tuple[Address, ...] | Unread
    routes: tuple[Route, ...] | Unread
    rules: tuple[RoutingRule, ...] | Unread
    neighbours: tuple[Neighbour, ...] | Unread


def read_routing() -> Routing:
    """Asks the kernel in one visit."""
    with Rtnetlink() as rtnetlink:
        return Routing(
            links=unread_on_error(partial(_links, rtnetlink)),
            addresses=unread_on_error(lambda: tuple(map(_address, rtnetlink.addresses()))),
            routes=unread_on_error(partial(_routes, rtnetlink)),
            rules=unread_on_error(partial(_rules, rtnetlink)),
            neighbours=unread_on_error(partial(_neighbours, rtnetlink)),
        )


# -- links and addresses ------------------------------------------------------------------------------------


def _links(rtnetlink: Rtnetlink) -> tuple[Link, ...]:
    queues = unread_on_error(lambda: list(rtnetlink.queues()))
    drops = {} if isinstance(queues, Unread) else _drops(queues, lambda one: one["parent"] == _ROOT_QDISC)
    filtered = {} if isinstance(queues, Unread) else _drops(queues, _is_for_filters)
    messages = list(rtnetlink.links())
    # What is over a rate is dropped at any time, by a policer or by the queue of the link that shapes.
    shaping = {POLICE, *(f"{MIRRED} {one['index']}" for one in messages if one["flags"] & _IFF_UP)}
    for index in [index for index, number in filtered.items() if number]:
        if all(message.actions() <= shaping for message in rtnetlink.filters(index)):
            del filtered[index]
    links = tuple(_link(one, drops.get(one["index"]), filtered.get(one["index"])) for one in messages)
    if not any(link.vlan_filtering for link in links):
        return links
    vlans = _bridge_vlans(rtnetlink)
    return tuple(replace(link, bridge_vlans=vlans.get(link.index)) for link in links)


def _bridge_vlans(rtnetlink: Rtnetlink) -> dict[int, BridgeVlans]:
    """By the index of the bridge or port; one without any VLAN is told too."""
    found: dict[int, BridgeVlans] = {}
    for message in rtnetlink.bridge_vlans():
        told = message["attrs"].get("IFLA_AF_SPEC", [])
        low, ranges, pvid = 0, [], None
        for flags, number in told:
            low = low if flags & _RANGE_END else number
            pvid = number if flags & _PVID else pvid
            if not flags & _RANGE_BEGIN:
                ranges.append((low, number))
        if told or message["index"] not in found:
            found[message["index"]] = BridgeVlans(tuple(ranges), pvid)
    return found


def _link(message: Any, qdisc_drops: int | None, filter_drops: int | None) -> Link:
    attributes = message["attrs"]
    information = attributes.get("IFLA_LINKINFO", {})
    data, port = information.get("kind_data", {}), information.get("port_of_data", {})
    carrier = attributes.get("IFLA_CARRIER")
    return Link(
        index=message["index"],
        name=attributes["IFLA_IFNAME"],
        kind=information.get("kind"),
        up=bool(message["flags"] & _IFF_UP),
        operstate=attributes.get("IFLA_OPERSTATE", "unknown"),
        mtu=attributes.get("IFLA_MTU", 0),
        mac=attributes.get("IFLA_ADDRESS"),
        arp=not message["flags"] & _IFF_NOARP,
        loopback=bool(message["flags"] & _IFF_LOOPBACK),
        carrier=None if carrier is None else bool(carrier),
        master=attributes.get("IFLA_MASTER"),
        peer=attributes.get("IFLA_LINK") or None,
        peer_namespace=attributes.get("IFLA_LINK_NETNSID"),
        bridge_port_state=port.get("IFLA_BRPORT_STATE"),
        bridge_port_isolated=bool(port.get("IFLA_BRPORT_ISOLATED")),
        bridge_port_hairpin=bool(port.get("IFLA_BRPORT_MODE")),
        stp=_switch(data.get("IFLA_BR_STP_STATE")),
        bridge_nf_call_iptables=_switch(data.get("IFLA_BR_NF_CALL_IPTABLES")),
        bridge_nf_call_ip6tables=_switch(data.get("IFLA_BR_NF_CALL_IP6TABLES")),
        vlan_id=data.get("IFLA_VLAN_ID"),
        vlan_filtering=_switch(data.get("IFLA_BR_VLAN_FILTERING")),
        vrf_table=data.get("IFLA_VRF_TABLE"),
        qdisc_drops=qdisc_drops,
        filter_drops=filter_drops,
        group=attributes.get("IFLA_GROUP", 0),
    )


def _switch(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _is_for_filters(message: Any) -> bool:
    return message["attrs"].get("TCA_KIND") in ("ingress", "clsact")


def _drops(queues: Iterable[Any], wanted: Callable[[Any], bool]) -> dict[int, int]:
    """By the index of the link."""
    found: dict[int, int] = {}
    for message in queues:
        statistics = message["attrs"].get("TCA_STATS")
        if statistics is not None and wanted(message):
            found[message["index"]] = statistics["drop"]
    return found


def _address(message: Any) -> Address:
    attributes = message["attrs"]
    own, far = attributes.get("IFA_LOCAL"), attributes.get("IFA_ADDRESS")
    flags = attributes.get("IFA_FLAGS") or message["flags"]
    family: Family = 4 if message["family"] == socket.AF_INET else 6
    return Address(
        link=message["index"],
        family=family,
        address=own or far,
        prefix_length=message["prefixlen"],
        scope=_SCOPES.get(message["scope"], str(message["scope"])),
        peer=far if own and far != own else None,
        # The first flag means secondary for IPv4 and temporary for IPv6.
        flags=tuple(
            "temporary" if name == "secondary" and family == 6 else name
            for bit, name in _ADDRESS_FLAGS.items()
            if flags & bit
        ),
    )


# -- routes and rules ---------------------------------------------------------------------------------------


def _routes(rtnetlink: Rtnetlink) -> tuple[Route, ...]:
    return tuple(
        _route(message, family)
        for number, family in FAMILIES
        for message in rtnetlink.routes(number)
        # A kernel without IPv6 answers with what it has. A dump can hold clones of the cache: no routes.
        if message["family"] == number and not message["flags"] & _RTM_F_CLONED
    )


def _route(message: Any, family: Family) -> Route:
    attributes = message["attrs"]
    kind = _ROUTE_TYPES.get(message["type"], str(message["type"]))
    return Route(
        family=family,
        table=attributes.get("RTA_TABLE", message["table"]),
        destination=_cidr(attributes.get("RTA_DST"), message["dst_len"], family),
        type=kind,
        next_hops=tuple(_next_hops(message, attributes)),
        metric=attributes.get("RTA_PRIORITY", 0),
        protocol=_PROTOCOLS.get(message["proto"], str(message["proto"])),
        scope=_SCOPES.get(message["scope"], str(message["scope"])),
        preferred_source=attributes.get("RTA_PREFSRC"),
        source=_cidr(attributes["RTA_SRC"], message["src_len"], family) if "RTA_SRC" in attributes else None,
        tos=message["tos"],
        mtu=attributes.get("RTA_METRICS", {}).get("RTAX_MTU"),
        encapsulation=_encapsulation(attributes),
    )


def _next_hops(message: Any, attributes: dict[str, Any]) -> Iterable[NextHop]:
    if "RTA_MULTIPATH" in attributes:
        for hop in attributes["RTA_MULTIPATH"]:
            yield NextHop(hop["oif"], gateway(hop["attrs"]), hop["hops"] + 1, _next_hop_flags(hop["flags"]))
    elif "RTA_OIF" in attributes or gateway(attributes):
        yield NextHop(attributes.get("RTA_OIF"), gateway(attributes), flags=_next_hop_flags(message["flags"]))


def _encapsulation(attributes: dict[str, Any]) -> str | None:
    ways = [attributes, *(hop["attrs"] for hop in attributes.get("RTA_MULTIPATH", ()))]
    kinds = [way["RTA_ENCAP_TYPE"] for way in ways if way.get("RTA_ENCAP_TYPE")]
    return _ENCAPSULATIONS.get(kinds[0], str(kinds[0])) if kinds else None


def gateway(attributes: dict[str, Any]) -> str | None:
    """A route's gateway, also one of the other family (RTA_VIA)."""
    via = attributes.get("RTA_VIA")
    return attributes.get("RTA_GATEWAY") or (via["addr"] if via else None)


def _next_hop_flags(flags: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _NEXT_HOP_FLAGS.items() if flags & bit)


def _cidr(address: str | None, length: int, family: Family) -> str:
    return f"{address or _ANY[family]}/{length}"


def _rules(rtnetlink: Rtnetlink) -> tuple[RoutingRule, ...]:
    return tuple(_rule(message, family) for number, family in FAMILIES for message in rtnetlink.rules(number))


def _rule(message: Any, family: Family) -> RoutingRule:
    attributes = message["attrs"]
    action = _RULE_ACTIONS.get(message["action"], str(message["action"]))
    source, destination = attributes.get("FRA_SRC"), attributes.get("FRA_DST")
    unread = dict.fromkeys(_unread(message))
    return RoutingRule(
        family=family,
        priority=attributes.get("FRA_PRIORITY", 0),
        action=action,
        table=attributes.get("FRA_TABLE", message["table"]) or None,
        invert=bool(message["flags"] & _FIB_RULE_INVERT),
        source=_cidr(source, message["src_len"], family) if source is not None else None,
        destination=_cidr(destination, message["dst_len"], family) if destination is not None else None,
        in_link=attributes.get("FRA_IIFNAME"),
        out_link=attributes.get("FRA_OIFNAME"),
        mark=attributes.get("FRA_FWMARK"),
        mask=attributes.get("FRA_FWMASK"),
        tos=message["tos"],
        protocol=attributes.get("FRA_IP_PROTO"),
        source_ports=attributes.get("FRA_SPORT_RANGE") if "sport" not in unread else None,
        destination_ports=attributes.get("FRA_DPORT_RANGE") if "dport" not in unread else None,
        user_ids=attributes.get("FRA_UID_RANGE"),
        goto=attributes.get("FRA_GOTO"),
        suppress_prefix_length=_unless_none(attributes.get("FRA_SUPPRESS_PREFIXLEN")),
        suppress_link_group=_unless_none(attributes.get("FRA_SUPPRESS_IFGROUP")),
        l3mdev=bool(attributes.get("FRA_L3MDEV")),
        tunnel_id=attributes.get("FRA_TUN_ID") or None,
        unread=tuple(unread),
    )


def _unread(message: Any) -> Iterable[str]:
    """What a rule asks for that `RoutingRule` has no field for."""
    for number in message["unknown"]:
        yield _UNREAD_ATTRIBUTES.get(number, f"attribute {number}")
    for name in ("FRA_SPORT_MASK", "FRA_DPORT_MASK"):
        if message["attrs"].get(name, _WHOLE_PORT) != _WHOLE_PORT:
            yield name[4:9].lower()


def _unless_none(value: int | None) -> int | None:
    return None if value == _NONE else value


# -- neighbours ---------------------------------------------------------------------------------------------


def _neighbours(rtnetlink: Rtnetlink) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(
            link=message["ifindex"],
            family=family,
            address=message["attrs"].get("NDA_DST"),
            mac=message["attrs"].get("NDA_LLADDR"),
            state=_NEIGHBOUR_STATES.get(message["state"], str(message["state"])),
        )
        for number, family in FAMILIES
        for message in rtnetlink.neighbours(number)
        # The kernel's own entries for multicast and broadcast say nothing of a neighbour.
        if message["family"] == number and message["ndm_type"] not in (_RTN_MULTICAST, _RTN_BROADCAST)
    )
