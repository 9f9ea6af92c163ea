"""Whom each container asks for names, and whether a query gets there."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address

from dockerdiag.case import Case, Hit, Traced
from dockerdiag.configuration.settings import Known
from dockerdiag.packet.flow import Flow, Halt, Journey
from dockerdiag.packet.packet import IPAddress, without_zone, zone_of
from dockerdiag.report import Disposition, Evidence
from dockerdiag.snapshot import Container, NameService, TextFile
from dockerdiag.snapshot.resolv_conf import EMBEDDED, FALLBACK, ResolvConf, Server, parse_resolv_conf
from dockerdiag_checks.confinement import Confinement, by_address, by_link

DNS_PORT = 53


def asks_for_names(halt: Halt) -> bool:
    """Whether it stops a DNS query."""
    port = halt.packet.connection.original.destination_port
    return port is not None and port.low == port.high == DNS_PORT


def names_lost(hit: Hit) -> tuple[str, ...]:
    """What follows from a hit for the containers whose resolvers lie behind it."""
    if not any(traced.resolver for traced in hit.traced):
        return ()
    subjects = [
        *(f"container:{name}" for name in hit.containers),
        *(f"network:{one}" for one in hit.networks),
    ]
    return tuple(f"dns-unreachable {subject}" for subject in (*subjects, "host:*"))


@dataclass(frozen=True)
class AskedServer:
    """One server, and the way to it."""

    server: Server
    journey: Journey | None
    """None where nothing was walked."""
    confinement: Confinement | None = None
    """Why the engine may not ask it, where it is the engine that asks."""

    @property
    def halt(self) -> Halt | None:
        """What certainly stops the query or its answer."""
        halts = self.journey.halts if self.journey is not None else ()
        return halts[0] if halts and halts[0].certain else None

    @property
    def stopped(self) -> bool | None:
        """None where it cannot be told."""
        if self.confinement is not None or self.halt is not None:
            return True
        if self.journey is None or self.journey.disposition is Disposition.UNKNOWN:
            return None
        return False

    @property
    def evidence(self) -> Evidence:
        """What became of a query."""
        address = self.server.address
        asker = "the engine asks it from the host" if self.server.from_host else "asked from the container"
        if self.confinement is not None:
            return Evidence(
                f"nameserver {address}", f"systemd keeps dockerd from it: {self.confinement.setting}"
            )
        halt = self.halt
        return Evidence(f"nameserver {address}", f"{asker}: {halt.reason if halt is not None else 'reached'}")


@dataclass(frozen=True)
class Resolution:
    """How one running container comes by names."""

    container: Container
    file: ResolvConf
    traced: tuple[Traced, ...]
    servers: tuple[AskedServer, ...] | None
    """Who answers in the end; None where that cannot be told."""
    used_fallback: bool
    """Whether these are the public ones that the engine puts in for want of others."""

    @cached_property
    def embedded(self) -> Traced | None:
        """The walk to the engine's own resolver."""
        return next((one for one in self.traced if one.journey.flow.destination == EMBEDDED), None)

    @property
    def embedded_stopped(self) -> bool:
        """Whether the engine's own resolver is certainly out of reach."""
        return self.embedded is not None and any(halt.certain for halt in self.embedded.journey.halts[:1])

    @property
    def served(self) -> bool | None:
        """Whether somebody can answer; None where that cannot be told."""
        if self.embedded_stopped:
            return False
        if self.servers is None:
            return None
        stopped = [one.stopped for one in self.servers]
        return True if False in stopped else None if None in stopped else False

    @property
    def otherwise_fine(self) -> bool:
        """Whether all its other packets arrive, so that names are all that it lacks."""
        others = [one for one in self.traced if one is not self.embedded and not one.resolver]
        return all(one.delivered for one in others)


def resolutions(case: Case) -> tuple[Resolution, ...]:
    """Those of the running containers that are walked; left out are those that nothing is to leave."""
    by_name: dict[str, list[Traced]] = {}
    for one in case.traced:
        for name in dict.fromkeys(one.containers):
            by_name.setdefault(name, []).append(one)
    found = []
    for container in case.containers:
        traced = tuple(by_name.get(container.name, ()))
        file = container.resolv_conf
        if not traced or container.pid is None or not isinstance(file, TextFile):
            continue
        found.append(_resolution(case, container, parse_resolv_conf(file.text), traced))
    return tuple(found)


def isolated(case: Case, resolution: Resolution) -> bool:
    """Whether somebody chose that nothing leaves the container."""
    halts = [halt for one in resolution.traced for halt in one.journey.halts[:1]]
    networks = [case.network(one.network) for one in resolution.container.endpoints]
    inside = bool(networks) and all(network is not None and network.internal for network in networks)
    return inside or any(halt.isolation is not None for halt in halts)


def host_servers(case: Case) -> tuple[IPAddress, ...]:
    """The nameservers of the host's /etc/resolv.conf."""
    file = case.snapshot.resolv_conf
    if not isinstance(file, TextFile):
        return ()
    return tuple(server.address for server in parse_resolv_conf(file.text).servers)


def kept_elsewhere(case: Case) -> dict[str, tuple[IPAddress, ...]]:
    """The nameservers in files that the host's resolvers keep beside /etc/resolv.conf, by path."""
    service = case.snapshot.name_service
    files = service.others if isinstance(service, NameService) else ()
    parsed = {file.path: parse_resolv_conf(file.text).servers for file in files}
    return {path: tuple(one.address for one in servers) for path, servers in parsed.items() if servers}


def daemon_servers(case: Case) -> tuple[IPAddress, ...] | None:
    """What `dns` of the running daemon says; None where that cannot be told."""
    state = case.settings.running("dns")
    if not isinstance(state, Known):
        return None
    value = state.value if isinstance(state.value, (list, tuple)) else ()
    return tuple(address for word in value if (address := _address(str(word))) is not None)


def subject_of(case: Case, containers: Iterable[Container]) -> str:
    """The container where it is one, the network where all are on it, else the host."""
    members = list(containers)
    if len(members) == 1:
        return f"container:{members[0].name}"
    networks = {end.network for one in members for end in one.endpoints}
    return f"network:{networks.pop()}" if len(networks) == 1 else case.host


def _resolution(case: Case, container: Container, file: ResolvConf, traced: tuple[Traced, ...]) -> Resolution:
    by_destination = {one.journey.flow.destination: one.journey for one in traced if one.resolver}
    own = [server for server in file.servers if server.address != EMBEDDED]
    behind = _behind_engine(case, container, file) if file.embedded else ()
    fallback = _used_fallback(case, container, file, behind)
    if behind is None:
        return Resolution(container, file, traced, None, fallback)

    def way_to(server: Server) -> Journey | None:
        """Walked for this alone where the container has no IPv6, for then no other packet needs that way."""
        address = without_zone(server.address)
        walked = by_destination.get(address)
        by_ipv4 = address.version == 4 or address.ipv4_mapped is not None
        if walked is not None or by_ipv4 or address.is_loopback or case.walker is None:
            return walked
        source, zone = traced[0].journey.flow.source, zone_of(server.address)
        return case.walker.walk(Flow(source, address, "udp", DNS_PORT, zone=zone))

    asked = [AskedServer(server, way_to(server)) for server in own]
    # Of the host's servers, engines before 25 leave those out that have IPv6 addresses.
    chosen = file.forwarded is not None or bool(container.dns)
    for server in behind:
        journey = (
            case.from_host(server.address, DNS_PORT, "udp")
            if server.from_host
            else way_to(server)
            if chosen
            else by_destination.get(without_zone(server.address))
        )
        link = journey.uplink if journey is not None and server.from_host else None
        confinement = by_address(case, server.address) or by_link(case, link)
        asked.append(AskedServer(server, journey, confinement))
    return Resolution(container, file, traced, tuple(asked), fallback)


def _behind_engine(case: Case, container: Container, file: ResolvConf) -> tuple[Server, ...] | None:
    """Whom the engine's resolver asks; None where it cannot be told."""
    if file.forwarded is not None:
        return file.forwarded
    if file.without_external:
        return ()
    if file.generated:
        return None
    # Engines before 25 do not say.
    if container.dns:
        return _servers(container.dns)
    daemon = daemon_servers(case)
    if daemon is None:
        return None
    if daemon:
        return tuple(Server(address) for address in daemon)
    host = host_servers(case)
    if host:
        return tuple(Server(address, from_host=address.is_loopback) for address in host)
    return _servers(FALLBACK[:2])


def _used_fallback(
    case: Case, container: Container, file: ResolvConf, behind: tuple[Server, ...] | None
) -> bool:
    if file.generated:
        return file.used_defaults
    servers = {str(server.address) for server in (behind if file.embedded else file.servers) or ()}
    chosen = {*container.dns, *(str(one) for one in (*(daemon_servers(case) or ()), *host_servers(case)))}
    return bool(servers) and servers <= set(FALLBACK) and not servers & chosen


def _servers(words: Iterable[str]) -> tuple[Server, ...]:
    found = (_address(word) for word in words)
    return tuple(Server(address) for address in found if address is not None)


def _address(word: str) -> IPAddress | None:
    try:
        return ip_address(word.partition("%")[0])
    except ValueError:
        return None
