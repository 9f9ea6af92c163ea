"""Plain questions to rtnetlink, of the network namespace the reader is in.

pyroute2 decodes the answers. Its own sockets are left out: an event loop in each takes longer than all of the rest, and
one of them could make a namespace.
"""

import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
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
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ANSWERS = {
    RTM_NEWLINK: ifinfmsg,
    RTM_NEWADDR: ifaddrmsg,
    RTM_NEWROUTE: rtmsg,
    RTM_NEWRULE: fibmsg,
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
_LARGEST_ANSWER = 1 << 18


class Rtnetlink:
    """A socket, to be closed by `with`; every message it gives is pyroute2's."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

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
        attributes = _attribute(_RTA_DST, to)
        if source is not None:
            attributes += _attribute(_RTA_SRC, socket.inet_pton(family, source))
        if in_link is not None:
            attributes += _attribute(_RTA_IIF, struct.pack("=I", in_link))
        if mark:
            attributes += _attribute(_RTA_MARK, struct.pack("=I", mark))
        bits = 8 * len(to)
        fixed = _ROUTE.pack(family, bits, bits if source is not None else 0, 0, 0, 0, 0, 0, 0)
        self._send(RTM_GETROUTE, NLM_F_REQUEST, fixed + attributes)
        return next(self._answers())

    def _dump(self, kind: int, family: int = socket.AF_UNSPEC) -> Iterator[Any]:
        self._send(kind, NLM_F_REQUEST | NLM_F_DUMP, bytes((family,)).ljust(_LENGTHS[kind], b"\0"))
        return self._answers()

    def _send(self, kind: int, flags: int, content: bytes) -> None:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(content), kind, flags, self._sequence, 0)
        self._socket.send(header + content)

    def _answers(self) -> Iterator[Any]:
        while True:
            received = self._socket.recv(_LARGEST_ANSWER)
            offset = 0
            while offset + _HEADER.size <= len(received):
                length, kind, _, sequence, _ = _HEADER.unpack_from(received, offset)
                # Of a question before, whose answers were not all taken.
                if sequence == self._sequence:
                    if kind in (NLMSG_DONE, NLMSG_ERROR):
                        (code,) = _ERROR.unpack_from(received, offset + _HEADER.size)
                        if code < 0:
                            raise OSError(-code, os.strerror(-code))
                        return
                    message = _ANSWERS[kind](received, offset=offset)
                    message.decode()
                    yield message
                offset += -(-length // 4) * 4


def _attribute(kind: int, content: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(content), kind) + content
