"""Links, addresses, routes, rules and neighbours, of the network namespace the reader is in, by rtnetlink."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

from dockerdiag.readers.bare_package import bare_package
from dockerdiag.readers.netlink import Netlink, attribute
from dockerdiag.readers.route_message import ROUTE, RouteMessage

with bare_package("pyroute2"):
    from pyroute2.netlink.rtnl import (
        RTM_GETADDR,
        RTM_GETLINK,
        RTM_GETNEIGH,
        RTM_GETQDISC,
        RTM_GETROUTE,
        RTM_GETRULE,
        RTM_NEWADDR,
        RTM_NEWLINK,
        RTM_NEWNEIGH,
        RTM_NEWQDISC,
        RTM_NEWROUTE,
        RTM_NEWRULE,
    )
    from pyroute2.netlink.rtnl.fibmsg import fibmsg
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.tcmsg import tcmsg


class _PolicyRule(fibmsg):  # type: ignore[misc]  # pyroute2 has no types
    """With what kernels since 6.15 tell of every rule about one port."""

    nla_map = (*fibmsg.nla_map, (28, "FRA_SPORT_MASK", "uint16"), (29, "FRA_DPORT_MASK", "uint16"))


_ANSWERS = {
    RTM_NEWLINK: ifinfmsg,
    RTM_NEWADDR: ifaddrmsg,
    RTM_NEWROUTE: RouteMessage,
    RTM_NEWRULE: _PolicyRule,
    RTM_NEWNEIGH: ndmsg,
    RTM_NEWQDISC: tcmsg,
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

    def queues(self) -> Iterator[Any]:
        """Every queueing discipline."""
        return self._dump(RTM_GETQDISC)

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
