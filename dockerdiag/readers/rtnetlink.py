"""Links, addresses, routes, rules and neighbours, of the network namespace the reader is in, by rtnetlink."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

from dockerdiag.readers.messages import (
    ROUTE,
    AddressMessage,
    BridgeMessage,
    FilterMessage,
    LinkMessage,
    NeighbourMessage,
    QueueMessage,
    RouteMessage,
    RuleMessage,
)
from dockerdiag.readers.netlink import Netlink, attribute

# linux/rtnetlink.h
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
RTM_NEWRULE, RTM_GETRULE = 32, 34
RTM_NEWQDISC, RTM_GETQDISC = 36, 38
RTM_NEWTFILTER, RTM_GETTFILTER = 44, 46
_ANSWERS = {
    RTM_NEWLINK: LinkMessage,
    RTM_NEWADDR: AddressMessage,
    RTM_NEWROUTE: RouteMessage,
    RTM_NEWRULE: RuleMessage,
    RTM_NEWNEIGH: NeighbourMessage,
    RTM_NEWQDISC: QueueMessage,
    RTM_NEWTFILTER: FilterMessage,
}
_LENGTHS = {
    RTM_GETLINK: 16,
    RTM_GETADDR: 8,
    RTM_GETROUTE: 12,
    RTM_GETRULE: 12,
    RTM_GETNEIGH: 12,
    RTM_GETQDISC: 20,
}
"""Of each question's fixed part, that begins with the address family."""
_FILTER_PARENTS = (0xFFFFFFF2, 0xFFFFFFF3)
"""For what comes in, and for what goes out."""
_IFLA_EXT_MASK, _VLANS_AS_RANGES = 29, 0x4
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_MARK = 1, 2, 3, 16


class Rtnetlink(Netlink):
    """A socket, to be closed by `with`."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE, _ANSWERS)

    def links(self) -> Iterator[Any]:
        """Every link.

        Raises:
            OSError: where the kernel refuses, as all others here.
        """
        return self._dump(RTM_GETLINK)

    def bridge_vlans(self) -> Iterator[Any]:
        """Every bridge and port of one, with the VLANs that it takes part in."""
        wanted = attribute(_IFLA_EXT_MASK, struct.pack("=I", _VLANS_AS_RANGES))
        fixed = bytes((socket.AF_BRIDGE,)).ljust(_LENGTHS[RTM_GETLINK], b"\0")
        with Netlink(socket.NETLINK_ROUTE, {RTM_NEWLINK: BridgeMessage}) as apart:
            return apart.steady_dump(RTM_GETLINK, fixed + wanted)

    def queues(self) -> Iterator[Any]:
        """Every queueing discipline."""
        return self._dump(RTM_GETQDISC)

    def filters(self, link: int) -> Iterator[Any]:
        """The filters of a link that has a queueing discipline for them (ingress or clsact), by its index."""
        for parent in _FILTER_PARENTS:
            yield from self.steady_dump(RTM_GETTFILTER, struct.pack("=BxxxiIII", 0, link, 0, parent, 0))

    def addresses(self) -> Iterator[Any]:
        """Every address."""
        return self._dump(RTM_GETADDR)

    def routes(self, family: int) -> Iterator[Any]:
        """The routes of all tables."""
        return self._dump(RTM_GETROUTE, family)

    def rules(self, family: int) -> Iterator[Any]:
        """The policy rules."""
        return self._dump(RTM_GETRULE, family)

    def neighbours(self, family: int) -> Iterator[Any]:
        """The neighbour table."""
        return self._dump(RTM_GETNEIGH, family)

    def route(self, destination: str, source: str | None, in_link: int | None, mark: int) -> Any:
        """The route that a packet would take; from another host where `in_link` says by which link it came in.

        Raises:
            OSError: with the kernel's answer where there is none.
        """
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        to = socket.inet_pton(family, destination)
        attributes = attribute(_RTA_DST, to)
        if source is not None:
            attributes += attribute(_RTA_SRC, socket.inet_pton(family, source))
        if in_link is not None:
            attributes += attribute(_RTA_IIF, struct.pack("=I", in_link))
        if mark:
            attributes += attribute(_RTA_MARK, struct.pack("=I", mark))
        bits = 8 * len(to)
        fixed = ROUTE.pack(family, bits, bits if source is not None else 0, 0, 0, 0, 0, 0, 0)
        return self.ask(RTM_GETROUTE, fixed + attributes)

    def _dump(self, kind: int, family: int = socket.AF_UNSPEC) -> Iterator[Any]:
        return self.steady_dump(kind, bytes((family,)).ljust(_LENGTHS[kind], b"\0"))
