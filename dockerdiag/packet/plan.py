"""Which flows to walk: whose packets, and where to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from dockerdiag.packet.flow import Flow, Source
from dockerdiag.packet.packet import IPAddress, Protocol
from dockerdiag.packet.world import World
from dockerdiag.snapshot import Container, TextFile

INTERNET = ((ip_address("1.1.1.1"), "tcp", 443), (ip_address("2606:4700:4700::1111"), "tcp", 443))


@dataclass(frozen=True, slots=True)
class Errand:
    """One flow to walk."""

    flow: Flow
    resolver: bool = False
    """Whether it goes to a resolver of the container."""


def errands(
    world: World,
    containers: Sequence[str],
    networks: Sequence[str],
    destinations: Sequence[tuple[IPAddress, Protocol, int | None]],
) -> Iterator[Errand]:
    """The flows to walk."""
    for source in _sources(world, containers, networks):
        six = _has_ipv6(source)
        for address, protocol, port in destinations or INTERNET:
            if address.version == 4 or destinations or six:
                name: Protocol = "icmpv6" if protocol == "icmp" and address.version == 6 else protocol
                yield Errand(Flow(source, address, name, port))
        if source.container is not None:
            for address in _resolvers(source.container):
                if address.version == 4 or six:
                    yield Errand(Flow(source, address, "udp", 53), resolver=True)


def _sources(world: World, containers: Sequence[str], networks: Sequence[str]) -> list[Source]:
    wanted = [
        one
        for one in world.containers
        if (one.name in containers if containers else one.state == "running" and _on(one, networks))
    ]
    if wanted:
        return [Source(container=one, members=(one,)) for one in wanted]
    return [
        Source(network=network)
        for network in world.networks
        if network.bridge and not network.internal and (not networks or network.name in networks)
    ]


def _on(container: Container, networks: Sequence[str]) -> bool:
    return not networks or any(one.network in networks for one in container.endpoints)


def _has_ipv6(source: Source) -> bool:
    if source.container is not None:
        return any(end.address6 for end in source.container.endpoints)
    return source.network is not None and source.network.ipv6


def _resolvers(container: Container) -> list[IPAddress]:
    if not isinstance(container.resolv_conf, TextFile):
        return []
    found = []
    for line in container.resolv_conf.text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                address = ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
            if not address.is_loopback:
                found.append(address)
    return found
