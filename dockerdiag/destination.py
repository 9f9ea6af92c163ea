"""Where a walk goes: `HOST[:PORT][/PROTO]` as a person writes it, and the addresses that a host's own files give it."""

import contextlib
import re
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot import Container, Probe, Snapshot, TextFile, Unread

Protocol = Literal["tcp", "udp", "icmp"]

_DEFAULT_PORTS: dict[Protocol, int | None] = {"tcp": 443, "udp": 53, "icmp": None}
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "icmp": "icmp"}
_HOST_GATEWAY = "host-gateway"
_HOST_GATEWAY_OPTION = re.compile(r"""host-gateway-ips?"?[=:\s]+(\[[^\]]*\]|"?[0-9A-Fa-f:.,]+)""")
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

    def addresses(
        self, snapshot: Snapshot, asking: Collection[str] = ()
    ) -> tuple[IPv4Address | IPv6Address, ...]:
        """Its addresses: itself, or what /etc/hosts and the engine's names give, or what probes were told by DNS.

        None where DNS was asked and knows none.

        Args:
            snapshot: What the host knows.
            asking: Names of the containers that ask: their own extra hosts come first, then who is on a network of
                theirs under that name.

        Raises:
            DestinationError: where DNS was not asked and neither of the others knows the name.
        """
        try:
            return (ip_address(self.host),)
        except ValueError:
            pass
        containers = _containers(snapshot)
        asked_by = [one for one in containers if one.name in asking]
        found = dict.fromkeys(
            _from_extra_hosts(snapshot, asked_by, self.host)
            or _from_engine(containers, self.host, {end.network for one in asked_by for end in one.endpoints})
            or (*_from_hosts_file(snapshot.hosts_file, self.host), *_from_engine(containers, self.host))
        )
        asked = [] if isinstance(snapshot.probes, Unread) else [p for p in snapshot.probes if p.kind == "dns"]
        told = [one for one in asked if one.name == self.host]
        if not found and told:
            return _from_dns(told)
        if not found:
            reason = "neither /etc/hosts nor the engine knows it, and DNS is asked with --probe only: give its address"
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


def _from_dns(told: list[Probe]) -> tuple[IPv4Address | IPv6Address, ...]:
    """What each sender's first resolver that knows the name says, the first address of each family.

    The host's word counts where no container got an answer: what keeps them from it can be walked then.
    """
    by_sender: dict[str | None, tuple[str, ...]] = {}
    for one in told:
        if one.addresses:
            by_sender.setdefault(one.sender, one.addresses)
    senders: list[str | None] = [name for name in by_sender if name is not None]
    found: dict[IPv4Address | IPv6Address, None] = {}
    for name in senders or by_sender:
        addresses = [ip_address(text) for text in by_sender[name]]
        for version in (4, 6):
            found |= dict.fromkeys([one for one in addresses if one.version == version][:1])
    return tuple(found)


def _containers(snapshot: Snapshot) -> tuple[Container, ...]:
    engine = snapshot.engine
    return () if isinstance(engine, Unread) or isinstance(engine.containers, Unread) else engine.containers


def _from_engine(
    containers: Sequence[Container], name: str, networks: Collection[str] | None = None
) -> list[IPv4Address | IPv6Address]:
    """The addresses of the containers of that name or alias, on all networks or on some."""
    return [
        ip_address(address)
        for container in containers
        for endpoint in container.endpoints
        if networks is None or endpoint.network in networks
        if container.name == name or name in endpoint.aliases
        for address in (endpoint.address, endpoint.address6)
        if address
    ]


def _from_extra_hosts(
    snapshot: Snapshot, asking: Sequence[Container], name: str
) -> list[IPv4Address | IPv6Address]:
    """What `--add-host` wrote into the hosts files of these containers."""
    found: list[IPv4Address | IPv6Address] = []
    for container in asking:
        for written in container.extra_hosts:
            alias, _, address = written.replace("=", ":", 1).partition(":")
            if alias.lower() != name.lower():
                continue
            if address == _HOST_GATEWAY:
                found += _default_gateway(snapshot)
                continue
            with contextlib.suppress(ValueError):
                found.append(ip_address(address.strip("[]")))
    return found


def _default_gateway(snapshot: Snapshot) -> list[IPv4Address | IPv6Address]:
    """What `host-gateway` stands for where the daemon was not given another: the default bridge's address."""
    engine = snapshot.engine
    if isinstance(engine, Unread) or isinstance(engine.networks, Unread):
        return []
    given = _host_gateway_ips(snapshot)
    if given:
        return given
    pools = [pool for network in engine.networks if network.name == "bridge" for pool in network.pools]
    return [ip_address(pool.gateway) for pool in pools if pool.gateway]


def _host_gateway_ips(snapshot: Snapshot) -> list[IPv4Address | IPv6Address]:
    """The daemon's `--host-gateway-ip`, on its command line or in its file."""
    daemons = () if isinstance(snapshot.daemons, Unread) else snapshot.daemons
    words = [word for one in daemons if not isinstance(one.command_line, Unread) for word in one.command_line]
    text = " ".join(words)
    if isinstance(snapshot.daemon_json, TextFile):
        text += " " + snapshot.daemon_json.text
    found: list[IPv4Address | IPv6Address] = []
    for option in _HOST_GATEWAY_OPTION.findall(text):
        for address in re.findall(r"[0-9A-Fa-f:.]{2,}", option):
            with contextlib.suppress(ValueError):
                found.append(ip_address(address))
    return found
