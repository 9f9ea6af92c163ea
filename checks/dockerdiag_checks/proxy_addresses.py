"""The proxies that a container's environment names, and what their hosts' names stand for inside it."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from dockerdiag.case import Case
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.destination import Destination, DestinationError
from dockerdiag.packet.packet import IPAddress
from dockerdiag.snapshot import Container
from dockerdiag_checks.egress_targets import PROXY_PORTS

_LOCALHOST = (ip_address("127.0.0.1"), ip_address("::1"))


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy of a container."""

    variables: tuple[str, ...]
    """The variables that name it."""
    url: str
    host: str
    port: int

    @property
    def at(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def settings_of(container: Container) -> dict[str, str]:
    """Its proxy variables that are set to something."""
    return _set(container.proxies)


def _set(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in variables.items() if value.strip()}


def unused(container: Container) -> bool:
    """Whether its no_proxy takes every host out."""
    return _unused(container.proxies)


def _unused(variables: Mapping[str, str]) -> bool:
    return any(value == "*" for name, value in _set(variables).items() if name.lower() == "no_proxy")


def proxies_of(container: Container) -> tuple[Proxy, ...]:
    """Each proxy of a container once; none whose URL cannot be read."""
    return proxies_in(container.proxies)


def proxies_in(variables: Mapping[str, str]) -> tuple[Proxy, ...]:
    """Each proxy that variables name once; none whose URL cannot be read, none where no_proxy takes every host out."""
    found: dict[tuple[str, int], list[tuple[str, str]]] = {}
    if _unused(variables):
        return ()
    for name, value in sorted(_set(variables).items(), key=lambda item: (item[0].lower(), item[0].isupper())):
        if name.lower() == "no_proxy":
            continue
        try:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            host, port = parts.hostname, parts.port or PROXY_PORTS.get(parts.scheme)
        except ValueError:
            continue
        if host and port is not None:
            found.setdefault((host, port), []).append((name, value))
    return tuple(
        Proxy(tuple(name for name, _ in named), named[0][1], host, port)
        for (host, port), named in found.items()
    )


def is_own(proxy: Proxy) -> bool:
    """Whether it is on the container's own loopback."""
    return any(one.is_loopback for one in _written(proxy.host))


def written_addresses(proxy: Proxy) -> tuple[IPAddress, ...]:
    """What its host stands for in any container; none where it is a name."""
    return _written(proxy.host)


def addresses_of(case: Case, container: Container, proxy: Proxy) -> tuple[IPAddress, ...]:
    """What its host stands for inside the container; none where only DNS may know."""
    written = _written(proxy.host)
    if written or not _knows(case, container, proxy.host):
        return written
    # The host's own file is not the container's.
    snapshot = replace(case.snapshot, hosts_file=None)
    try:
        return Destination(proxy.host, proxy.port, "tcp").addresses(snapshot, (container.name,))
    except DestinationError:
        return ()


def _written(host: str) -> tuple[IPAddress, ...]:
    if host == "localhost" or host.endswith(".localhost"):
        return _LOCALHOST
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ()
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    # Who connects to 0.0.0.0 or :: connects to itself.
    return (_LOCALHOST[address.version == 6],) if address.is_unspecified else (address,)


def _knows(case: Case, container: Container, name: str) -> bool:
    """Whether the container's own extra hosts or the engine's names on its networks have the name."""
    if any(
        written.replace("=", ":", 1).partition(":")[0].lower() == name.lower()
        for written in container.extra_hosts
    ):
        return True
    networks = {end.network for end in container.endpoints} - {"bridge"}
    return any(
        end.network in networks and (one.name == name or name in end.aliases) and end.address
        for one in case.containers
        for end in one.endpoints
    )


def spellings(container: Container) -> Iterator[tuple[str, str | None, str | None]]:
    """For each kind of variable that is set: its name, the lower-case value, the upper-case value."""
    found = settings_of(container)
    for name in sorted({one.lower() for one in found}):
        yield name, found.get(name), found.get(name.upper())
