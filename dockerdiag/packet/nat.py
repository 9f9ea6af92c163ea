"""Network address translation as the kernel's NAT core does it."""

from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.packet import Connection, IPAddress, Packet, PortRange, Tuple
from dockerdiag.packet.rules import Nat
from dockerdiag.packet.truth import Unknown
from dockerdiag.packet.view import Hook, View

Manipulation = Literal["source", "destination"]


def manipulation_at(hook: Hook) -> Manipulation:
    """What NAT rewrites at a hook: destinations before routing, sources after it."""
    return "destination" if hook in ("prerouting", "output") else "source"


def translate_known_flow(packet: Packet, manipulation: Manipulation) -> Packet:
    """Rewrites a packet of a flow whose NAT was bound by its first packet."""
    connection = packet.connection
    if connection.direction == "reply":
        if manipulation == "destination" and connection.source_nat:
            back = _with_destination(packet, connection.original.source, connection.original.source_port)
            return replace(back, destination_known=True)
        if manipulation == "source" and connection.destination_nat:
            return _with_source(packet, connection.original.destination, connection.original.destination_port)
        return packet
    if connection.reply is None:
        return packet
    if manipulation == "destination" and connection.destination_nat:
        return _with_destination(packet, connection.reply.source, connection.reply.source_port)
    if manipulation == "source" and connection.source_nat:
        return _with_source(packet, connection.reply.destination, connection.reply.destination_port)
    return packet


@dataclass(frozen=True, slots=True)
class Bound:
    """What a NAT rule makes of a flow's first packet."""

    packet: Packet
    doubt: Unknown | None = None
    """Why the new destination cannot be told. A source that cannot is flagged in the packet instead."""


def bind(nat: Nat, view: View) -> Bound:
    """Binds the flow of `view`'s packet as `nat` says."""
    address, port = nat.address(view), nat.port(view)
    packet = view.packet
    known = not isinstance(address, Unknown)
    new_address = None if isinstance(address, Unknown) else address
    new_port = None if isinstance(port, Unknown) or packet.addresses.destination_port is None else port
    if nat.manipulation == "source":
        rewritten = _with_source(
            packet, new_address or packet.addresses.source, new_port or packet.addresses.source_port
        )
        rewritten = replace(rewritten, source_known=known and (address is not None or packet.source_known))
        changed = not known or rewritten.addresses != packet.addresses
        return Bound(_bound(rewritten, "source", changed))
    rewritten = _with_destination(
        packet, new_address or packet.addresses.destination, new_port or packet.addresses.destination_port
    )
    rewritten = replace(
        rewritten, destination_known=known and (address is not None or packet.destination_known)
    )
    changed = not known or rewritten.addresses != packet.addresses
    doubt = address if isinstance(address, Unknown) else port if isinstance(port, Unknown) else None
    return Bound(_bound(rewritten, "destination", changed), doubt)


def bind_to_nothing(packet: Packet, manipulation: Manipulation) -> Packet:
    """What becomes of a flow's first packet that no NAT rule wanted: no later rule will be asked."""
    return _bound(packet, manipulation, changed=False)


def _bound(packet: Packet, manipulation: Manipulation, changed: bool) -> Packet:
    connection: Connection = packet.connection
    addresses = packet.addresses
    return replace(
        packet,
        connection=replace(
            connection,
            nat_bound=connection.nat_bound | {manipulation},
            source_nat=connection.source_nat or (changed and manipulation == "source"),
            destination_nat=connection.destination_nat or (changed and manipulation == "destination"),
            reply=Tuple(
                source=addresses.destination,
                destination=addresses.source,
                source_port=addresses.destination_port,
                destination_port=addresses.source_port,
            ),
        ),
    )


def _with_source(packet: Packet, address: IPAddress, port: PortRange | None) -> Packet:
    return replace(packet, addresses=replace(packet.addresses, source=address, source_port=port))


def _with_destination(packet: Packet, address: IPAddress, port: PortRange | None) -> Packet:
    return replace(packet, addresses=replace(packet.addresses, destination=address, destination_port=port))
