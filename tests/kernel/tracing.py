"""The kernel's own account of a packet's way through nftables (what `nft monitor trace` prints), over netlink."""

import socket
import struct
from dataclasses import dataclass

_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_GROUP_TRACE = 9
_MESSAGE_TRACE = 10 << 8 | 17
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_DROP = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One rule or policy that a traced packet met."""

    family: str
    table: str
    chain: str
    handle: int | None
    """None for a policy."""
    drops: bool


def listen() -> socket.socket:
    """A socket that receives the trace of this thread's namespace."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    listener.bind((0, 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    listener.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _GROUP_TRACE)
    listener.setblocking(False)
    return listener


def read_steps(listener: socket.socket) -> list[Step]:
    """What has been traced since the last call."""
    steps: list[Step] = []
    while True:
        try:
            data = listener.recv(1 << 16)
        except BlockingIOError:
            return steps
        position = 0
        while position + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, position)
            if kind == _MESSAGE_TRACE:
                step = _read_step(data[position + 20 : position + length])
                if step is not None:
                    steps.append(step)
            position += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        found[kind & 0x3FFF] = data[position + 4 : position + length]
        position += (max(length, 4) + 3) & ~3
    return found


def _read_step(data: bytes) -> Step | None:
    attributes = _attributes(data)
    family = struct.unpack("!I", attributes[15])[0] if 15 in attributes else 0
    table = attributes.get(1, b"").rstrip(b"\0").decode()
    chain = attributes.get(2, b"").rstrip(b"\0").decode()
    handle = struct.unpack("!Q", attributes[3])[0] if 3 in attributes else None
    if 5 in attributes:
        code = struct.unpack("!i", _attributes(attributes[5])[1])[0]
    elif 16 in attributes:
        code = struct.unpack("!i", attributes[16])[0]
    else:
        return None
    return Step(_FAMILIES.get(family, str(family)), table, chain, handle, drops=code == _DROP)
