"""Where the engine's own packets go: to the registries of the internet, or to the proxy that it uses."""

from ipaddress import IPv4Address
from urllib.parse import urlsplit

from dockerdiag.asked import DEFAULT_ADDRESSES
from dockerdiag.case import Case
from dockerdiag.configuration.settings import value_of
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.destination import Destination, DestinationError
from dockerdiag.packet.flow import Journey
from dockerdiag.packet.packet import IPAddress
from dockerdiag.report import Disposition
from dockerdiag.snapshot import Unread

PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""Of a proxy's URL without a port, as Go takes it."""
_REGISTRY_PORT = 443


@dataclass(frozen=True, slots=True)
class Target:
    """One destination, and the way there."""

    address: IPAddress
    name: str
    """In words: `the internet`, `its proxy 192.0.2.1:3128`."""
    journey: Journey
    anywhere: bool = False
    """Whether the address stands for any of the internet."""
    names: bool = False
    """Whether it is asked for names."""


def past_proxies(case: Case) -> bool:
    """Whether the running daemon's no-proxy takes every host out (`*`, as Go reads it), so that no proxy is asked."""
    value = value_of(case.settings.running("no-proxy"))
    return isinstance(value, str) and any(part.strip() == "*" for part in value.split(","))


def proxy_of(case: Case) -> str:
    """The URL of the proxy by which the running daemon pulls; empty where it has none, or that is not known."""
    if past_proxies(case):
        return ""
    for name in ("https-proxy", "http-proxy"):
        value = value_of(case.settings.running(name))
        if isinstance(value, str) and value:
            return value
    return ""


def targets(case: Case) -> tuple[Target, ...]:
    """The destinations that can be walked; none where the proxy's address is not known here."""
    proxy = proxy_of(case)
    if not proxy:
        journeys = [case.from_host(address, _REGISTRY_PORT, "tcp") for address in DEFAULT_ADDRESSES]
        ways = [one for one in journeys if one is not None]
        # Registries have addresses of both families, and whoever has no route of one asks by the other.
        chosen = next(
            (one for one in ways if one.disposition is not Disposition.NO_ROUTE), next(iter(ways), None)
        )
        return (
            (Target(chosen.flow.destination, "the internet", chosen, anywhere=True),)
            if chosen is not None
            else ()
        )
    to_proxy = ways_to(case, proxy)
    # Who finds nobody at one address tries the next.
    return next(((one,) for one in to_proxy if not one.journey.halts), to_proxy[:1])


def ways_to(case: Case, url: str) -> tuple[Target, ...]:
    """The way to each address of a proxy; none where only DNS may know them."""
    found = []
    for address, port in _addresses_of(case, url):
        journey = case.from_host(address, port, "tcp")
        if journey is not None:
            found.append(Target(address, f"its proxy {address}:{port}", journey))
    return tuple(found)


def needs_names(case: Case) -> bool:
    """Whether dockerd has to resolve names itself: a proxy resolves those of the registries."""
    proxy = proxy_of(case)
    return not proxy or not _addresses_of(case, proxy)


def _addresses_of(case: Case, url: str) -> tuple[tuple[IPAddress, int], ...]:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or PROXY_PORTS.get(parts.scheme)
        if not parts.hostname or port is None:
            return ()
    except ValueError:
        return ()
    # Names of containers are known to containers alone.
    host_alone = replace(case.snapshot, engine=Unread("not asked for names"))
    try:
        found = Destination(parts.hostname, port, "tcp").addresses(host_alone)
    except DestinationError:
        found = (IPv4Address("127.0.0.1"),) if parts.hostname == "localhost" else ()
    return tuple((address, port) for address in found)
