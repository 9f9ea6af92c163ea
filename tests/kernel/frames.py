"""Frames made and read by hand."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

Address = IPv4Address | IPv6Address
Protocol = Literal["tcp", "udp", "icmp", "icmpv6"]
NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
NAMES: dict[int, Protocol] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}


@dataclass(frozen=True, slots=True)
class Frame:
    """One IP packet; ICMP has its identifier in both ports, and its type in `flags`."""

    protocol: Protocol
    source: Address
    destination: Address
    source_port: int
    destination_port: int
    flags: int
    sequence: int = 7

    def reply(self) -> "Frame":
        """What the other end would answer."""
        if self.protocol == "tcp":
            flags = FLAGS["syn"] | FLAGS["ack"]
        else:
            flags = {"icmp": 0, "icmpv6": 129}.get(self.protocol, 0)
        return Frame(
            self.protocol,
            self.destination,
            self.source,
            self.destination_port,
            self.source_port,
            flags,
            self.sequence,
        )


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _transport(frame: Frame) -> bytes:
    number = NUMBERS[frame.protocol]
    if frame.protocol == "tcp":
        acknowledged = frame.sequence + 1 if frame.flags & FLAGS["ack"] else 0
        head = struct.pack(
            "!HHIIBBHHH", frame.source_port, frame.destination_port, frame.sequence, acknowledged, 5 << 4,
            frame.flags, 1024, 0, 0,
        )  # fmt: skip
        place = 16
    elif frame.protocol == "udp":
        head = struct.pack("!HHHH", frame.source_port, frame.destination_port, 12, 0) + b"test"
        place = 6
    else:
        head = struct.pack("!BBHHH", frame.flags, 0, 0, frame.source_port, 1) + b"test"
        place = 2
    pseudo = b""
    if frame.protocol != "icmp":
        pseudo = frame.source.packed + frame.destination.packed
        pseudo += struct.pack("!IHBB", len(head), 0, 0, number)
    checksum = _checksum(pseudo + head)
    return head[:place] + struct.pack("!H", checksum) + head[place + 2 :]


def write(frame: Frame, source_mac: str, destination_mac: str) -> bytes:
    """The frame as it goes over the wire."""
    macs = bytes.fromhex(destination_mac.replace(":", "")) + bytes.fromhex(source_mac.replace(":", ""))
    kind = b"\x08\x00" if frame.source.version == 4 else b"\x86\xdd"
    return macs + kind + write_packet(frame)


def write_packet(frame: Frame) -> bytes:
    """The IP packet, without a link header."""
    body = _transport(frame)
    if frame.source.version == 4:
        head = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), frame.source_port, 0x4000, 64, NUMBERS[frame.protocol], 0,
            frame.source.packed, frame.destination.packed,
        )  # fmt: skip
        head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
        return head + body
    head = struct.pack(
        "!IHBB16s16s",
        6 << 28,
        len(body),
        NUMBERS[frame.protocol],
        64,
        frame.source.packed,
        frame.destination.packed,
    )
    return head + body


def read(data: bytes) -> Frame | None:
    """The packet in a frame, None where it is of another protocol."""
    return read_packet(data[14:]) if data[12:14] in (b"\x08\x00", b"\x86\xdd") else None


def read_packet(data: bytes) -> Frame | None:
    """The packet that `data` is, without a link header."""
    if data[0] >> 4 == 4:
        number, source, destination = data[9], data[12:16], data[16:20]
        body = data[(data[0] & 15) * 4 :]
    else:
        number, source, destination, body = data[6], data[8:24], data[24:40], data[40:]
    protocol = NAMES.get(number)
    if protocol is None or len(body) < 8:
        return None
    if protocol in ("icmp", "icmpv6"):
        identifier = struct.unpack("!H", body[4:6])[0]
        ports, flags = (identifier, identifier), body[0]
    else:
        ports = struct.unpack("!HH", body[:4])
        flags = body[13] if protocol == "tcp" else 0
    sequence = struct.unpack("!I", body[4:8])[0] if protocol == "tcp" else 7
    return Frame(
        protocol,
        ip_address(source),
        ip_address(destination),
        ports[0],
        ports[1],
        flags,
        sequence,
    )


def payload_length(frame: Frame) -> int:
    """Length of the IP packet."""
    body = 20 if frame.protocol == "tcp" else 12
    return body + (20 if frame.source.version == 4 else 40)
