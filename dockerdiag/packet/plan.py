"""Whom and what to walk: the sources that a question is about, and where their packets go."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.alike import Likeness
from dockerdiag.packet.flow import Flow, Journey, Published, Source
from dockerdiag.packet.inbound import host_address, neighbour_of, ways_outside
from dockerdiag.packet.own_rules import ADDRESS
from dockerdiag.packet.packet import IPAddress, Protocol, without_zone, zone_of
from dockerdiag.packet.walk import Walker
from dockerdiag.packet.world import Terrain, World
from dockerdiag.snapshot.model import Container, Network, PortBinding, TextFile, Unread
from dockerdiag.snapshot.resolv_conf import EMBEDDED, parse_resolv_conf

DEFAULT_DESTINATIONS: tuple[IPAddress, ...] = (ip_address("1.1.1.1"), ip_address("2606:4700:4700::1111"))
DEFAULT_PORT = 443
_DNS_PORT = 53
_RUNNING = ("running", "paused", "restarting")
_UNDERLYING = ("macvlan", "ipvlan")

Wanted = tuple[IPAddress, str, int | None]
"""A destination that was asked for: address, protocol (`icmp` for either family) and port."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One walk to make."""

    flow: Flow
    resolver: bool
    """Whether it goes to one of several resolvers, any of which will do: not to the engine's own."""


def errands(
    world: World,
    containers: Sequence[str] = (),
    networks: Sequence[str] = (),
    destinations: Sequence[Wanted] = (),
    named: Collection[IPAddress] | None = None,
) -> tuple[Errand, ...]:
    """Every walk that a question asks for.

    Args:
        world: The snapshot.
        containers: Names or beginnings of ids; these are walked whether they run or not.
        networks: Names; their running containers are walked, or a hypothetical one.
        destinations: Where to; without any to a public address, and to each source's resolvers.
        named: Those of the destinations that DNS gave for names: each source's resolvers are walked to as well, and
            IPv6 ones from those only that have IPv6. None where no name was asked of DNS.
    """
    return tuple(
        errand
        for source in sources(world, containers, networks, destinations)
        for errand in flows(world, source, destinations, named)
    )


def journeys(walker: Walker, planned: Iterable[Errand]) -> Iterator[tuple[Errand, Journey]]:
    """Makes the walks; where a rule about one container stops it, each that is like it is walked for itself."""
    for errand in planned:
        journey = walker.walk(errand.flow)
        source = errand.flow.source
        if len(source.members) == 1 or not _meets_own_rule(walker.world, journey):
            yield errand, journey
            continue
        for member in source.members:
            alone = replace(errand, flow=replace(errand.flow, source=_source(walker.world, [member])))
            yield alone, walker.walk(alone.flow)


def _meets_own_rule(world: World, journey: Journey) -> bool:
    """Whether a rule that matters to the journey names its sender's address."""
    terrain = world.terrain_of(journey.flow.source.members[0]) if journey.flow.source.members else None
    if not isinstance(terrain, Terrain):
        return False
    own = {
        a.address
        for name in terrain.links.by_name
        for f in (4, 6)
        for a in terrain.links.addresses(name, f) or ()
    }
    translating = journey.translation.rule if journey.translation is not None else None
    rules = [*(halt.rule for halt in journey.halts), *journey.shadowed_nat, translating]
    return any(match[1] in own for rule in rules if rule is not None for match in ADDRESS.finditer(rule.text))


def sources(
    world: World,
    containers: Sequence[str] = (),
    networks: Sequence[str] = (),
    destinations: Sequence[Wanted] = (),
) -> tuple[Source, ...]:
    """Who is to be walked, like ones once. Who has one of the `destinations` is like nobody else."""
    asked_for = tuple(address for address, _, _ in destinations)
    if containers:
        asked = [
            c
            for c in world.containers
            if any(c.name == w.removeprefix("/") or c.id.startswith(w) for w in containers)
        ]
        return tuple(_alike(world, asked, asked_for))
    running = [container for container in world.containers if container.state in _RUNNING]
    if networks:
        on = {name: [c for c in running if any(e.network == name for e in c.endpoints)] for name in networks}
        members = list({c.id: c for found in on.values() for c in found}.values())
        empty = [n for n in world.networks if n.name in networks and not on[n.name]]
        return (*_alike(world, members, asked_for), *(Source(network=network) for network in empty))
    if running:
        return tuple(_alike(world, running, asked_for))
    return tuple(Source(network=network) for network in world.networks if _leads_out(network))


def _leads_out(network: Network) -> bool:
    # The way out of an overlay network is in its containers' namespaces alone.
    return not network.internal and (network.bridge is not None or network.driver in _UNDERLYING)


def _alike(
    world: World, containers: Collection[Container], destinations: Iterable[IPAddress]
) -> Iterator[Source]:
    servers = [server for container in containers for server in resolvers(container)]
    likeness = Likeness(world, (*destinations, *servers))
    classes: dict[object, list[Container]] = {}
    for container in containers:
        # Like ones with different resolvers are different questions.
        key = (likeness.key(container), resolvers(container, upstream(world)), asks_engine(container))
        classes.setdefault(key, []).append(container)
    for members in classes.values():
        yield _source(world, members)


def _source(world: World, members: Sequence[Container]) -> Source:
    terrain = world.terrain_of(members[0])
    namespace = terrain.namespace if isinstance(terrain, Terrain) else terrain
    return Source(container=members[0], namespace=namespace, members=tuple(members))


def flows(
    world: World,
    source: Source,
    destinations: Sequence[Wanted] = (),
    named: Collection[IPAddress] | None = None,
) -> Iterator[Errand]:
    """Where one source's packets go; `named` as for `errands`."""
    has_six = _has_ipv6(world, source)
    if destinations or named is not None:
        for address, protocol, port in destinations:
            if address.version == 4 or has_six or address not in (named or ()):
                yield Errand(Flow(source, address, _protocol(protocol, address), port), resolver=False)
        if named is not None:
            yield from _to_resolvers(world, source, has_six)
        return
    four, six = DEFAULT_DESTINATIONS
    if not has_six or _has_ipv4(world, source):
        yield Errand(Flow(source, four, "tcp", DEFAULT_PORT), resolver=False)
    if has_six:
        yield Errand(Flow(source, six, "tcp", DEFAULT_PORT), resolver=False)
    yield from _to_resolvers(world, source, has_six)


def _to_resolvers(world: World, source: Source, has_six: bool) -> Iterator[Errand]:
    if source.container is not None:
        if asks_engine(source.container) and source.namespace is not None:
            yield Errand(Flow(source, EMBEDDED, "udp", _DNS_PORT), resolver=False)
        for server in resolvers(source.container, upstream(world)):
            if server.version == 4 or has_six or server.is_loopback:
                flow = Flow(source, without_zone(server), "udp", _DNS_PORT, zone=zone_of(server))
                yield Errand(flow, resolver=True)


def bindings(container: Container, port: int, protocol: str = "tcp") -> tuple[PortBinding, ...]:
    """How a container's port is published, or else a host's port that leads to it."""
    own = [one for one in container.ports if one.protocol == protocol and one.host_port]
    return tuple(
        [one for one in own if one.container_port == port] or [one for one in own if one.host_port == port]
    )


def inbound(
    world: World,
    container: Container,
    port: PortBinding | int,
    protocol: Literal["tcp", "udp"] = "tcp",
    source: IPAddress | None = None,
    *,
    userland_proxy: bool | None = None,
) -> tuple[Flow, ...]:
    """Connections from outside to a port of the host that leads to a container, for `Walker.walk`.

    Args:
        world: The snapshot.
        container: Who is to be reached.
        port: A published port, or the number of a port of the host.
        protocol: Of a port that is given by number.
        source: Who asks; by default a public address, or a neighbour where the port is bound to an address of a
            link that leads to neighbours alone.
        userland_proxy: Whether the engine runs docker-proxy; None where that is not known.

    Returns:
        One flow for each IP version of the host that the port is bound to; none where the host has no address that
        can be asked from outside, or `source` is of another version.
    """
    if isinstance(port, int):
        numbered = [one for one in bindings(container, port, protocol) if one.host_port == port]
        if numbered:
            found = [
                inbound(world, container, one, source=source, userland_proxy=userland_proxy)
                for one in numbered
            ]
            return tuple(dict.fromkeys(flow for flows in found for flow in flows))
    bound_to = None if isinstance(port, int) or not port.host_address else ip_address(port.host_address)
    flows = []
    for public in DEFAULT_DESTINATIONS if source is None else (source,):
        if bound_to is not None and bound_to.version != public.version:
            continue
        destination = host_address(world, bound_to, public)
        if destination is None:
            continue
        outside = public if source is not None else _asker(world, destination, public)
        flows.append(_inbound(container, port, protocol, outside, destination, userland_proxy))
    return tuple(flows)


def _asker(world: World, destination: IPAddress, public: IPAddress) -> IPAddress:
    """Who can be expected to ask for an address: anybody, or only its neighbours."""
    links = world.host.links
    for way in ways_outside(world, public):
        own = links.addresses(way.link, destination.version) or ()
        if any(address.address == str(destination) for address in own):
            return public
    return neighbour_of(world, destination) or public


def _inbound(
    container: Container,
    port: PortBinding | int,
    protocol: Literal["tcp", "udp"],
    outside: IPAddress,
    destination: IPAddress,
    userland_proxy: bool | None,
) -> Flow:
    relay = None
    if not isinstance(port, int):
        protocol = "udp" if port.protocol == "udp" else "tcp"
        own = _relay_address(container, destination.version)
        relay = (own, port.container_port) if own is not None else None
    source = Source(members=(container,), outside=outside)
    number = port if isinstance(port, int) else port.host_port
    published = Published(container, relay, userland_proxy)
    return Flow(source, destination, protocol, number, published)


def _relay_address(container: Container, version: int) -> IPAddress | None:
    """Where docker-proxy connects to: the container's address of the same version, else the other."""
    for endpoint in sorted(container.endpoints, key=lambda e: (-e.gateway_priority, e.network)):
        both = (endpoint.address, endpoint.address6)
        for text in both if version == 4 else reversed(both):
            if text:
                return ip_address(text)
    return None


def resolvers(container: Container, upstream: Sequence[IPAddress] = ()) -> tuple[IPAddress, ...]:
    """The servers that DNS queries go to from a container's own namespace, the engine's resolver aside.

    Behind the engine's resolver at 127.0.0.11 these are the ones that it forwards to from the container's namespace;
    those it marks `host(…)` it asks from the host's. An engine before 25 writes none of them down: then they are the
    container's own (`--dns`), else those of `upstream` that are not on the host's loopback, where it asks them.
    """
    if not isinstance(container.resolv_conf, TextFile):
        return ()
    file = parse_resolv_conf(container.resolv_conf.text)
    found = [server.address for server in file.servers if server.address != EMBEDDED]
    if file.forwarded is not None:
        found += [server.address for server in file.forwarded if not server.from_host]
    elif file.embedded and not found and not file.generated:
        found += _addresses(container.dns) or [one for one in upstream if not one.is_loopback]
    return tuple(dict.fromkeys(found))


def asks_engine(container: Container) -> bool:
    """Whether a container asks the engine's own resolver in its namespace."""
    file = container.resolv_conf
    return isinstance(file, TextFile) and parse_resolv_conf(file.text).embedded


def upstream(world: World) -> tuple[IPAddress, ...]:
    """The host's servers, which the engine's resolver forwards to; none where the daemon was given others."""
    snapshot = world.snapshot
    file, settings, daemons = snapshot.resolv_conf, snapshot.daemon_json, snapshot.daemons
    if not isinstance(file, TextFile) or isinstance(settings, Unread) or isinstance(daemons, Unread):
        return ()
    words = [
        word
        for daemon in daemons
        if not isinstance(daemon.command_line, Unread)
        for word in daemon.command_line
    ]
    if any(word.startswith("--dns") for word in words) or (settings is not None and '"dns"' in settings.text):
        return ()
    return tuple(server.address for server in parse_resolv_conf(file.text).servers)


def _addresses(words: Iterable[str]) -> list[IPAddress]:
    found = []
    for word in words:
        try:
            found.append(ip_address(word.partition("%")[0]))
        except ValueError:
            continue
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
