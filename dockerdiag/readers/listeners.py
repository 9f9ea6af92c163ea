"""Listening sockets, of the network namespace the reader is in."""

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar, Literal

from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.messages import Decoders, Message
from dockerdiag.readers.modules import presence
from dockerdiag.readers.netlink import Netlink
from dockerdiag.snapshot import Listener

_TCP_LISTEN, _UDP_BOUND = "0A", "07"
_MAXIMUM_TABLE = 64 * 1024 * 1024
_PAGE = 4096
"""The smallest there is."""
_LONGEST_LINE = 512
_TCP, _UDP = ("tcp", "tcp6"), ("udp", "udp6")
# linux/sock_diag.h and inet_diag.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_QUESTION = struct.Struct("=BBxxI48x")
"""`struct inet_diag_req_v2`: family, protocol, and which states."""


class _SocketMessage(Message):
    """`struct inet_diag_msg`."""

    fixed = struct.Struct("=BBxx2s2x16s48x")
    fields = ("family", "state", "port", "address")
    decoders: ClassVar[Decoders] = {}


def read_listeners() -> tuple[Listener, ...]:
    """TCP sockets that listen and UDP sockets that are bound, each once.

    Raises:
        OSError: where the kernel's tables cannot be read.
        ReadError: where one is too large.
    """
    return tuple(dict.fromkeys((*_listening(), *_in_tables("udp", _UDP, _UDP_BOUND))))


def _listening() -> tuple[Listener, ...]:
    """TCP's: its tables hold the connections of all namespaces, of which the kernel looks at each to tell of one."""
    # To ask where it is not loaded would load it.
    if presence("tcp_diag") == "present":
        with (
            suppress(OSError),
            Netlink(_NETLINK_SOCK_DIAG, {_SOCK_DIAG_BY_FAMILY: _SocketMessage}) as netlink,
        ):
            return tuple(_asked(netlink))
    return tuple(_in_tables("tcp", _TCP, _TCP_LISTEN))


def _asked(netlink: Netlink) -> Iterator[Listener]:
    for family, length in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        question = _QUESTION.pack(family, socket.IPPROTO_TCP, 1 << int(_TCP_LISTEN, 16))
        for found in netlink.dump(_SOCK_DIAG_BY_FAMILY, question):
            address = ipaddress.ip_address(found["address"][:length])
            yield Listener("tcp", str(address), int.from_bytes(found["port"]))


def _in_tables(protocol: Literal["tcp", "udp"], tables: tuple[str, ...], state: str) -> Iterator[Listener]:
    for table in tables:
        try:
            text = _table(table)
        except FileNotFoundError:
            continue  # the kernel has no IPv6
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == state:
                address, _, port = fields[1].partition(":")
                yield Listener(protocol, _address(address), int(port, 16))


def _table(name: str) -> str:
    # thread-self: a thread or process that has entered another namespace reads that one's table.
    path = f"/proc/thread-self/net/{name}"
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    content = bytearray()
    try:
        while chunk := os.read(descriptor, _PAGE):
            content += chunk
            # The kernel gives as many whole lines as a page holds. Where one more would have fitted there is none, and
            # to ask would have it go through its table of all namespaces' connections again.
            if len(chunk) < _PAGE - _LONGEST_LINE:
                break
            if len(content) > _MAXIMUM_TABLE:
                raise ReadError(f"{path} is larger than {_MAXIMUM_TABLE // 1024} KiB")
    finally:
        os.close(descriptor)
    return content.decode(errors="replace")


def _address(written: str) -> str:
    """/proc/net writes addresses as 32-bit words in the machine's byte order."""
    words = [int(written[at : at + 8], 16) for at in range(0, len(written), 8)]
    packed = struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{len(words)}I", *words)
    return str(ipaddress.ip_address(packed))
