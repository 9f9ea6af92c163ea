"""Links, addresses, routes, policy rules, neighbours and queues as the kernel sends them by rtnetlink.

What the numbers mean is in linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h, neighbour.h and pkt_sched.h.
pyroute2 decodes them too, in ten times as long: on a host with many containers that was half of all reading, for of
hundreds of attributes a few are wanted. To import it took a tenth of a small run.
"""

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from dockerdiag.readers.netlink import ATTRIBUTE, HEADER

ROUTE = struct.Struct("=BBBBBBBBI")
_TYPE_MASK = 0x3FFF
"""Without NLA_F_NESTED and NLA_F_NET_BYTEORDER."""
_NEXT_HOP = struct.Struct("=HBBi")
_BYTE = struct.Struct("=B")
_SHORT = struct.Struct("=H")
_NUMBER = struct.Struct("=I")
_SIGNED = struct.Struct("=i")
_PORTS = struct.Struct("=HH")
_USERS = struct.Struct("=II")
_TUNNEL = struct.Struct("!Q")
_CACHE_INFO = struct.Struct("=IIiiIIII")
_TRAFFIC_CONTROL = struct.Struct("=BxxxiIII")
"""`struct tcmsg`."""
POLICE, MIRRED = "police", "mirred"
_ACTION_KIND, _ACTION_OPTIONS, _TCA_MIRRED_PARMS = 1, 2, 2
_MIRRED = struct.Struct("=24xI")
"""The link in `struct tc_mirred`."""
_FILTER_ACTIONS: Mapping[str, tuple[int, int | None]] = {
    "u32": (7, 6),
    "fw": (4, 2),
    "bpf": (1, 2),
    "basic": (3, 4),
    "flower": (3, None),
    "matchall": (2, None),
}
"""Attributes with a filter's actions and with a policer of the old kind."""
_STATISTICS = struct.Struct("=QII")
"""`struct tc_stats` up to its third field: bytes, packets, drops."""
_RTA_MULTIPATH = 9
_BRIDGE_VLAN_INFO = 2
_METRICS = {2: "RTAX_MTU"}
_OPERATIONAL_STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
"""RFC 2863's, by the kernel's numbers for them."""

Decode = Callable[[bytes, int], Any]
"""Gives an attribute's value, of a message about an address family."""
Decoders = Mapping[int, tuple[str, Decode]]


class Message(dict[str, Any]):
    """Fixed fields by their names, `header` with its flags, `attrs` by theirs, and `unknown`: numbers of the others."""

    fixed: ClassVar[struct.Struct]
    fields: ClassVar[tuple[str, ...]]
    decoders: ClassVar[Decoders]

    def __init__(self, received: bytes, offset: int = 0) -> None:
        """Takes the message that begins at `offset`; `decode` looks into it."""
        self._received, self._offset = received, offset

    def decode(self) -> None:
        """Fills it in, with those of its attributes that are known here.

        Raises:
            struct.error: where it is cut short.
        """
        received, offset = self._received, self._offset
        length, _, flags, _, _ = HEADER.unpack_from(received, offset)
        self["header"] = {"flags": flags}
        self.update(zip(self.fields, self.fixed.unpack_from(received, offset + HEADER.size), strict=True))
        start = offset + HEADER.size + self.fixed.size
        unknown: list[int] = []
        self["attrs"] = _decoded(received[start : offset + length], self["family"], self.decoders, unknown)
        self["unknown"] = tuple(unknown)


def _decoded(
    content: bytes, family: int, decoders: Decoders, unknown: list[int] | None = None
) -> dict[str, Any]:
    found = {}
    for kind, value in _attributes(content):
        known = decoders.get(kind)
        if known is not None:
            name, decode = known
            found[name] = decode(value, family)
        elif unknown is not None:
            unknown.append(kind)
    return found


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + ATTRIBUTE.size <= len(content):
        length, kind = ATTRIBUTE.unpack_from(content, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, content[offset + ATTRIBUTE.size : offset + length]
        offset += -(-length // 4) * 4


def _nested(decoders: Decoders) -> Decode:
    return lambda value, family: _decoded(value, family, decoders)


def _next_hops(content: bytes, family: int) -> Iterator[dict[str, Any]]:
    """Each `struct rtnexthop` with its attributes."""
    offset = 0
    while offset + _NEXT_HOP.size <= len(content):
        length, flags, hops, oif = _NEXT_HOP.unpack_from(content, offset)
        if length < _NEXT_HOP.size:
            return
        attributes = _decoded(
            content[offset + _NEXT_HOP.size : offset + length], family, RouteMessage.decoders
        )
        yield {"oif": oif, "hops": hops, "flags": flags, "attrs": attributes}
        offset += -(-length // 4) * 4


def _address(value: bytes, family: int) -> str:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return value.hex()
    return socket.inet_ntop(family, value)


def _scalar(kind: struct.Struct) -> Decode:
    return lambda value, _: kind.unpack_from(value)[0]


def _pair(kind: struct.Struct) -> Decode:
    return lambda value, _: kind.unpack_from(value)


_byte, _short, _number, _signed = map(_scalar, (_BYTE, _SHORT, _NUMBER, _SIGNED))


def _text(value: bytes, family: int) -> str:  # noqa: ARG001 - as all decoders
    return value.partition(b"\0")[0].decode(errors="replace")


def _hardware_address(value: bytes, family: int) -> str:  # noqa: ARG001
    return value.hex(":")


def _operational_state(value: bytes, family: int) -> str:  # noqa: ARG001
    number = value[0]
    return _OPERATIONAL_STATES[number] if number < len(_OPERATIONAL_STATES) else str(number)


def _link_information(value: bytes, family: int) -> dict[str, Any]:
    """A link's kind, and what it is by that kind, or as a port of another link by the kind of that."""
    parts = dict(_attributes(value))
    found: dict[str, Any] = {}
    for name, of_kind, content, known in (("kind", 1, 2, _OF_KIND), ("port_of", 4, 5, _AS_PORT_OF)):
        if of_kind in parts:
            found[name] = kind = _text(parts[of_kind], family)
            found[f"{name}_data"] = _decoded(parts.get(content, b""), family, known.get(kind, {}))
    return found


def _via(value: bytes, family: int) -> dict[str, Any]:  # noqa: ARG001 - it has its own
    """A gateway of another family (`struct rtvia`)."""
    own = _short(value, 0)
    return {"family": own, "addr": _address(value[_SHORT.size :], own)}


def _metrics(value: bytes, family: int) -> dict[str, int]:
    return {_METRICS[kind]: _number(one, family) for kind, one in _attributes(value) if kind in _METRICS}


def _cache_info(value: bytes, family: int) -> dict[str, int]:  # noqa: ARG001
    """Of `struct rta_cacheinfo` the errno, negative, with which an unreachable route of IPv6 is answered."""
    return {"rta_error": _CACHE_INFO.unpack_from(value)[3]}


def _queue_statistics(value: bytes, family: int) -> dict[str, int]:  # noqa: ARG001
    return {"drop": _STATISTICS.unpack_from(value)[2]}


def _bridge_vlans(value: bytes, family: int) -> list[tuple[int, int]]:  # noqa: ARG001
    """Flags and number of each VLAN, or of where a range begins and ends (`struct bridge_vlan_info`)."""
    return [_PORTS.unpack_from(one) for kind, one in _attributes(value) if kind == _BRIDGE_VLAN_INFO]


_OF_KIND: Mapping[str, Decoders] = {
    "bridge": {
        5: ("IFLA_BR_STP_STATE", _number),
        7: ("IFLA_BR_VLAN_FILTERING", _byte),
        36: ("IFLA_BR_NF_CALL_IPTABLES", _byte),
        37: ("IFLA_BR_NF_CALL_IP6TABLES", _byte),
    },
    "vlan": {1: ("IFLA_VLAN_ID", _short)},
    "vrf": {1: ("IFLA_VRF_TABLE", _number)},
}
_AS_PORT_OF: Mapping[str, Decoders] = {
    "bridge": {
        1: ("IFLA_BRPORT_STATE", _byte),
        4: ("IFLA_BRPORT_MODE", _byte),
        33: ("IFLA_BRPORT_ISOLATED", _byte),
    }
}


class LinkMessage(Message):
    """A link (RTM_NEWLINK)."""

    fixed = struct.Struct("=BxHiII")
    fields = ("family", "ifi_type", "index", "flags", "change")
    decoders: ClassVar[Decoders] = {
        1: ("IFLA_ADDRESS", _hardware_address),
        3: ("IFLA_IFNAME", _text),
        4: ("IFLA_MTU", _number),
        5: ("IFLA_LINK", _number),
        10: ("IFLA_MASTER", _number),
        16: ("IFLA_OPERSTATE", _operational_state),
        18: ("IFLA_LINKINFO", _link_information),
        27: ("IFLA_GROUP", _number),
        33: ("IFLA_CARRIER", _byte),
        37: ("IFLA_LINK_NETNSID", _signed),
    }


class BridgeMessage(Message):
    """A bridge or a port of one, as asked for by the family AF_BRIDGE (RTM_NEWLINK)."""

    fixed = LinkMessage.fixed
    fields = LinkMessage.fields
    decoders: ClassVar[Decoders] = {26: ("IFLA_AF_SPEC", _bridge_vlans)}


class AddressMessage(Message):
    """An address of a link (RTM_NEWADDR)."""

    fixed = struct.Struct("=BBBBI")
    fields = ("family", "prefixlen", "flags", "scope", "index")
    decoders: ClassVar[Decoders] = {
        1: ("IFA_ADDRESS", _address),
        2: ("IFA_LOCAL", _address),
        8: ("IFA_FLAGS", _number),
    }


class RouteMessage(Message):
    """A route (RTM_NEWROUTE)."""

    fixed = ROUTE
    fields = ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags")
    decoders: ClassVar[Decoders] = {
        1: ("RTA_DST", _address),
        2: ("RTA_SRC", _address),
        3: ("RTA_IIF", _number),
        4: ("RTA_OIF", _number),
        5: ("RTA_GATEWAY", _address),
        6: ("RTA_PRIORITY", _number),
        7: ("RTA_PREFSRC", _address),
        8: ("RTA_METRICS", _metrics),
        9: ("RTA_MULTIPATH", lambda value, family: list(_next_hops(value, family))),
        12: ("RTA_CACHEINFO", _cache_info),
        15: ("RTA_TABLE", _number),
        18: ("RTA_VIA", _via),
        21: ("RTA_ENCAP_TYPE", _short),
    }


class RuleMessage(Message):
    """A policy rule (RTM_NEWRULE)."""

    fixed = struct.Struct("=BBBBBxxBI")
    fields = ("family", "dst_len", "src_len", "tos", "table", "action", "flags")
    decoders: ClassVar[Decoders] = {
        1: ("FRA_DST", _address),
        2: ("FRA_SRC", _address),
        3: ("FRA_IIFNAME", _text),
        4: ("FRA_GOTO", _number),
        6: ("FRA_PRIORITY", _number),
        10: ("FRA_FWMARK", _number),
        11: ("FRA_FLOW", _number),
        12: ("FRA_TUN_ID", _scalar(_TUNNEL)),
        13: ("FRA_SUPPRESS_IFGROUP", _number),
        14: ("FRA_SUPPRESS_PREFIXLEN", _number),
        15: ("FRA_TABLE", _number),
        16: ("FRA_FWMASK", _number),
        17: ("FRA_OIFNAME", _text),
        18: ("FRA_PAD", _text),
        19: ("FRA_L3MDEV", _byte),
        20: ("FRA_UID_RANGE", _pair(_USERS)),
        21: ("FRA_PROTOCOL", _byte),
        22: ("FRA_IP_PROTO", _byte),
        23: ("FRA_SPORT_RANGE", _pair(_PORTS)),
        24: ("FRA_DPORT_RANGE", _pair(_PORTS)),
        # Kernels since 6.15 tell them of every rule about one port.
        28: ("FRA_SPORT_MASK", _short),
        29: ("FRA_DPORT_MASK", _short),
    }


class NeighbourMessage(Message):
    """A neighbour (RTM_NEWNEIGH)."""

    fixed = struct.Struct("=BxxxiHBB")
    fields = ("family", "ifindex", "state", "flags", "ndm_type")
    decoders: ClassVar[Decoders] = {1: ("NDA_DST", _address), 2: ("NDA_LLADDR", _hardware_address)}


class QueueMessage(Message):
    """A queueing discipline (RTM_NEWQDISC)."""

    fixed = _TRAFFIC_CONTROL
    fields = ("family", "index", "handle", "parent", "info")
    decoders: ClassVar[Decoders] = {1: ("TCA_KIND", _text), 3: ("TCA_STATS", _queue_statistics)}


def _action(parts: dict[int, bytes]) -> str:
    kind = _text(parts.get(_ACTION_KIND, b""), 0)
    told = dict(_attributes(parts.get(_ACTION_OPTIONS, b""))).get(_TCA_MIRRED_PARMS, b"")
    if kind != MIRRED or len(told) < _MIRRED.size:
        return kind
    return f"{MIRRED} {_MIRRED.unpack_from(told)[0]}"


class FilterMessage(Message):
    """A filter of traffic control (RTM_NEWTFILTER)."""

    fixed = _TRAFFIC_CONTROL
    fields = QueueMessage.fields
    decoders: ClassVar[Decoders] = {
        1: ("TCA_KIND", _text),
        2: ("TCA_OPTIONS", lambda value, _: dict(_attributes(value))),
    }

    def actions(self) -> frozenset[str]:
        """The kinds of what it does to packets, its own where it has a program for that.

        `mirred` is followed by the index of the link that packets are given to.
        """
        kind, options = self["attrs"].get("TCA_KIND", ""), self["attrs"].get("TCA_OPTIONS", {})
        actions, police = _FILTER_ACTIONS.get(kind, (None, None))
        if actions in options:
            return frozenset(_action(dict(_attributes(one))) for _, one in _attributes(options[actions]))
        return frozenset([POLICE if police in options else kind])
