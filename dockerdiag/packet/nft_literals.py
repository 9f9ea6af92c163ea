"""Constants in nft's JSON, read as what they are compared with."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from dockerdiag.packet.matching import TCP_FLAGS
from dockerdiag.packet.truth import Unknown
from dockerdiag.packet.values import Element, Elements, Interval, NamePrefix

Json = Any
Kind = str | tuple["Kind", ...]
"""What a constant is: a name of `_SCALARS`, or the kinds of a concatenation's parts."""

CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
CT_STATUS = {
    "expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512,
}  # fmt: skip
PROTOCOLS = {
    "ip": 0, "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50,
    "ah": 51, "ipv6-icmp": 58, "icmpv6": 58, "comp": 108, "ipcomp": 108, "sctp": 132, "udplite": 136, "ospf": 89,
    "pim": 103, "vrrp": 112, "l2tp": 115,
}  # fmt: skip
SERVICE_CLASSES = {
    "df": 0, "be": 0, "lephb": 1, "va": 44, "ef": 46,
    **{f"cs{number}": 8 * number for number in range(8)},
    **{f"af{high}{low}": 8 * high + 2 * low for high in range(1, 5) for low in range(1, 4)},
}  # fmt: skip
ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
}  # fmt: skip
ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
    "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
    "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
    "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
}  # fmt: skip
ICMP_CODES = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
    "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip
ICMPV6_CODES = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5,
    "reject-route": 6,
}  # fmt: skip
ETHERTYPES = {"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "8021q": 0x8100, "8021ad": 0x88A8, "vlan": 0x8100}


def _symbolic(names: Mapping[str, int]) -> Callable[[Json], Element]:
    def read(literal: Json) -> Element:
        if isinstance(literal, str) and literal in names:
            return names[literal]
        return int(literal, 0) if isinstance(literal, str) else int(literal)

    return read


def _address(literal: Json) -> Element:
    if isinstance(literal, str) and "/" in literal:
        return ip_network(literal, strict=False)
    return ip_address(literal)


def _link_name(literal: Json) -> Element:
    if not isinstance(literal, str):
        return f"link {literal}, which is gone"
    if literal.endswith("*"):
        return NamePrefix(literal[:-1]) if not literal.endswith("\\*") else literal[:-2] + "*"
    return literal


def _link_index(literal: Json) -> Element:
    # Index 0 is no link: what a hook without one has, and a route that is not there.
    return "" if literal in (0, "0") else _link_name(literal)


def _word(literal: Json) -> Element:
    return str(literal).lower()


def _packet_type(literal: Json) -> Element:
    return "unicast" if literal in ("host", "unicast", 0) else str(literal)


def _truth_or_name(literal: Json) -> Element:
    return literal if isinstance(literal, bool) else _link_index(literal)


_SCALARS: Mapping[str, Callable[[Json], Element]] = {
    "integer": _symbolic({}),
    "mark": _symbolic({}),
    "port": _symbolic({}),
    "group": _symbolic({"default": 0}),
    "protocol": _symbolic(PROTOCOLS),
    "ct state": _symbolic(CT_STATES),
    "ct status": _symbolic(CT_STATUS),
    "tcp flags": _symbolic(TCP_FLAGS),
    "icmp type": _symbolic(ICMP_TYPES),
    "icmpv6 type": _symbolic(ICMPV6_TYPES),
    "icmp code": _symbolic(ICMP_CODES),
    "icmpv6 code": _symbolic(ICMPV6_CODES),
    "ethertype": _symbolic(ETHERTYPES),
    "address": _address,
    "link": _link_name,
    "link index": _link_index,
    "word": _word,
    "packet type": _packet_type,
    "link or existence": _truth_or_name,
    "truth": bool,
    "dscp": _symbolic(SERVICE_CLASSES),
}
FLAG_KINDS = frozenset({"ct state", "ct status", "tcp flags"})


def read_element(kind: Kind, literal: Json) -> Element:
    """One constant, range, prefix or concatenation of `kind`; unknown where it cannot be read."""
    try:
        return _read(kind, literal)
    except (ValueError, TypeError, KeyError, IndexError):
        return Unknown(f"the constant {literal!r} cannot be read")


def _read(kind: Kind, literal: Json) -> Element:
    if isinstance(literal, dict):
        if "elem" in literal:
            return _read(kind, literal["elem"]["val"])
        if "prefix" in literal:
            address, length = literal["prefix"]["addr"], literal["prefix"]["len"]
            if not isinstance(address, str):
                raise TypeError(address)
            return ip_network((address, length), strict=False)
        if "range" in literal:
            low, high = (_read(kind, end) for end in literal["range"])
            return Interval(low, high)  # type: ignore[arg-type]  # ends of a range are numbers or addresses
        if "concat" in literal:
            parts = literal["concat"]
            if not isinstance(kind, tuple) or len(parts) != len(kind):
                raise ValueError(kind)
            return tuple(_read(part_kind, part) for part_kind, part in zip(kind, parts, strict=True))
        if "|" in literal:
            return _union(kind, literal["|"])
        raise ValueError(literal)
    if isinstance(literal, list):
        return _union(kind, literal)
    if not isinstance(kind, str):
        raise TypeError(kind)
    return _SCALARS[kind](literal)


def _union(kind: Kind, literals: list[Json]) -> Element:
    bits = 0
    for literal in literals:
        bit = _read(kind, literal)
        if not isinstance(bit, int):
            raise TypeError(literal)
        bits |= bit
    return bits


_STATEFUL = frozenset({"limit", "ct count", "quota"})


def read_set(kind: Kind, elements: list[Json], stateful: bool = False) -> Elements[Json]:
    """A set of `kind`; what a found element leads to is None, or unknown where a limit guards the element."""
    doubt = Unknown("a limit guards the set's element, and how much of it is used up is not known")
    pairs: list[tuple[Element, Json]] = []
    otherwise: Json = None
    for literal in elements:
        payload = doubt if stateful or _guarded(literal) else True
        if _is_catchall(literal):
            otherwise = payload
        else:
            pairs.append((read_element(kind, literal), payload))
    return Elements(pairs, otherwise)


def read_map(kind: Kind, elements: list[Json]) -> Elements[Json]:
    """A map from `kind` to what stands in the JSON."""
    pairs: list[tuple[Element, Json]] = []
    otherwise: Json = None
    for literal in elements:
        key, data = literal
        if _is_catchall(key):
            otherwise = data
        else:
            pairs.append((read_element(kind, key), data))
    return Elements(pairs, otherwise)


def _guarded(literal: Json) -> bool:
    return isinstance(literal, dict) and "elem" in literal and not _STATEFUL.isdisjoint(literal["elem"])


def _is_catchall(literal: Json) -> bool:
    if isinstance(literal, dict) and "elem" in literal:
        literal = literal["elem"].get("val")
    return bool(literal == "*")
