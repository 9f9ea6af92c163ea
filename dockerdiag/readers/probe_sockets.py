"""Sockets of probes, and what their kernel says of a packet that was refused: by whom, and why."""

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot.probes import ProbeOutcome

IPAddress = IPv4Address | IPv6Address

# <linux/in.h>, <linux/in6.h>, <linux/errqueue.h>
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ERROR = struct.Struct("=IBBBBII")
_FROM_LOCAL, _FROM_ICMP, _FROM_ICMP6 = 1, 2, 3
_TOO_LARGE = ((3, 4), (2, 0))
"""ICMP type and code of `fragmentation needed` and of ICMPv6's `packet too big`."""
_ICMP_WORDS = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "administratively prohibited",
    (11, 0): "time to live exceeded",
}
_ICMP6_WORDS = {
    (1, 0): "no route",
    (1, 1): "administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (2, 0): "packet too big",
    (3, 0): "hop limit exceeded",
}


@dataclass(frozen=True, slots=True)
class Met:
    """What one probe met."""

    outcome: ProbeOutcome
    detail: str
    sent: int | None = None
    milliseconds: float | None = None
    addresses: tuple[str, ...] = ()
    mtu: int | None = None
    own_mtu: int | None = None
    offender: str | None = None
    """Who said no by ICMP."""
    port: int | None = None
    """The sender's port, or its number of an echo: what connection tracking knows it by."""


@dataclass(frozen=True, slots=True)
class Said:
    """An error that came back: from the kernel itself, or as ICMP."""

    text: str
    offender: str | None
    mtu: int | None = None


@contextmanager
def connected_udp(address: IPAddress, port: int) -> Iterator[socket.socket]:
    """A UDP socket to one address; nothing is sent by it yet."""
    with open_socket(address, socket.SOCK_DGRAM) as sock:
        # Connecting sends nothing; it makes the kernel tell of ICMP errors and of no stranger's packets.
        with contextlib.suppress(OSError):
            sock.connect((str(address), port))
        yield sock


def open_socket(address: IPAddress, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of the address's family that is told of ICMP errors."""
    six = address.version == 6
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind | socket.SOCK_CLOEXEC, protocol)
    if six:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    return sock


def refusal(
    sock: socket.socket,
    error: OSError,
    address: IPAddress,
    refused: str,
    sent: int | None,
    said: Said | None = None,
) -> Met:
    """What an error of a socket means; `refused` is what to say where the target itself says no."""
    said = said or said_by(sock)
    port = own_port(sock) if sock.type != socket.SOCK_RAW else None
    if error.errno == errno.ECONNREFUSED and (said is None or said.offender in (None, str(address))):
        return Met("refused", refused, sent, port=port)
    if said is not None and said.offender is not None:
        return Met("unreachable", said.text, sent, offender=said.offender, port=port)
    if error.errno in (errno.EPERM, errno.EACCES):
        text = "the sender's own kernel does not send it (EPERM): a rule at its output, or a prohibit route"
        return Met("unreachable", text, sent, port=port)
    code = errno.errorcode.get(error.errno or 0, str(error.errno))
    return Met("unreachable", f"{os.strerror(error.errno or 0).lower()} ({code})", sent, port=port)


def said_by(sock: socket.socket) -> Said | None:
    """The first entry of a socket's error queue."""
    try:
        _, ancillary, _, _ = sock.recvmsg(1, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except OSError:
        return None
    for _, _, data in ancillary:
        if len(data) < _ERROR.size:
            continue
        _, origin, kind, code, _, info, _ = _ERROR.unpack_from(data)
        if origin == _FROM_LOCAL:
            return Said("the word that they are too large for the link", None, info or None)
        if origin not in (_FROM_ICMP, _FROM_ICMP6):
            continue
        words = _ICMP_WORDS if origin == _FROM_ICMP else _ICMP6_WORDS
        offender = _offender(data[_ERROR.size :])
        name = "ICMP" if origin == _FROM_ICMP else "ICMPv6"
        text = f"{name} {words.get((kind, code), f'type {kind} code {code}')}"
        return Said(
            f"{text} from {offender or 'nobody known'}",
            offender,
            info if (kind, code) in _TOO_LARGE and info else None,
        )
    return None


def _offender(data: bytes) -> str | None:
    """The address in a struct sockaddr_in or sockaddr_in6."""
    if len(data) < 8:
        return None
    (family,) = struct.unpack_from("=H", data)
    if family == socket.AF_INET:
        return str(ip_address(data[4:8]))
    if family == socket.AF_INET6 and len(data) >= 24:
        return str(ip_address(data[8:24]))
    return None


def own_port(sock: socket.socket) -> int | None:
    """The port that a socket sends from."""
    try:
        return int(sock.getsockname()[1]) or None
    except OSError:
        return None


def since(began: float) -> float:
    """Milliseconds since a moment of the monotonic clock."""
    return round((time.monotonic() - began) * 1000, 1)
