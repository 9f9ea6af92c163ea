"""What the person at the command line wants to know."""

import contextlib
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.destination import Destination, DestinationError

DEFAULT_ADDRESSES = (ip_address("1.1.1.1"), ip_address("2606:4700:4700::1111"))
"""Where a walk goes unless somebody says: public, and in no list of bogons. Nothing is sent there."""


class AskedError(ValueError):
    """What was asked makes no sense on this host: a name that it does not know, a destination that cannot be read."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """A port that is asked for from outside: one that a container publishes, or one of the host."""

    port: int
    protocol: Literal["tcp", "udp"]

    @classmethod
    def parse(cls, written: str) -> "Inbound":
        """Reads `PORT[/PROTO]`.

        Raises:
            AskedError: for anything else.
        """
        number, _, protocol = written.partition("/")
        if not number.isascii() or not number.isdigit() or not 0 < int(number[:6]) < 65536:
            raise AskedError(f"{written!r} is not PORT[/PROTO]")
        if protocol.lower() in ("", "tcp"):
            return cls(int(number), "tcp")
        if protocol.lower() == "udp":
            return cls(int(number), "udp")
        raise AskedError(f"{written!r}: the protocol is one of tcp, udp")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person at the command line wants to know."""

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()
    inbound: Inbound | None = None
    """Walk from outside to the container instead of from it."""

    @classmethod
    def parse(
        cls, containers: Sequence[str] = (), networks: Sequence[str] = (), destinations: Sequence[str] = ()
    ) -> "Asked":
        """Reads destinations as they are written.

        Raises:
            AskedError: for one that cannot be read.
        """
        try:
            return cls(tuple(containers), tuple(networks), tuple(map(Destination.parse, destinations)))
        except DestinationError as error:
            raise AskedError(str(error)) from None

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses among the destinations, to ask the kernel about; names are known after reading only."""
        found: list[IPv4Address | IPv6Address] = []
        for destination in self.destinations:
            with contextlib.suppress(ValueError):
                found.append(ip_address(destination.host))
        return tuple(found) or DEFAULT_ADDRESSES
