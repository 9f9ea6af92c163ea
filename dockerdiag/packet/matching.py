"""What matches of both tools ask in the same way."""

from ipaddress import ip_address
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.packet import IPAddress, PortRange
from dockerdiag.packet.rules import Change, Choice, Match, Verdict
from dockerdiag.packet.truth import Truth, Unknown
from dockerdiag.packet.view import View

TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}


@dataclass(frozen=True, slots=True)
class MaskedAddress:
    """The addresses that agree with one in the bits of a mask, which need not be a prefix."""

    version: int
    bits: int
    mask: int

    def holds(self, address: IPAddress) -> bool:
        """Whether `address` is one of them."""
        return address.version == self.version and int(address) & self.mask == self.bits


def masked_address(text: str) -> MaskedAddress:
    """Reads `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/MASK`; raises ValueError."""
    address_text, _, mask_text = text.partition("/")
    address = ip_address(address_text)
    every_bit = (1 << address.max_prefixlen) - 1
    if not mask_text:
        mask = every_bit
    elif mask_text.isdigit():
        mask = every_bit ^ (every_bit >> int(mask_text))
    else:
        mask = int(ip_address(mask_text))
    return MaskedAddress(address.version, int(address) & mask, mask)


def address_match(element: MaskedAddress, source: bool, inverted: bool) -> Match:
    """A match on the source or the destination."""

    def match(view: View) -> Truth:
        address = view.source if source else view.destination
        return address if isinstance(address, Unknown) else element.holds(address) is not inverted

    return match


def changing_set(name: str) -> Change:
    """A rule's change of a set, which leaves what is listed of it in doubt for the packet that made it."""
    return Change(lambda view: replace(view.packet, changed_sets=view.packet.changed_sets | {name}))


TOS_REWRITTEN = Change(lambda view: replace(view.packet, tos=None))
"""A rule's change of the type of service, which only routing asks for."""


def tcp_flag_names(text: str) -> frozenset[str]:
    """Reads `SYN,ACK`, `ALL` or `NONE`."""
    names = text.lower()
    if names == "all":
        return frozenset({"fin", "syn", "rst", "psh", "ack", "urg"})
    return frozenset() if names == "none" else frozenset(names.split(","))


SEGMENTS = PortRange(536, 65495, "TCP segment size")
"""What a SYN announces: some size that links of at least 576 bytes make."""


def address_type(view: View, address: IPAddress | Unknown, link: str | None) -> str | Unknown:
    """The type of `address` as the kernel's address lookup has it."""
    if isinstance(address, Unknown):
        return address
    kind = view.surroundings.address_type(address, link)
    return Unknown(f"the type of address {address} is not known") if kind is None else kind


def reverse_path(
    view: View, source: IPAddress, *, loose: bool, with_mark: bool, accept_local: bool = False
) -> Truth:
    """Whether a packet to `source` would leave by the link this one came in by (loose: by any link)."""
    if view.in_name == "lo":
        return True
    mark = view.packet.mark if with_mark else 0
    if mark is None:
        return Unknown("the packet's mark, which the reverse path depends on, is not known")
    kind = address_type(view, source, None)
    # Of the two rpfilter modules, ip6t_rpfilter alone looks up with the packet's protocol.
    protocol = view.protocol_number if source.version == 6 else None
    link = view.surroundings.route_link(source, view.packet.addresses.destination, None, mark, protocol)
    if isinstance(kind, Unknown) or link is None:
        return Unknown(f"the route back to {source} is not known")
    if link == "" or (kind == "local" and not accept_local):
        return False
    return loose or link == view.in_name


def packet_type(view: View) -> str | Unknown:
    """`unicast`, `broadcast` or `multicast`, as the packet came from the wire."""
    if view.layer != "inet":
        return Unknown("whether the frame was addressed to this link is not known")
    kind = address_type(view, view.destination, None)
    if isinstance(kind, Unknown):
        return kind
    return kind if kind in ("broadcast", "multicast") else "unicast"


def queued(target: str, first: int, last: int, *, bypass: bool) -> Choice:
    """A rule that hands packets over to the programs of some queues; where none is there the kernel drops them.

    Args:
        target: What the rule's tool calls it.
        first: The number of the first queue.
        last: That of the last.
        bypass: Whether packets pass the chain where no program is there.
    """
    decided_elsewhere = Verdict("unknown", reason=f"{target}: a program in user space decides")
    nobody = Verdict("accept") if bypass else Verdict("drop", reason=_NOBODY.format(_queues(first, last)))

    def choose(view: View) -> list[tuple[Truth, Verdict]]:
        served = view.surroundings.served_queues()
        # Of several queues a hash of the packet chooses one.
        if served is None or any(first <= number <= last for number in served):
            return [(True, decided_elsewhere)]
        return [(True, nobody)]

    return Choice(choose)


_NOBODY = "this rule hands it to {}, from which no program takes it: the kernel drops it"


def _queues(first: int, last: int) -> str:
    return f"queue {first}" if first == last else f"one of the queues {first} to {last}"


def has_socket(view: View, *, of_all: bool) -> Literal[False] | Unknown:
    """Whether this namespace may have a socket for a packet, as the kernel looks for one.

    For a first packet it must listen where that is sent to; an answer's has sent the first packet. What a transparent
    proxy has taken is not walked on.

    Args:
        view: The packet.
        of_all: Whether a socket that listens at every address counts.
    """
    packet, reply = view.packet, view.packet.connection.direction == "reply"
    if packet.protocol not in ("tcp", "udp"):
        return False
    doubt = Unknown("whether a transparent proxy's socket takes the packet is not known")
    # An answer is looked for under the address that it is translated back to: by IPv4, and once it is tracked.
    translated = packet.family == 4 and view.has_connection
    if packet.locally_generated or (reply and packet.connection.source_nat and not translated):
        return doubt
    asked = packet.connection.original
    address = asked.source if reply else packet.addresses.destination
    ports = asked.source_port if reply else packet.addresses.destination_port
    if ports is None or not (reply or packet.destination_known):
        return doubt
    kind = address_type(view, address, None) if reply else "unicast"
    if isinstance(kind, Unknown) or kind == "local":
        return doubt
    listens = view.surroundings.is_listened_on(packet.protocol, ports, None if of_all else address)
    return False if listens is False else doubt


def unless_never_seen(match: Match) -> Match:
    """A match of a rule that met no packet so far: what is not known of a packet is then not what it asks for."""

    def seen(view: View) -> Truth:
        truth = match(view)
        return False if isinstance(truth, Unknown) else truth

    return seen


def nobody_listens(port: int | None) -> Match:
    """Whether no socket is there for a transparent proxy's rule; it may be asked for at any address.

    Args:
        port: The proxy's, None for the packet's own.
    """

    def match(view: View) -> Truth:
        own = view.packet.addresses.destination_port
        wanted = port if port is not None else own.low if own is not None and own.low == own.high else None
        if wanted is None or view.packet.protocol not in ("tcp", "udp"):
            return Unknown("whether a transparent proxy's socket takes the packet is not known")
        listens = view.surroundings.is_listened_on(view.packet.protocol, PortRange.one(wanted))
        if listens is None:
            return Unknown("whether a transparent proxy's socket takes the packet was not read")
        return not listens

    return match
