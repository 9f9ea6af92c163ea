"""The namespaces of one snapshot and how they hang together: which link is whose other end, who has which address."""

from collections.abc import Iterator
from functools import cached_property

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.ipsec import Ipsec
from dockerdiag.packet.links import Links
from dockerdiag.packet.netfilter import Ruleset, parse
from dockerdiag.packet.packet import IPAddress, as_address, prefix
from dockerdiag.packet.routing import Router
from dockerdiag.snapshot.model import Container, Link, Neighbour, Network, NetworkNamespace, Snapshot, Unread


class Terrain:
    """One namespace as a packet meets it."""

    def __init__(self, namespace: NetworkNamespace, owner: Container | None = None) -> None:
        self.namespace = namespace
        self.owner = owner
        """A container that runs in it; None for the host's."""
        self.router = Router(namespace)
        self.ipsec = Ipsec(namespace, self.router.links)

    @property
    def is_host(self) -> bool:
        """Whether it is the host's namespace."""
        return self.owner is None

    @property
    def links(self) -> Links:
        """Its links."""
        return self.router.links

    @cached_property
    def ruleset(self) -> Ruleset:
        """Its rules, parsed once."""
        return parse(self.namespace.firewall)

    @cached_property
    def _neighbours(self) -> dict[tuple[int, str], Neighbour]:
        neighbours = self.namespace.neighbours
        if isinstance(neighbours, Unread):
            return {}
        return {(neighbour.link, neighbour.address): neighbour for neighbour in neighbours}

    def neighbour(self, link: Link, address: IPAddress) -> Neighbour | None:
        """What the neighbour table has for an address on a link."""
        return self._neighbours.get((link.index, str(address)))


@dataclass(frozen=True, slots=True)
class Station:
    """One end of a link on a bridge: a container's link in its namespace, and the host's port it hangs on."""

    container: Container
    terrain: Terrain | None
    """None where its namespace was not read."""
    link: Link | None
    port: Link | None
    """The veth on the host; None where it could not be told."""
    unread: str = ""


class World:
    """A snapshot's namespaces, networks and containers."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.host = Terrain(snapshot.network)
        self._terrains: dict[str, Terrain] = {}

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The engine's networks; none where they were not read."""
        engine = self.snapshot.engine
        return () if isinstance(engine, Unread) or isinstance(engine.networks, Unread) else engine.networks

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """The engine's containers; none where they were not read."""
        engine = self.snapshot.engine
        return (
            () if isinstance(engine, Unread) or isinstance(engine.containers, Unread) else engine.containers
        )

    @property
    def elsewhere(self) -> str | None:
        """Why this host's links and rules say nothing about the engine's containers, None where they do."""
        engine = self.snapshot.engine
        if not isinstance(engine, Unread):
            if not engine.local:
                return f"the engine at {engine.endpoint} does not run on this host"
            if engine.rootless:
                return "the engine is rootless: its containers are behind a network stack of their own"
        daemons = self.snapshot.daemons
        if not isinstance(daemons, Unread) and daemons and all(d.namespace_is_host is False for d in daemons):
            return "the engine runs in a network namespace that is not this host's"
        return None

    def terrain_of(self, container: Container) -> Terrain | Unread | None:
        """Where its processes run; None for one that does not run."""
        if container.network_mode == "host" or container.namespace == self.snapshot.network.name:
            return self.host
        key = container.namespace
        if key is None and container.network_mode.startswith("container:"):
            shared = self._find(container.network_mode.partition(":")[2])
            key = shared.namespace if shared is not None and shared.namespace else None
        if key is None:
            return None
        if (terrain := self._terrains.get(key)) is not None:
            return terrain
        namespace = self.snapshot.namespaces.get(key)
        if namespace is None:
            return Unread("its network namespace was not read")
        if isinstance(namespace, Unread):
            return namespace
        return self._terrains.setdefault(key, Terrain(namespace, self._owners.get(key, container)))

    @cached_property
    def _owners(self) -> dict[str, Container]:
        """The container that each namespace was made for; those that joined it have no endpoints of their own."""
        owners: dict[str, Container] = {}
        for container in self.containers:
            if container.namespace is not None and not container.network_mode.startswith("container:"):
                owners.setdefault(container.namespace, container)
        return owners

    def _find(self, reference: str) -> Container | None:
        for container in self.containers:
            if container.id.startswith(reference) or container.name == reference:
                return container
        return None

    def host_end(self, link: Link) -> Link | None:
        """The host's link that is the other end, or the parent, of a container's link."""
        if link.peer is None or link.peer_namespace is None:
            return None
        other = self.host.links.by_index.get(link.peer)
        if other is None:
            return None
        if link.kind == "veth" and (other.kind != "veth" or other.peer not in (None, link.index)):
            # The index is of another namespace: an overlay network's own, for one.
            return None
        return other

    def container_end(self, port: Link) -> Station | None:
        """The container's end of a veth on the host."""
        return self._by_port.get(port.index)

    def station(self, bridge: Link, address: IPAddress) -> Station | None:
        """Who has an address on a bridge."""
        stations = self._by_address.get(str(address), [])
        attached = [s for s in stations if s.port is not None and s.port.master == bridge.index]
        belonging = [s for s in stations if self._belongs(s, bridge, address)]
        return next(iter([*attached, *belonging]), None)

    def _belongs(self, station: Station, bridge: Link, address: IPAddress) -> bool:
        network = self.network_of(station.container, address)
        return network is not None and network.bridge == bridge.name

    def network_of(self, container: Container | None, address: IPAddress) -> Network | None:
        """The network that gave a container its address."""
        if container is not None:
            for endpoint in container.endpoints:
                if str(address) in (endpoint.address, endpoint.address6):
                    network = self._by_id.get(endpoint.network_id) or self._by_name.get(endpoint.network)
                    if network is not None:
                        return network
        for network in self.networks:
            if network.bridge is not None and self.holds(network, address):
                return network
        return None

    def network_by_bridge(self, name: str) -> Network | None:
        """The network whose bridge that is."""
        return self._by_bridge.get(name)

    @staticmethod
    def holds(network: Network, address: IPAddress) -> bool:
        """Whether one of the network's subnets holds an address."""
        for pool in network.pools:
            if pool.subnet is not None:
                subnet = prefix(pool.subnet)
                if subnet.version == address.version and address in subnet:
                    return True
        return False

    @cached_property
    def _by_id(self) -> dict[str, Network]:
        return {network.id: network for network in self.networks if network.id}

    @cached_property
    def _by_name(self) -> dict[str, Network]:
        return {network.name: network for network in reversed(self.networks)}

    @cached_property
    def _by_bridge(self) -> dict[str, Network]:
        return {network.bridge: network for network in self.networks if network.bridge is not None}

    @cached_property
    def _stations(self) -> list[tuple[Station, tuple[IPAddress, ...]]]:
        return [found for container in self.containers for found in self._ends(container)]

    def _ends(self, container: Container) -> Iterator[tuple[Station, tuple[IPAddress, ...]]]:
        terrain = self.terrain_of(container)
        if terrain is None or (isinstance(terrain, Terrain) and terrain.owner is not container):
            return
        if isinstance(terrain, Unread) or terrain.links.unread:
            told = [text for e in container.endpoints for text in (e.address, e.address6) if text]
            reason = terrain.reason if isinstance(terrain, Unread) else terrain.links.unread or ""
            yield Station(container, None, None, None, reason), tuple(as_address(text) for text in told)
            return
        for link in terrain.links.by_name.values():
            if link.loopback:
                continue
            texts = [a.address for family in (4, 6) for a in terrain.links.addresses(link.name, family) or ()]
            port = self.host_end(link) if link.kind == "veth" else None
            yield Station(container, terrain, link, port), tuple(as_address(text) for text in texts)

    @cached_property
    def _by_port(self) -> dict[int, Station]:
        return {station.port.index: station for station, _ in self._stations if station.port is not None}

    @cached_property
    def container_addresses(self) -> frozenset[str]:
        """Every address of a container's own link."""
        return frozenset(self._by_address)

    @cached_property
    def _by_address(self) -> dict[str, list[Station]]:
        found: dict[str, list[Station]] = {}
        for station, addresses in self._stations:
            for address in addresses:
                found.setdefault(str(address), []).append(station)
        return found
