"""IPsec policies, of the network namespace the reader is in. States are never asked for: they come with their keys."""

import socket
import struct
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from dockerdiag.readers.files import read_kernel_file
from dockerdiag.readers.messages import Decoders, Message
from dockerdiag.readers.netlink import Netlink
from dockerdiag.snapshot import IpsecPolicy

_SOCKETS = "/proc/thread-self/net/netlink"
_NETLINK_XFRM = 6
# linux/xfrm.h
_XFRM_MSG_NEWPOLICY, _XFRM_MSG_GETPOLICY = 19, 21
_DIRECTIONS: tuple[Literal["in", "out", "forward"], ...] = ("in", "out", "forward")
"""By the kernel's numbers; above them are those of single sockets."""
_BLOCK = 1
_TEMPLATE = struct.Struct("=16sIB3xH2x16sIBBB13x")
"""`struct xfrm_user_tmpl`."""
_OPTIONAL = 8
"""The field that tells whether packets may come without this protection."""
_MARK = struct.Struct("=II")
_INTERFACE = struct.Struct("=I")


def _templates(value: bytes, _: int) -> list[bool]:
    """Of each kind of protection that is asked for, whether it must be."""
    whole = len(value) - len(value) % _TEMPLATE.size
    return [not fields[_OPTIONAL] for fields in _TEMPLATE.iter_unpack(value[:whole])]


class _PolicyMessage(Message):
    """`struct xfrm_userpolicy_info`, from its selector on."""

    fixed = struct.Struct("=16s16s8sHBBB3xiI64x32xIIBBBB4x")
    fields = (
        *("destination", "source", "ports", "family", "destination_length", "source_length", "protocol"),
        *("link", "user", "priority", "index", "direction", "action", "flags", "share"),
    )
    decoders: ClassVar[Decoders] = {
        5: ("XFRMA_TMPL", _templates),
        21: ("XFRMA_MARK", lambda value, _: _MARK.unpack_from(value)),
        31: ("XFRMA_IF_ID", lambda value, _: _INTERFACE.unpack_from(value)[0]),
    }


def read_ipsec_policies() -> tuple[IpsecPolicy, ...]:
    """Those of the namespace; none where the kernel has not loaded what they are made with, and is not asked.

    Raises:
        OSError: where the kernel refuses.
    """
    lines = read_kernel_file(_SOCKETS).splitlines()[1:]
    if not any(int(line.split()[1]) == _NETLINK_XFRM for line in lines):
        return ()
    with Netlink(_NETLINK_XFRM, {_XFRM_MSG_NEWPOLICY: _PolicyMessage}) as netlink:
        return tuple(_policies(netlink.steady_dump(_XFRM_MSG_GETPOLICY, b"")))


def _policies(messages: Iterator[Any]) -> Iterator[IpsecPolicy]:
    for message in messages:
        # The lowest bits of an index tell the direction too.
        if message["family"] not in (socket.AF_INET, socket.AF_INET6) or message["index"] % 8 > 2:
            continue
        attributes = message["attrs"]
        mark, mask = attributes.get("XFRMA_MARK", (0, 0))
        to, to_mask, by, by_mask = struct.unpack("!HHHH", message["ports"])
        yield IpsecPolicy(
            family=4 if message["family"] == socket.AF_INET else 6,
            direction=_DIRECTIONS[message["direction"]],
            blocks=message["action"] == _BLOCK,
            source=_prefix(message, "source"),
            destination=_prefix(message, "destination"),
            priority=message["priority"],
            protocol=message["protocol"],
            source_port=(by, by_mask),
            destination_port=(to, to_mask),
            link=message["link"] or None,
            mark=mark,
            mask=mask,
            interface=attributes.get("XFRMA_IF_ID", 0),
            protects=any(attributes.get("XFRMA_TMPL", ())),
        )


def _prefix(message: Any, name: str) -> str:
    size = 4 if message["family"] == socket.AF_INET else 16
    address = socket.inet_ntop(message["family"], message[name][:size])
    return f"{address}/{message[f'{name}_length']}"
