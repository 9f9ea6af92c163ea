"""Everything together: the readers side by side, then what depends on what they found."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from dockerdiag.dataclass import replace
from dockerdiag.readers import confinement, services, units
from dockerdiag.readers.boot_sysctls import read_boot_sysctls
from dockerdiag.readers.client_proxies import read_client_proxies
from dockerdiag.readers.daemon_json import read_daemon_json
from dockerdiag.readers.deadline import Deadline, SideBySide, unread_on_error
from dockerdiag.readers.engine import read_engine
from dockerdiag.readers.files import Tree
from dockerdiag.readers.firewall_files import read_firewall_files
from dockerdiag.readers.host import invoking_user, read_host
from dockerdiag.readers.logs import read_journal, read_kernel_log
from dockerdiag.readers.manager import Manager, worth_asking_for
from dockerdiag.readers.module_tree import read_module_tree
from dockerdiag.readers.name_service import RESOLVERS, read_name_service
from dockerdiag.readers.namespace import read_namespace
from dockerdiag.readers.namespaces import read_namespaces
from dockerdiag.readers.network_managers import read_network_managers
from dockerdiag.readers.packages import read_packages
from dockerdiag.readers.processes import namespace_of, own_line, read_daemons
from dockerdiag.readers.programs import read_programs
from dockerdiag.readers.resolver import RESOLV_CONF, nameservers
from dockerdiag.readers.route_answers import RouteQuestion, ask_routes
from dockerdiag.readers.services import read_services
from dockerdiag.readers.shims import read_shims
from dockerdiag.readers.units import UNITS, read_service
from dockerdiag.snapshot import (
    Container,
    Engine,
    Firewall,
    Network,
    NetworkNamespace,
    RouteAnswer,
    ServiceUnit,
    Snapshot,
    TextFile,
    Unread,
)
from dockerdiag.snapshot.masking import without_credentials
from dockerdiag.version import __version__

_ENGINE_SHARE = 0.6
"""How much of the time the engine may take; its containers' namespaces come after it."""
_FIRST_SHARE = 0.9
"""How much of the time may pass until all else is read; what depends on that is read in the rest."""
_MAXIMUM_QUESTIONS = 2000

Progress = Callable[[str], None] | None


def collect(seconds: float, destinations: tuple[str, ...], progress: Progress, root: Path | None) -> Snapshot:
    """Reads the host within `seconds`."""
    taken_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    deadline = Deadline(seconds)
    tree = Tree(root or "/")
    host = read_host(tree, deadline)
    manager = _manager(tree, deadline) if host.systemd else None
    others = SideBySide(
        {
            "network": partial(read_namespace, deadline),
            "daemons": read_daemons,
            "service": partial(_service_and_journal, tree, deadline, manager),
            "boot_sysctls": partial(read_boot_sysctls, tree),
            "resolv_conf": partial(tree.read, RESOLV_CONF),
            "hosts_file": partial(tree.read, "/etc/hosts"),
            "name_service": partial(read_name_service, tree, manager),
            "network_managers": partial(read_network_managers, tree),
            "kernel_log": partial(read_kernel_log, deadline, systemd=host.systemd),
            "services": partial(read_services, manager),
            "firewall_files": partial(read_firewall_files, tree),
            "shims": partial(read_shims, tree, deadline),
            "client_proxies": partial(read_client_proxies, tree),
            "module_tree": partial(read_module_tree, tree),
        },
        deadline.at_most(seconds * _FIRST_SHARE),
        progress,
    )
    dependent = SideBySide(
        {
            "daemon_json": partial(_daemon_json, tree, others),
            "programs": lambda: read_programs(tree, others.awaited("daemons")),
            "packages": partial(_packages, tree, others, deadline),
        },
        deadline,
        progress,
    )
    share = deadline.at_most(seconds * _ENGINE_SHARE)
    # A little less for the engine itself, so that it can still say what did not answer.
    answering = deadline.at_most(share.seconds * 0.95)
    reading = SideBySide({"engine": partial(read_engine, tree, answering)}, share, progress)
    engine = _without_reader(reading.results()["engine"])
    containers = _local_containers(engine)
    asked = tuple(dict.fromkeys((*destinations, *nameservers(one.resolv_conf for one in containers))))
    own = unread_on_error(partial(namespace_of, "self"))
    namespaces = read_namespaces(
        {one.namespace: one.pid for one in containers if one.namespace not in (None, own) and one.pid},
        asked,
        deadline,
        progress,
    )
    namespaces |= _of_untold(containers)
    found = others.results()
    network = _network(found["network"])
    engine, namespaces = _without_ended(engine, namespaces)
    asked = tuple(dict.fromkeys((*asked, *nameservers([found["resolv_conf"]]))))
    engine = _with_bridges_seen(engine, network)
    network = replace(network, route_answers=_route_answers(network, engine, containers, asked))
    service, journal = _pair(found["service"])
    found |= dependent.results()
    snapshot = Snapshot(
        taken_at=taken_at,
        tool_version=__version__,
        host=replace(host, module_tree=found["module_tree"]),
        network=network,
        namespaces=namespaces,
        engine=engine,
        daemons=found["daemons"],
        service=service,
        daemon_json=found["daemon_json"],
        boot_sysctls=found["boot_sysctls"],
        resolv_conf=found["resolv_conf"],
        hosts_file=found["hosts_file"],
        journal=journal,
        kernel_log=found["kernel_log"],
        network_managers=found["network_managers"],
        invoking_user=invoking_user(),
        name_service=found["name_service"],
        services=found["services"],
        firewall_files=found["firewall_files"],
        shims=found["shims"],
        client_proxies=found["client_proxies"],
        programs=found["programs"],
        packages=found["packages"],
    )
    return without_credentials(snapshot)


def _manager(tree: Tree, deadline: Deadline) -> Manager:
    """To be asked for everything at once by whichever reader comes first."""

    def expected() -> Iterator[str]:
        # One that is asked for anyway, so that a manager that cannot be asked is told.
        yield services.SERVICES[0]
        yield from worth_asking_for((*services.SERVICES, *RESOLVERS), tree)
        yield from confinement.slices("system.slice")

    properties = (*services.PROPERTIES, *units.PROPERTIES, *confinement.PROPERTIES)
    return Manager(expected, properties, deadline)


def _service_and_journal(tree: Tree, deadline: Deadline, manager: Manager | None) -> tuple[Any, Any]:
    """Together, for a failed unit's journal is read further back."""
    service = unread_on_error(partial(read_service, tree, deadline, manager))
    if manager is None:
        return service, Unread("systemd does not run")
    unit = service if isinstance(service, ServiceUnit) else None
    failed = unit is not None and "failed" in (unit.active_state, unit.sub_state)
    name = unit.name if unit is not None else UNITS[0]
    return service, unread_on_error(partial(read_journal, name, deadline, failed=failed))


def _daemon_json(tree: Tree, others: SideBySide) -> TextFile | None:
    daemons, (service, _) = others.awaited("daemons"), _pair(others.awaited("service"))
    told = () if isinstance(daemons, Unread) else daemons
    return read_daemon_json(tree, told, service if isinstance(service, ServiceUnit) else None)


def _packages(tree: Tree, others: SideBySide, deadline: Deadline) -> dict[str, str]:
    service, _ = _pair(others.awaited("service"))
    return read_packages(tree, service, others.awaited("boot_sysctls"), deadline)


def _pair(found: Any) -> tuple[Any, Any]:
    return (found, found) if isinstance(found, Unread) else found


def _network(found: NetworkNamespace | Unread) -> NetworkNamespace:
    """The host's namespace also where nothing of it could be read."""
    if isinstance(found, NetworkNamespace):
        return found
    firewall = Firewall(*(found for _ in Firewall.__slots__))
    return NetworkNamespace("", found, found, found, found, found, found, firewall, found)


def _without_ended(
    engine: Engine | Unread, namespaces: Mapping[str, NetworkNamespace | Unread]
) -> tuple[Engine | Unread, dict[str, NetworkNamespace | Unread]]:
    """Takes containers for ended whose process went away while the host was read: there is nothing to walk from.

    Only then does the engine take their links down and their rules away, of which the host's may have been read since.
    """
    ended = {one.id for one in _local_containers(engine) if one.pid and _has_ended(one.pid)}
    if not ended or isinstance(engine, Unread) or isinstance(engine.containers, Unread):
        return engine, dict(namespaces)
    shared = {one.namespace for one in engine.containers if one.id not in ended}
    gone = {one.namespace for one in engine.containers if one.id in ended} - shared
    containers = tuple(
        replace(one, state="exited", pid=None, namespace=None) if one.id in ended else one
        for one in engine.containers
    )
    kept = {name: found for name, found in namespaces.items() if name not in gone}
    return replace(engine, containers=containers), kept


def _of_untold(containers: Iterable[Container]) -> dict[str, Unread]:
    """The namespaces of containers of whose process the engine does not tell, each with the reason."""
    return {
        one.namespace: one.resolv_conf
        for one in containers
        if one.pid is None and one.namespace is not None and isinstance(one.resolv_conf, Unread)
    }


def _has_ended(pid: int) -> bool:
    try:
        namespace_of(pid)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _without_reader(engine: Engine | Unread) -> Engine | Unread:
    """Leaves out the container in which this runs: it is there to read the host."""
    if isinstance(engine, Unread) or isinstance(engine.containers, Unread) or not engine.local:
        return engine
    line = frozenset(own_line())
    return replace(engine, containers=tuple(one for one in engine.containers if one.pid not in line))


def _local_containers(engine: Engine | Unread) -> tuple[Container, ...]:
    if isinstance(engine, Unread) or not engine.local or isinstance(engine.containers, Unread):
        return ()
    return engine.containers


def _with_bridges_seen(engine: Engine | Unread, host: NetworkNamespace) -> Engine | Unread:
    """Tells the bridges of an engine that does not name them: each holds its network's gateway."""
    if isinstance(engine, Unread) or not engine.is_podman or isinstance(engine.networks, Unread):
        return engine
    if isinstance(host.links, Unread) or isinstance(host.addresses, Unread):
        return engine
    names = {link.index: link.name for link in host.links if link.kind == "bridge"}
    holders = {one.address: names[one.link] for one in host.addresses if one.link in names}
    networks = tuple(
        replace(one, bridge_seen=next((holders[p.gateway] for p in one.pools if p.gateway in holders), ""))
        for one in engine.networks
    )
    return replace(engine, networks=networks)


# -- the kernel's routes ------------------------------------------------------------------------------------


def _route_answers(
    network: NetworkNamespace,
    engine: Engine | Unread,
    containers: Iterable[Container],
    destinations: tuple[str, ...],
) -> tuple[RouteAnswer, ...]:
    """Asks each container's way out, then the way back from where it led, and the host's own ways."""
    if isinstance(network.links, Unread) or isinstance(network.sysctls, Unread):
        return ()
    networks = () if isinstance(engine, Unread) or isinstance(engine.networks, Unread) else engine.networks
    out = [RouteQuestion(destination) for destination in destinations]
    for source, bridge in dict.fromkeys(_sources(networks, containers)):
        out.append(RouteQuestion(source))
        out += [RouteQuestion(to, source, bridge) for to in destinations if (":" in to) == (":" in source)]
    answers = ask_routes(out[:_MAXIMUM_QUESTIONS], network.links, network.sysctls)
    back = [
        RouteQuestion(answer.source, answer.destination, answer.out_link)
        for answer in answers
        if answer.source is not None and answer.out_link is not None
    ]
    return answers + ask_routes(back, network.links, network.sysctls)


def _sources(networks: Iterable[Network], containers: Iterable[Container]) -> Iterator[tuple[str, str]]:
    """Each container's address with its bridge; for a network without containers, the first it would give."""
    bridges = {network.id: network.bridge for network in networks if network.bridge is not None}
    used = set()
    for container in containers:
        for endpoint in container.endpoints if container.pid is not None else ():
            if bridge := bridges.get(endpoint.network_id):
                used.add(endpoint.network_id)
                yield from ((one, bridge) for one in (endpoint.address, endpoint.address6) if one)
    for network in networks:
        if network.bridge is not None and network.id not in used:
            yield from ((one, network.bridge) for one in _first_addresses(network))


def _first_addresses(network: Network) -> Iterator[str]:
    for pool in network.pools:
        try:
            subnet = ip_network(pool.subnet or "", strict=False)
            first = ip_address(pool.gateway) + 1 if pool.gateway else subnet.network_address + 2
        except ValueError:
            continue
        if first in subnet:
            yield str(first)
