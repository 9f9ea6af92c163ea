"""Routes as the kernel sends them by rtnetlink (RTM_NEWROUTE, linux/rtnetlink.h).

pyroute2 decodes them too, in ten times as long: on a host with many containers that was half of all reading, for a
namespace has a dozen routes of which nothing but a few numbers is wanted.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from dockerdiag.readers.netlink import ATTRIBUTE, HEADER

ROUTE = struct.Struct("=BBBBBBBBI")
_FIELDS = ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags")
_TYPE_MASK = 0x3FFF
"""Without NLA_F_NESTED and NLA_F_NET_BYTEORDER."""
_NEXT_HOP = struct.Struct("=HBBi")
_NUMBER = struct.Struct("=I")
_SHORT = struct.Struct("=H")
_CACHE_INFO = struct.Struct("=IIiiIIII")
_RTA_MULTIPATH = 9
_METRICS = {2: "RTAX_MTU"}


class RouteMessage(dict[str, Any]):
    """One route: its fixed fields by their names, `header` with its flags, and `attrs` by theirs."""

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
        self.update(zip(_FIELDS, ROUTE.unpack_from(received, offset + HEADER.size), strict=True))
        start = offset + HEADER.size + ROUTE.size
        self["attrs"] = _decoded(received[start : offset + length], self["family"])


def _decoded(content: bytes, family: int) -> dict[str, Any]:
    found = {}
    for kind, value in _attributes(content):
        if kind == _RTA_MULTIPATH:
            found["RTA_MULTIPATH"] = list(_next_hops(value, family))
        elif kind in _DECODERS:
            name, decode = _DECODERS[kind]
            found[name] = decode(value, family)
    return found


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + ATTRIBUTE.size <= len(content):
        length, kind = ATTRIBUTE.unpack_from(content, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, content[offset + ATTRIBUTE.size : offset + length]
        offset += -(-length // 4) * 4


def _next_hops(content: bytes, family: int) -> Iterator[dict[str, Any]]:
    """Each `struct rtnexthop` with its attributes."""
    offset = 0
    while offset + _NEXT_HOP.size <= len(content):
        length, flags, hops, oif = _NEXT_HOP.unpack_from(content, offset)
        if length < _NEXT_HOP.size:
            return
        attributes = _decoded(content[offset + _NEXT_HOP.size : offset + length], family)
        yield {"oif": oif, "hops": hops, "flags": flags, "attrs": attributes}
        offset += -(-length // 4) * 4


def _address(value: bytes, family: int) -> str:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return value.hex()
    return socket.inet_ntop(family, value)


def _number(value: bytes, family: int) -> int:  # noqa: ARG001 - as all decoders
    found: int = _NUMBER.unpack_from(value)[0]
    return found


def _short(value: bytes, family: int) -> int:  # noqa: ARG001
    found: int = _SHORT.unpack_from(value)[0]
    return found


def _via(value: bytes, family: int) -> dict[str, Any]:  # noqa: ARG001 - it has its own
    """A gateway of another family (`struct rtvia`)."""
    (own,) = _SHORT.unpack_from(value)
    return {"family": own, "addr": _address(value[_SHORT.size :], own)}


def _metrics(value: bytes, family: int) -> dict[str, int]:
    return {_METRICS[kind]: _number(one, family) for kind, one in _attributes(value) if kind in _METRICS}


def _cache_info(value: bytes, family: int) -> dict[str, int]:  # noqa: ARG001
    """Of `struct rta_cacheinfo` the errno, negative, with which an unreachable route of IPv6 is answered."""
    return {"rta_error": _CACHE_INFO.unpack_from(value)[3]}


_DECODERS: dict[int, tuple[str, Callable[[bytes, int], Any]]] = {
    1: ("RTA_DST", _address),
    2: ("RTA_SRC", _address),
    3: ("RTA_IIF", _number),
    4: ("RTA_OIF", _number),
    5: ("RTA_GATEWAY", _address),
    6: ("RTA_PRIORITY", _number),
    7: ("RTA_PREFSRC", _address),
    8: ("RTA_METRICS", _metrics),
    12: ("RTA_CACHEINFO", _cache_info),
    15: ("RTA_TABLE", _number),
    18: ("RTA_VIA", _via),
    21: ("RTA_ENCAP_TYPE", _short),
}
