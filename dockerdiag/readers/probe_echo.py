"""ICMP echo requests of any size, sent from the network namespace that the caller is in."""

import errno
import random
import socket
import struct
import time
from typing import Self

from dockerdiag.dataclass import replace
from dockerdiag.readers.probe_sockets import (
    IPAddress,
    Met,
    connected_udp,
    open_socket,
    refusal,
    said_by,
    since,
)

ECHO_SECONDS = 0.8
ATTEMPTS = 2
SMALL = 84
"""Bytes of an ordinary echo request, with its IP header."""
_SMALLER = (1492, 1480, 1472, 1460, 1450, 1420, 1400, 1380, 1350, 1300, 1280, 1200, 1000, 576)
"""MTUs that links and tunnels have, from Ethernet with PPPoE down to the least that IPv4 promises."""

# <linux/in.h>, <linux/in6.h>
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE, _IP_MTU = 10, 3, 14
_IPV6_MTU_DISCOVER, _IPV6_MTU = 23, 24
_ICMP_ECHO, _ICMP_ECHO_REPLY, _ICMP6_ECHO, _ICMP6_ECHO_REPLY = 8, 0, 128, 129


def echo(address: IPAddress, seconds: float) -> Met:
    """Sends ICMP echo requests of the ordinary size."""
    try:
        with _Echo(address) as sender:
            return sender.answered(SMALL, ATTEMPTS, seconds)
    except PermissionError:
        return Met("not-made", "this user may not send ICMP")


def path_mtu(address: IPAddress, seconds: float) -> Met:
    """Finds the largest echo request that is answered without being cut into fragments."""
    try:
        with _Echo(address) as sender:
            return _path_mtu(sender, time.monotonic() + seconds)
    except PermissionError:
        return Met("not-made", "this user may not send ICMP")


def _path_mtu(sender: "_Echo", end: float) -> Met:
    own = sender.link_mtu()
    small = sender.answered(SMALL, ATTEMPTS, end - time.monotonic())
    if small.outcome != "answered":
        return replace(small, own_mtu=own, sent=sender.sent)
    size, told = own, ""
    for _ in range(4):
        met = sender.answered(size, ATTEMPTS, end - time.monotonic())
        if met.outcome == "answered":
            detail = f"packets of {size} bytes are answered{told}"
            return replace(met, detail=detail, mtu=size, own_mtu=own, sent=sender.sent)
        if met.mtu is None or not SMALL < met.mtu < size:
            break
        size, told = met.mtu, f"; larger ones get {met.detail}"
    largest = SMALL
    for candidate in (one for one in _SMALLER if one < size):
        if sender.answered(candidate, 1, end - time.monotonic()).outcome == "answered":
            largest = candidate
            break
    detail = f"packets of {size} bytes are not answered and nobody says why, those of {largest} are"
    return Met("unanswered", detail, sender.sent, mtu=largest, own_mtu=own, port=sender.number)


class _Echo:
    """A socket for echo requests that the kernel may not cut into fragments."""

    def __init__(self, address: IPAddress) -> None:
        self._address = address
        self._six = address.version == 6
        self.number = random.randrange(1, 0xFFFF)  # noqa: S311 - tells our answers from others', and no secret
        self.sent = 0
        protocol = socket.IPPROTO_ICMPV6 if self._six else socket.IPPROTO_ICMP
        try:
            self._socket = open_socket(address, socket.SOCK_RAW, protocol)
            self.raw = True
        except PermissionError:
            self._socket = open_socket(address, socket.SOCK_DGRAM, protocol)
            self.raw = False
        if self._six:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def link_mtu(self) -> int:
        """What the link takes that the packets leave by."""
        with connected_udp(self._address, 9) as sock:
            if self._six:
                return int(sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU))
            return int(sock.getsockopt(socket.IPPROTO_IP, _IP_MTU))

    def answered(self, size: int, attempts: int, seconds: float) -> Met:
        """Whether a request of `size` bytes, with its IP header, is answered."""
        header = 40 if self._six else 20
        for _ in range(attempts):
            sequence = self.sent + 1
            kind = _ICMP6_ECHO if self._six else _ICMP_ECHO
            packet = struct.pack("!BBHHH", kind, 0, 0, self.number, sequence) + bytes(size - header - 8)
            if not self._six:
                packet = packet[:2] + struct.pack("!H", _checksum(packet)) + packet[4:]
            began = time.monotonic()
            end = began + min(seconds, ECHO_SECONDS)
            try:
                self._socket.connect((str(self._address), 0))
                self._socket.send(packet)
                self.sent += 1
                if self._reply(sequence, end):
                    return Met("answered", "echo reply", self.sent, since(began), mtu=size, port=self.number)
            except OSError as error:
                said = said_by(self._socket)
                if error.errno == errno.EMSGSIZE:
                    smaller = said.mtu if said is not None else self.link_mtu()
                    text = said.text if said is not None else "the word that they are too large"
                    return Met("unreachable", text, self.sent, mtu=smaller, port=self.number)
                return refusal(self._socket, error, self._address, "", self.sent, said)
        return Met("unanswered", "no answer", self.sent, port=self.number)

    def _reply(self, sequence: int, end: float) -> bool:
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                answer = self._socket.recv(65536)
            except TimeoutError:
                return False
            if self.raw and not self._six:
                answer = answer[(answer[0] & 15) * 4 :]
            if len(answer) < 8:
                continue
            kind, _, _, number, answered = struct.unpack("!BBHHH", answer[:8])
            is_reply = kind == (_ICMP6_ECHO_REPLY if self._six else _ICMP_ECHO_REPLY)
            # The kernel puts a number of its own into the requests of a ping socket.
            if is_reply and answered == sequence and (number == self.number or not self.raw):
                return True
        return False


def _checksum(packet: bytes) -> int:
    """RFC 1071."""
    packet += b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
