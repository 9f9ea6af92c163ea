"""Where a walk goes: `HOST[:PORT][/PROTO]` as a person writes it, and the addresses that a host's own files give it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from dockerdiag.snapshot import Snapshot, TextFile, Unread

Protocol = Literal["tcp", "udp", "icmp"]

_DEFAULT_PORTS: dict[Protocol, int | None] = {"tcp": 443, "udp": 53, "icmp": None}
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "icmp": "icmp"}
_WRITTEN = re.compile(
    r"""(?: \[ (?P<six>[0-9A-Fa-f:.]+) \] | (?P<host>[^\[\]/:\s]+) | (?P<bare_six>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*) )
        (?: : (?P<port>\d{1,5}) )?
        (?: / (?P<protocol>[A-Za-z]+) )?""",
    re.VERBOSE,
)


class DestinationError(ValueError):
    """A destination that cannot be read, or a name that this host cannot resolve without asking DNS."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What was asked for: a name or an address, a protocol and, where that has ports, a port."""

    host: str
    port: int | None
    protocol: Protocol

    @classmethod
    def parse(cls, written: str) -> "Destination":
        """Reads `HOST[:PORT][/PROTO]`; an IPv6 address with a port goes in brackets.

        Raises:
            DestinationError: for anything else.
        """
        match = _WRITTEN.fullmatch(written)
        if match is None:
            raise DestinationError(f"{written!r} is not HOST[:PORT][/PROTO]")
        protocol = _PROTOCOLS.get((match["protocol"] or "tcp").lower())
        if protocol is None:
            raise DestinationError(f"{written!r}: the protocol is one of tcp, udp, icmp")
        port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[protocol]
        if match["port"] and protocol == "icmp":
            raise DestinationError(f"{written!r}: icmp has no ports")
        if port is not None and not 0 < port < 65536:
            raise DestinationError(f"{written!r}: a port is 1 to 65535")
        host = match["six"] or match["host"] or match["bare_six"]
        if match["host"] is None:
            try:
                ip_address(host)
            except ValueError as error:
                raise DestinationError(f"{written!r}: {error}") from None
        return cls(host, port, protocol)

    def addresses(self, snapshot: Snapshot) -> tuple[IPv4Address | IPv6Address, ...]:
        """Its addresses: itself, or what /etc/hosts and the engine's names give. Nothing is asked of DNS.

        Raises:
            DestinationError: where neither knows the name.
        """
        try:
            return (ip_address(self.host),)
        except ValueError:
            pass
        found = dict.fromkeys(
            (*_from_hosts_file(snapshot.hosts_file, self.host), *_from_engine(snapshot, self.host))
        )
        if not found:
            reason = "neither /etc/hosts nor the engine knows it, and DNS is not asked: give its address"
            raise DestinationError(f"{self.host!r} has no address here: {reason}")
        return tuple(found)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.protocol}" if self.port is not None else f"{host}/{self.protocol}"


def _from_hosts_file(hosts: TextFile | Unread | None, name: str) -> list[IPv4Address | IPv6Address]:
    if not isinstance(hosts, TextFile):
        return []
    found: list[IPv4Address | IPv6Address] = []
    for line in hosts.text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) > 1 and name.lower() in (alias.lower() for alias in fields[1:]):
            try:
                found.append(ip_address(fields[0]))
            except ValueError:
                continue
    return found


def _from_engine(snapshot: Snapshot, name: str) -> list[IPv4Address | IPv6Address]:
    if isinstance(snapshot.engine, Unread) or isinstance(snapshot.engine.containers, Unread):
        return []
    return [
        ip_address(address)
        for container in snapshot.engine.containers
        for endpoint in container.endpoints
        if container.name == name or name in endpoint.aliases
        for address in (endpoint.address, endpoint.address6)
        if address
    ]
