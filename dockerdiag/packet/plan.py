"""Whom and what to walk: the sources that a question is about, and where their packets go."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from dockerdiag.packet.alike import Likeness
from dockerdiag.packet.flow import Flow, Source
from dockerdiag.packet.packet import IPAddress, Protocol
from dockerdiag.packet.world import Terrain, World
from dockerdiag.snapshot.model import Container, Network, TextFile, Unread

DEFAULT_DESTINATIONS: tuple[IPAddress, ...] = (ip_address("1.1.1.1"), ip_address("2606:4700:4700::1111"))
DEFAULT_PORT = 443
_DNS_PORT = 53
_RUNNING = ("running", "paused", "restarting")
_UNDERLYING = ("macvlan", "ipvlan")
_FORWARDED_SERVERS = re.compile(r"#\s*ExtServers:\s*\[(.*)\]")

Wanted = tuple[IPAddress, str, int | None]
"""A destination that was asked for: address, protocol (`icmp` for either family) and port."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One walk to make."""

    flow: Flow
    resolver: bool
    """Whether it goes to one of the container's resolvers."""


def errands(
    world: World,
    containers: Sequence[str] = (),
    networks: Sequence[str] = (),
    destinations: Sequence[Wanted] = (),
) -> tuple[Errand, ...]:
    """Every walk that a question asks for.

    Args:
        world: The snapshot.
        containers: Names or beginnings of ids; these are walked whether they run or not.
        networks: Names; their running containers are walked, or a hypothetical one.
        destinations: Where to; without any to a public address, and to each source's resolvers.
    """
    return tuple(
        errand
        for source in sources(world, containers, networks)
        for errand in flows(world, source, destinations)
    )


def sources(world: World, containers: Sequence[str] = (), networks: Sequence[str] = ()) -> tuple[Source, ...]:
    """Who is to be walked, like ones once."""
    if containers:
        asked = [
            c
            for c in world.containers
            if any(c.name == w.removeprefix("/") or c.id.startswith(w) for w in containers)
        ]
        return tuple(_alike(world, asked))
    running = [container for container in world.containers if container.state in _RUNNING]
    if networks:
        on = {name: [c for c in running if any(e.network == name for e in c.endpoints)] for name in networks}
        members = list({c.id: c for found in on.values() for c in found}.values())
        empty = [n for n in world.networks if n.name in networks and not on[n.name]]
        return (*_alike(world, members), *(Source(network=network) for network in empty))
    if running:
        return tuple(_alike(world, running))
    return tuple(Source(network=network) for network in world.networks if _leads_out(network))


def _leads_out(network: Network) -> bool:
    # The way out of an overlay network is in its containers' namespaces alone.
    return not network.internal and (network.bridge is not None or network.driver in _UNDERLYING)


def _alike(world: World, containers: Iterable[Container]) -> Iterator[Source]:
    likeness = Likeness(world)
    classes: dict[object, list[Container]] = {}
    for container in containers:
        # Like ones with different resolvers are different questions.
        key = (likeness.key(container), tuple(resolvers(container)))
        classes.setdefault(key, []).append(container)
    for members in classes.values():
        terrain = world.terrain_of(members[0])
        namespace = terrain.namespace if isinstance(terrain, Terrain) else terrain
        yield Source(container=members[0], namespace=namespace, members=tuple(members))


def flows(world: World, source: Source, destinations: Sequence[Wanted] = ()) -> Iterator[Errand]:
    """Where one source's packets go."""
    if destinations:
        for address, protocol, port in destinations:
            yield Errand(Flow(source, address, _protocol(protocol, address), port), resolver=False)
        return
    four, six = DEFAULT_DESTINATIONS
    has_six = _has_ipv6(world, source)
    if not has_six or _has_ipv4(world, source):
        yield Errand(Flow(source, four, "tcp", DEFAULT_PORT), resolver=False)
    if has_six:
        yield Errand(Flow(source, six, "tcp", DEFAULT_PORT), resolver=False)
    if source.container is not None:
        for server in resolvers(source.container):
            if server.version == 4 or has_six:
                yield Errand(Flow(source, server, "udp", _DNS_PORT), resolver=True)


def resolvers(container: Container) -> tuple[IPAddress, ...]:
    """The servers that a container's own namespace sends DNS queries to.

    Behind the engine's resolver at 127.0.0.11 these are the ones that it forwards to from the container's namespace;
    those it marks `host(…)` it asks from the host's.
    """
    if not isinstance(container.resolv_conf, TextFile):
        return ()
    found: list[IPAddress] = []
    for line in container.resolv_conf.text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"]:
            found += _servers(words[1:2])
        elif (match := _FORWARDED_SERVERS.match(line)) is not None:
            found += _servers(word for word in match[1].split() if not word.startswith("host("))
    return tuple(dict.fromkeys(found))


def _servers(words: Iterable[str]) -> list[IPAddress]:
    found = []
    for word in words:
        try:
            address = ip_address(word.partition("%")[0])
        except ValueError:
            continue
        if not address.is_loopback:
            found.append(address)
    return found


def _protocol(name: str, address: IPAddress) -> Protocol:
    if name in ("icmp", "icmpv6"):
        return "icmp" if address.version == 4 else "icmpv6"
    return "udp" if name == "udp" else "tcp"


def _has_ipv6(world: World, source: Source) -> bool:
    """Whether a source has a default route or a global address of IPv6."""
    if source.container is None:
        network = source.network
        return network is not None and any(pool.subnet and ":" in pool.subnet for pool in network.pools)
    terrain = world.terrain_of(source.container)
    if isinstance(terrain, Terrain) and not isinstance(terrain.namespace.routes, Unread):
        routes = terrain.namespace.routes
        if any(r.destination == "::/0" and r.type == "unicast" and r.table == 254 for r in routes):
            return True
        if terrain is world.host:
            return False
        own = [a for name in terrain.links.by_name for a in terrain.links.addresses(name, 6) or ()]
        return any(address.scope == "global" for address in own)
    return any(endpoint.address6 for endpoint in source.container.endpoints)


def _has_ipv4(world: World, source: Source) -> bool:
    if source.container is None:
        return source.network is None or source.network.ipv4
    terrain = world.terrain_of(source.container)
    if isinstance(terrain, Terrain):
        names = [name for name in terrain.links.by_name if name != "lo"]
        return any(terrain.links.addresses(name, 4) for name in names)
    return any(endpoint.address for endpoint in source.container.endpoints)
