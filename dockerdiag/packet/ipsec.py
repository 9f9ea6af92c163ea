"""What IPsec policies make of a packet: nothing, an end, or something that is not followed."""

from collections.abc import Iterator
from typing import Literal

from dockerdiag.packet.links import Links
from dockerdiag.packet.packet import PROTOCOL_NUMBERS, Packet, PortRange, prefix
from dockerdiag.packet.routing import Obstacle
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import IpsecPolicy, NetworkNamespace, Unread

Direction = Literal["in", "out", "forward"]

_WORDS: dict[Direction, str] = {"in": "in", "out": "out", "forward": "fwd"}


def selector_of(policy: IpsecPolicy) -> tuple[str, ...]:
    """What `ip xfrm policy` names it by; not its ports."""
    words = ["src", policy.source, "dst", policy.destination]
    words += ["proto", str(policy.protocol)] if policy.protocol else []
    words += ["dir", _WORDS[policy.direction]]
    words += ["mark", f"{policy.mark:#x}", "mask", f"{policy.mask:#x}"] if policy.mask else []
    return (*words, *(("if_id", f"{policy.interface:#x}") if policy.interface else ()))


def describe_policy(policy: IpsecPolicy) -> str:
    """As iproute2 prints it."""
    return f"IPsec policy {' '.join(selector_of(policy))}"


class Ipsec:
    """The policies of one namespace."""

    def __init__(self, namespace: NetworkNamespace, links: Links) -> None:
        read = namespace.ipsec_policies
        policies = () if isinstance(read, Unread) else read
        # Of equal ones the kernel takes the oldest, which it tells first.
        self._policies = sorted(policies, key=lambda policy: policy.priority)
        self._links = links

    def obstacles(self, direction: Direction, packet: Packet, link: str | None) -> Iterator[Obstacle]:
        """What keeps a packet from going on unprotected; `link` is the one that it leaves by, or came in by."""
        for policy in self._policies:
            if policy.direction != direction or policy.family != packet.family:
                continue
            matches = self._matches(policy, packet, link)
            if matches is False:
                continue
            if matches is True and not policy.blocks and not policy.protects:
                return
            yield _obstacle(policy, packet, certain=matches is True)
            return

    def _matches(self, policy: IpsecPolicy, packet: Packet, link: str | None) -> bool | None:
        addresses = packet.addresses
        verdicts = [
            addresses.source in prefix(policy.source) if packet.source_known else None,
            addresses.destination in prefix(policy.destination) if packet.destination_known else None,
            policy.protocol in (0, PROTOCOL_NUMBERS[packet.protocol]),
            policy.link is None or self._links.name(policy.link) == link,
            _port(policy.source_port, addresses.source_port),
            _port(policy.destination_port, addresses.destination_port),
            None if packet.mark is None and policy.mask else (packet.mark or 0) & policy.mask == policy.mark,
            # What a tunnel's own link sends and takes in is for the policies of that link.
            policy.interface == 0,
        ]
        if False in verdicts:
            return False
        return None if None in verdicts else True


def _port(wanted: tuple[int, int], port: PortRange | None) -> bool | None:
    value, mask = wanted
    if mask == 0:
        return True
    if port is None:
        return value == 0
    if port.low == port.high:
        return port.low & mask == value & mask
    return False if mask == 0xFFFF and not port.low <= value <= port.high else None


def _obstacle(policy: IpsecPolicy, packet: Packet, *, certain: bool) -> Obstacle:
    at, to = describe_policy(policy), packet.addresses.destination
    if policy.blocks:
        disposition = Disposition.DROPPED if certain else Disposition.UNKNOWN
        may = "discards" if certain else "may discard"
        return Obstacle("ipsec", disposition, at, f"an {at} {may} what goes to {to}")
    if policy.direction == "out":
        reason = f"an {at} has what goes to {to} protected: whether it can be, and leads on, is not followed"
    else:
        reason = f"an {at} takes what goes to {to} only as IPsec protects it: that is not followed"
    return Obstacle("ipsec", Disposition.UNKNOWN, at, reason)
