"""What one base chain's rules see of a packet."""

from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.packet import PROTOCOL_NUMBERS, IPAddress, Packet, PortRange
from dockerdiag.packet.surroundings import Surroundings
from dockerdiag.packet.truth import Unknown
from dockerdiag.packet.values import ABSENT, Absent

Hook = Literal["ingress", "egress", "prerouting", "input", "forward", "output", "postrouting"]
Layer = Literal["netdev", "bridge", "inet", "arp"]

IN_HOOKS = frozenset({"ingress", "prerouting", "input", "forward"})
_IP_HEADER = {4: 20, 6: 40}
_TCP_HEADER = PortRange(20, 60)
"""Of a packet that opens a connection, or answers that: it has no content."""
_UDP_HEADER = 8
"""ICMP's is as long."""
_LONGEST = 65535
OUT_HOOKS = frozenset({"egress", "forward", "output", "postrouting"})


@dataclass(frozen=True, slots=True)
class View:
    """A packet at one base chain of one hook."""

    packet: Packet
    layer: Layer
    hook: Hook
    surroundings: Surroundings
    tracked: bool | None = True
    """Whether connection tracking saw the packet before this chain: not so at prerouting's priority -300."""

    def with_packet(self, packet: Packet) -> "View":
        """The same place with `packet`."""
        return self if packet is self.packet else replace(self, packet=packet)

    @property
    def in_name(self) -> str:
        """The input interface, empty where the hook has none. Bridge rules see the port."""
        packet = self.packet
        if self.layer == "bridge":
            return packet.in_port or packet.in_link or ""
        return packet.in_link or ""

    @property
    def out_name(self) -> str:
        """The output interface, empty where the hook has none. Bridge rules see the port."""
        packet = self.packet
        if self.layer == "bridge":
            return packet.out_port or packet.out_link or ""
        return packet.out_link or ""

    @property
    def source(self) -> IPAddress | Unknown:
        """The source address."""
        if not self.packet.source_known:
            return Unknown("the source address after masquerading is not known")
        return self.packet.addresses.source

    @property
    def destination(self) -> IPAddress | Unknown:
        """The destination address."""
        if not self.packet.destination_known:
            return Unknown("a rule before this one chooses the destination in a way that cannot be foretold")
        return self.packet.addresses.destination

    @property
    def source_port(self) -> PortRange | int | Absent:
        """The source port, absent for protocols without ports."""
        return _port(self.packet.addresses.source_port)

    @property
    def destination_port(self) -> PortRange | int | Absent:
        """The destination port, absent for protocols without ports."""
        return _port(self.packet.addresses.destination_port)

    @property
    def protocol_number(self) -> int:
        """The IP protocol number."""
        return PROTOCOL_NUMBERS[self.packet.protocol]

    @property
    def length(self) -> PortRange | int:
        """The IP packet's length in bytes, or what it may be."""
        packet = self.packet
        if packet.length is not None:
            return packet.length
        header = _IP_HEADER[packet.family]
        if packet.protocol == "tcp" and "syn" in packet.tcp_flags:
            return PortRange(header + _TCP_HEADER.low, header + _TCP_HEADER.high, "packet's length")
        return PortRange(header + _UDP_HEADER, _LONGEST, "packet's length")

    @property
    def service(self) -> int | Unknown:
        """The type of service, or traffic class. Programs ask for none; networks may change it on an answer's way."""
        packet = self.packet
        if packet.tos is None or packet.connection.direction == "reply" or packet.protocol == "arp":
            return Unknown("the packet's DSCP field is not known")
        return packet.tos

    @property
    def mark(self) -> int | Unknown:
        """The packet's mark."""
        if self.packet.mark is None:
            return Unknown("a rule before this one sets the packet's mark to a value that is not known")
        return self.packet.mark

    @property
    def connection_mark(self) -> int | Unknown | Absent:
        """The connection's mark; absent where the packet belongs to no connection here."""
        state = self.connection_state
        if isinstance(state, Unknown):
            return state
        if not self.has_connection:
            return ABSENT
        mark = self.packet.connection.mark
        return Unknown("the connection's mark is not known") if mark is None else mark

    @property
    def connection_state(self) -> str | Unknown:
        """The state as conntrack matches see it here: `invalid` where no connection is attached yet."""
        state = self.packet.connection.state
        if self.packet.protocol == "arp":
            return "invalid"
        if self.layer == "bridge":
            return Unknown("whether bridged frames are tracked depends on the module nf_conntrack_bridge")
        if state == "untracked" or self.tracked:
            return state
        if self.tracked is None:
            return Unknown(
                "the chain has the priority of connection tracking itself, so their order is not known"
            )
        return "invalid"

    @property
    def has_connection(self) -> bool:
        """Whether a connection is attached to the packet here (`connection_state` must be known)."""
        return bool(self.tracked) and self.packet.connection.state not in ("untracked", "invalid")


def _port(port: PortRange | None) -> PortRange | int | Absent:
    if port is None:
        return ABSENT
    return port.low if port.low == port.high else port
