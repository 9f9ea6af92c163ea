"""Listening sockets, of the network namespace the reader is in."""

import ipaddress
import os
import struct
import sys
from collections.abc import Iterator
from typing import Literal

from dockerdiag.readers.errors import ReadError
from dockerdiag.snapshot import Listener

_TCP_LISTEN, _UDP_BOUND = "0A", "07"
_MAXIMUM_TABLE = 64 * 1024 * 1024
_PAGE = 4096
"""The smallest there is."""
_LONGEST_LINE = 512
_TABLES: tuple[tuple[str, Literal["tcp", "udp"], str], ...] = (
    ("tcp", "tcp", _TCP_LISTEN),
    ("tcp6", "tcp", _TCP_LISTEN),
    ("udp", "udp", _UDP_BOUND),
    ("udp6", "udp", _UDP_BOUND),
)


def read_listeners() -> tuple[Listener, ...]:
    """TCP sockets that listen and UDP sockets that are bound, each once.

    Raises:
        OSError: where the kernel's tables cannot be read.
        ReadError: where one is too large.
    """
    return tuple(dict.fromkeys(_all()))


def _all() -> Iterator[Listener]:
    for table, protocol, state in _TABLES:
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
