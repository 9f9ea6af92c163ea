"""Which socket of a namespace takes in a packet that has come to its address."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.packet import IPAddress, Packet
from dockerdiag.snapshot.model import Listener, NetworkNamespace, Unread


@dataclass(frozen=True, slots=True)
class Reception:
    """Whether a socket is there for a packet."""

    kind: Literal["taken", "refused", "unread"]
    text: str
    """One plain sentence without its subject's place."""


def reception(namespace: NetworkNamespace, packet: Packet) -> Reception | None:
    """Who takes in `packet`, which is for an address of `namespace`; None where no socket decides.

    Sockets that are bound to one link are not told from those that are not.
    """
    if packet.protocol not in ("tcp", "udp") or packet.addresses.destination_port is None:
        return None
    port = packet.addresses.destination_port
    destination = packet.addresses.destination
    if isinstance(namespace.listeners, Unread):
        return Reception("unread", f"who listens there could not be read: {namespace.listeners.reason}")
    if port.low != port.high or not packet.destination_known:
        return Reception("unread", "which port it is for is not known")
    at_port = [one for one in namespace.listeners if (one.protocol, one.port) == (packet.protocol, port.low)]
    for listener in sorted(at_port, key=lambda one: listens_at(one) != destination):
        if _takes(listens_at(listener), destination):
            return Reception("taken", _taken_by(listener, destination))
    where = _socket(destination, port.low)
    if not at_port:
        return Reception("refused", f"nothing listens on {where}/{packet.protocol}")
    others = ", ".join(dict.fromkeys(_socket(listens_at(one), one.port) for one in at_port))
    return Reception("refused", f"nothing listens on {where}/{packet.protocol}, only on {others}")


def listens_at(listener: Listener) -> IPAddress:
    """The address that a socket listens at."""
    address = ip_address(listener.address)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _takes(bound_to: IPAddress, destination: IPAddress) -> bool:
    if bound_to == destination:
        return True
    # A socket on :: takes IPv4 as well.
    return bound_to.is_unspecified and (bound_to.version == 6 or destination.version == 4)


def _taken_by(listener: Listener, destination: IPAddress) -> str:
    bound_to = listens_at(listener)
    text = f"{_socket(bound_to, listener.port)}/{listener.protocol} takes it in"
    if isinstance(destination, IPv4Address) and bound_to.version == 6:
        text += ", unless that socket is for IPv6 alone, which /proc does not tell"
    return text


def _socket(address: IPAddress, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
