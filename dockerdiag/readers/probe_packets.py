"""TCP connections and UDP datagrams of a probe, sent from the network namespace that the caller is in."""

import random
import socket
import struct
import time
from collections.abc import Callable

from dockerdiag.dataclass import replace
from dockerdiag.readers.probe_dns import query, read_answer
from dockerdiag.readers.probe_sockets import (
    IPAddress,
    Met,
    connected_udp,
    open_socket,
    own_port,
    refusal,
    since,
)

TCP_SECONDS = 3.0
"""Two SYN packets: the second after one second."""
UDP_SECONDS = 1.5
ATTEMPTS = 2


def connect(address: IPAddress, port: int, seconds: float) -> Met:
    """Opens a TCP connection and closes it; nothing is said over it."""
    with open_socket(address, socket.SOCK_STREAM) as sock:
        # One repetition, so that what is sent is known and little.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        sock.settimeout(min(seconds, TCP_SECONDS))
        # Before it connects, for a connection that failed has no port any more.
        sock.bind(("", 0))
        own = own_port(sock)
        began = time.monotonic()
        try:
            sock.connect((str(address), port))
        except TimeoutError:
            return Met("unanswered", "no answer", _syns(sock), port=own)
        except OSError as error:
            # A REJECT rule is a refusal to connect() too; who said so is in the error queue.
            refused = "the target refuses the connection (TCP reset)"
            return replace(refusal(sock, error, address, refused, _syns(sock)), port=own)
        return Met("answered", "connected", _syns(sock), since(began), port=own)


def ask_name(server: IPAddress, port: int, name: str, seconds: float) -> Met:
    """Asks a resolver for a name's IPv4 and IPv6 addresses over UDP; `.` asks for the root's servers.

    Each question is sent again where no answer came in time.
    """
    addresses: list[str] = []
    told: list[str] = []
    sent, met = 0, None
    for kind in ("NS",) if name == "." else ("A", "AAAA"):
        met = _one_question(server, port, name, kind, seconds)
        sent += met.sent or 0
        if met.outcome != "answered":
            return replace(met, sent=sent)
        addresses += met.addresses
        told.append(met.detail)
    assert met is not None  # noqa: S101 - there is one question at least
    detail = ", ".join(addresses) or ", ".join(dict.fromkeys(told))
    return replace(met, sent=sent, addresses=tuple(addresses), detail=detail)


def send_datagram(address: IPAddress, port: int, seconds: float) -> Met:
    """Sends empty UDP datagrams; few services answer one, so that silence says nothing."""
    with connected_udp(address, port) as sock:
        return _exchange(sock, address, b"", seconds, lambda _: Met("answered", "an answer came"))


def _one_question(server: IPAddress, port: int, name: str, kind: str, seconds: float) -> Met:
    number = random.randrange(0x10000)  # noqa: S311 - the answer is believed by nobody
    with connected_udp(server, port) as sock:
        began = time.monotonic()

        def read(answer: bytes) -> Met | None:
            told = read_answer(answer, number)
            if told is None:
                return None
            return Met("answered", told.word, None, since(began), told.addresses)

        return _exchange(sock, server, query(number, name, kind), seconds, read)


def _exchange(
    sock: socket.socket,
    address: IPAddress,
    packet: bytes,
    seconds: float,
    read: Callable[[bytes], Met | None],
) -> Met:
    sent = 0
    for _ in range(ATTEMPTS):
        end = time.monotonic() + min(seconds, UDP_SECONDS)
        try:
            sock.send(packet)
            sent += 1
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                met = read(sock.recv(65536))
                if met is not None:
                    return replace(met, sent=sent, port=own_port(sock))
        except TimeoutError:
            continue
        except OSError as error:
            return refusal(sock, error, address, "the target has no such port (ICMP port unreachable)", sent)
    return Met("unanswered", "no answer", sent, port=own_port(sock))


def _syns(sock: socket.socket) -> int | None:
    """How many SYN packets were sent (struct tcp_info: tcpi_retransmits, then tcpi_total_retrans)."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return None
    return 1 + struct.unpack_from("=I", info, 100)[0] if len(info) >= 104 else None
