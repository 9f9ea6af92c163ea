"""What rules ask of the namespace they are in."""

from typing import Protocol

from dockerdiag.packet.packet import IPAddress, PortRange


class Surroundings(Protocol):
    """Addresses and routes of one network namespace, as matches and NAT need them. None: it is not known."""

    def address_type(self, address: IPAddress, link: str | None = None) -> str | None:
        """Type of the route to `address` (`local`, `unicast`, `broadcast` …).

        With `link`, only addresses of that link count as local or broadcast.
        """

    def route_link(
        self,
        destination: IPAddress,
        source: IPAddress | None,
        in_link: str | None,
        mark: int | None,
        protocol: int | None = None,
    ) -> str | None:
        """Name of the link a route lookup answers with, `protocol` where it names one; empty for no route."""

    def local_addresses(self, link: str) -> tuple[IPAddress, ...] | None:
        """Addresses of `link` that REDIRECT chooses from, the preferred one first."""

    def translated_source(
        self, link: str, destination: IPAddress, gateway: IPAddress | None
    ) -> IPAddress | None:
        """The address that MASQUERADE gives to what leaves by `link`, through `gateway` where there is one."""

    def link_group(self, link: str) -> int | None:
        """The group of `link` (`ip link set group`)."""

    def link_kind(self, link: str) -> str | None:
        """The kind of `link` (`bridge`, `veth` …), empty for hardware."""

    def is_listened_on(self, protocol: str, ports: PortRange, at: IPAddress | None = None) -> bool | None:
        """Whether any socket listens on one of these ports, at whatever address or at that one alone."""

    def served_queues(self) -> tuple[int, ...] | None:
        """Numbers of the queues that a program takes packets from (NFQUEUE)."""
