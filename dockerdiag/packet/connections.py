"""What conntrack knows of a flow beyond its state."""

from dockerdiag.packet.packet import Connection, Packet, Tuple
from dockerdiag.packet.truth import Truth, Unknown

EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED = 1, 2, 4, 8
SOURCE_NAT, DESTINATION_NAT, DYING = 16, 32, 512

ICMP_PORTS = Unknown(
    "an ICMP flow has its identifier and type where others have ports, and they are not known"
)


def reply_tuple(connection: Connection) -> Tuple | Unknown:
    """The flow as its replies arrive: the mirror of its first packet unless NAT changed that."""
    if connection.reply is not None:
        return connection.reply
    if connection.source_nat or connection.destination_nat:
        return Unknown("the flow's reply addresses are not known")
    original = connection.original
    return Tuple(
        source=original.destination,
        destination=original.source,
        source_port=original.destination_port,
        destination_port=original.source_port,
    )


def status_bits(packet: Packet, bit: int) -> Truth:
    """Whether one bit of the flow's status is set."""
    connection = packet.connection
    first = connection.state in ("new", "related") and connection.direction == "original"
    if bit == SOURCE_NAT:
        return connection.source_nat
    if bit == DESTINATION_NAT:
        return connection.destination_nat
    if bit in (SEEN_REPLY, CONFIRMED):
        return not first
    if bit == EXPECTED:
        return connection.state == "related"
    # A first reply never makes a flow assured: TCP waits for the client's ACK, UDP for a stream of two seconds.
    if bit == ASSURED and not first and connection.direction == "original":
        return Unknown("whether the flow is assured yet is not known")
    return False
