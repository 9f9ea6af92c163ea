"""What a snapshot says, as named values that can be compared with those of another time, and where it has gaps.

What changes by itself is left out: times, counters, process ids, neighbours, logs, addresses that links give
themselves, and the names of veth links, which every start of a container makes anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from dockerdiag.packet.parse import parse
from dockerdiag.packet.rules import Chain
from dockerdiag.report import words
from dockerdiag.snapshot import (
    BootSysctls,
    ClientProxies,
    Container,
    Engine,
    Firewall,
    Link,
    ModuleTree,
    NameService,
    Network,
    NetworkManagers,
    NetworkNamespace,
    PortBinding,
    Route,
    RoutingRule,
    ServiceState,
    ServiceUnit,
    Snapshot,
    TextFile,
    Unread,
)

_VOLATILE_SYSCTLS = ("net/netfilter/nf_conntrack_count",)

_EPHEMERAL = 32768
"""From here on the kernel gives ports to who asks for any: another one at each start."""

_FORWARDING = 3
"""BR_STATE_FORWARDING of a bridge's port."""


class Fact(NamedTuple):
    """One thing with its value: several lines where it is a list whose order counts."""

    part: str
    """What of the snapshot is to be put back to have it as it was."""
    noun: str
    name: str
    lines: tuple[str, ...]
    is_list: bool = False
    of: str = ""
    """Whose it is, where it says nothing once that is gone: a container, or its namespace."""
    rests_on: frozenset[str] = frozenset()
    """The readings without which it could not be told."""


class Gap(NamedTuple):
    """A reading that failed, so that the facts which rest on it are not there."""

    part: str
    reading: str
    unread: Unread


Told = Iterator[Fact | Gap]


def facts(snapshot: Snapshot) -> Told:
    """Every fact of a snapshot, and every gap."""
    yield Fact("host", "kernel", "", (snapshot.host.kernel,))
    yield from _module_tree(snapshot.host.module_tree)
    yield from _namespace("", snapshot.network)
    yield from _engine(snapshot.engine)
    yield from _resting(_of_containers(snapshot), "engine", "containers")
    yield from _daemons(snapshot)
    yield from _service(snapshot.service)
    yield from _file("daemon_json", "daemon.json", snapshot.daemon_json)
    yield from _boot_sysctls(snapshot.boot_sysctls)
    yield from _file("resolv_conf", "/etc/resolv.conf", snapshot.resolv_conf)
    yield from _file("hosts_file", "/etc/hosts", snapshot.hosts_file)
    yield from _name_service(snapshot.name_service)
    yield from _network_managers(snapshot.network_managers)
    yield from _services(snapshot.services)
    yield from _files("firewall_files", "what firewalls load", snapshot.firewall_files)
    yield from _programs(snapshot)
    yield from _client_proxies(snapshot.client_proxies)


def _resting(told: Iterable[Fact | Gap], *readings: str, of: str = "") -> Told:
    """The same facts, which rest on some readings too and may be somebody's."""
    for one in told:
        if isinstance(one, Fact):
            yield one._replace(of=one.of or of, rests_on=one.rests_on.union(readings))
        else:
            yield one


# -- a network namespace ----------------------------------------------------------------------------------------


def _namespace(of: str, namespace: NetworkNamespace) -> Told:
    """The host's network namespace, or the one `of` a container."""
    links = {} if isinstance(namespace.links, Unread) else {link.index: link for link in namespace.links}
    part = f"network{of}"
    for name in ("links", "addresses", "routes", "rules", "neighbours", "listeners"):
        value = getattr(namespace, name)
        if isinstance(value, Unread):
            yield Gap(part, name + of, value)
    on_links = (
        *_links(part, of, links),
        *_resting(_addresses(part, of, namespace, links), f"addresses{of}"),
        *_resting(_routes(part, of, namespace, links), f"routes{of}"),
        *_resting(_permanent_neighbours(part, of, namespace, links), f"neighbours{of}"),
    )
    yield from _resting(on_links, f"links{of}")
    if not isinstance(namespace.rules, Unread):
        written = [_rule(rule) for rule in namespace.rules]
        found = Fact(part, "routing rule", f"the host{of}", tuple(written), is_list=True)
        yield from _resting([found], f"rules{of}")
    yield from _sysctls(f"sysctls{of}", of, namespace)
    if not of:
        yield from _resting(_listeners(part, namespace), "listeners")
    yield from _firewall(f"firewall{of}", of, namespace.firewall)


def _links(part: str, of: str, links: Mapping[int, Link]) -> Told:
    for link in links.values():
        if not _comes_and_goes(link):
            yield Fact(part, "link", link.name + of, (_link(link, links),))


def _addresses(part: str, of: str, namespace: NetworkNamespace, links: Mapping[int, Link]) -> Told:
    if isinstance(namespace.addresses, Unread):
        return
    for index, link in links.items():
        written = sorted(
            f"{one.address}/{one.prefix_length}"
            for one in namespace.addresses
            if one.link == index and one.scope != "link"
        )
        if written and not _comes_and_goes(link):
            yield Fact(part, "address", link.name + of, tuple(written), is_list=True)


def _routes(part: str, of: str, namespace: NetworkNamespace, links: Mapping[int, Link]) -> Told:
    if isinstance(namespace.routes, Unread):
        return
    tables: dict[str, list[str]] = {}
    for route in namespace.routes:
        # The local table follows from the addresses.
        if route.table != 255 and not route.destination.startswith(("fe80:", "ff00:")):
            tables.setdefault(f"table {_table(route.table)}{of}", []).append(_route(route, links))
    for name, routes in tables.items():
        yield Fact(part, "route", name, tuple(sorted(routes)), is_list=True)


def _permanent_neighbours(part: str, of: str, namespace: NetworkNamespace, links: Mapping[int, Link]) -> Told:
    if isinstance(namespace.neighbours, Unread):
        return
    for one in namespace.neighbours:
        link = links.get(one.link)
        if one.state == "permanent" and one.mac is not None and link is not None:
            yield Fact(part, "permanent neighbour", f"{one.address} dev {link.name}{of}", (one.mac,))


def _sysctls(part: str, of: str, namespace: NetworkNamespace) -> Told:
    if isinstance(namespace.sysctls, Unread):
        yield Gap(part, f"sysctls{of}", namespace.sysctls)
        return
    for key, value in sorted(namespace.sysctls.items()):
        if key not in _VOLATILE_SYSCTLS and "/veth" not in key:
            fact = Fact(part, "sysctl", _dotted(key) + of, (value,))
            yield fact._replace(rests_on=frozenset((f"sysctls{of}",)))


def _listeners(part: str, namespace: NetworkNamespace) -> Told:
    if isinstance(namespace.listeners, Unread):
        return
    listening = {
        f"{one.address} port {one.port}"
        for one in namespace.listeners
        if one.protocol == "tcp" and one.port < _EPHEMERAL
    }
    yield Fact(part, "listener", "the host's TCP", tuple(sorted(listening)), is_list=True)


def _comes_and_goes(link: Link) -> bool:
    return link.kind == "veth" and link.name.startswith("veth")


def _link(link: Link, links: Mapping[int, Link]) -> str:
    master = links.get(link.master or 0)
    told = ["up" if link.up else "down", f"mtu {link.mtu}"]
    # A bridge without ports is operationally down: that is a container's doing, not the link's.
    if link.carrier is False and link.kind != "bridge":
        told.append("no carrier")
    if not link.arp and not link.loopback:
        told.append("without ARP")
    if master is not None:
        told.append(f"master {master.name}")
    if link.bridge_port_state not in (None, _FORWARDING):
        told.append("port does not forward")
    if link.bridge_port_isolated:
        told.append("port isolated")
    return ", ".join(told)


def _route(route: Route, links: Mapping[int, Link]) -> str:
    told = [route.destination] if route.type == "unicast" else [route.type, route.destination]
    for hop in route.next_hops:
        link = links.get(hop.link or 0)
        told += ["via", hop.gateway] if hop.gateway else []
        told += ["dev", link.name] if link is not None else []
        told += [flag for flag in hop.flags if flag != "linkdown"]
    told += ["src", route.preferred_source] if route.preferred_source else []
    told += ["metric", str(route.metric)] if route.metric else []
    told += ["mtu", str(route.mtu)] if route.mtu else []
    return " ".join(told)


def _table(number: int) -> str:
    return {253: "default", 254: "main"}.get(number, str(number))


def _rule(rule: RoutingRule) -> str:
    told = [f"{rule.priority}:", f"IPv{rule.family}"]
    told += ["not"] if rule.invert else []
    for word, value in (
        ("from", rule.source),
        ("to", rule.destination),
        ("iif", rule.in_link),
        ("oif", rule.out_link),
        ("fwmark", None if rule.mark is None else f"{rule.mark:#x}/{rule.mask or 0xFFFFFFFF:#x}"),
    ):
        told += [word, str(value)] if value is not None else []
    told += [rule.action] + ([] if rule.table is None else [_table(rule.table)])
    return " ".join(told)


def _dotted(key: str) -> str:
    """A sysctl as sysctl(8) writes it: dots and slashes change places."""
    return key.translate(str.maketrans("/.", "./"))


_LISTINGS: Mapping[str, str] = MappingProxyType(
    {
        "nft": "nft rules",
        "iptables_nft": "iptables-nft rules",
        "ip6tables_nft": "ip6tables-nft rules",
        "iptables_legacy": "iptables-legacy rules",
        "ip6tables_legacy": "ip6tables-legacy rules",
        "ipsets": "IP sets",
        "netdev_hooks": "devices of netdev chains",
        "table_flags": "flags of nft tables",
    }
)
"""What a firewall's fields are called."""


def _firewall(part: str, of: str, firewall: Firewall) -> Told:
    for name, told in _LISTINGS.items():
        value = getattr(firewall, name)
        if isinstance(value, Unread):
            yield Gap(part, told + of, value)
    for table in parse(firewall).tables:
        for chain in table.chains.values():
            listings = (_LISTINGS[name] + of for name in _listings_of(chain))
            yield from _resting(_chain(part, of, chain), *listings)
    if not isinstance(firewall.ipsets, Unread):
        for one in firewall.ipsets:
            found = Fact(part, "member", f"ipset {one.name}{of}", tuple(sorted(one.members)), is_list=True)
            yield from _resting([found], _LISTINGS["ipsets"] + of)


def _chain(part: str, of: str, chain: Chain) -> Told:
    place = f"{chain.backend} {chain.family} {chain.table} {chain.name}{of}"
    if chain.hooking is not None:
        yield Fact(part, "chain", place, (chain.base_text,))
    yield Fact(part, "rule", place, tuple(rule.write() for rule in chain.rules), is_list=True)


def _listings_of(chain: Chain) -> tuple[str, ...]:
    """Where a chain comes from. Whether nft's is one of iptables' as well, only the two together tell."""
    iptables = "ip6tables" if chain.family == "ip6" else "iptables"
    if chain.backend == "iptables-legacy":
        return (f"{iptables}_legacy",)
    if chain.family in ("ip", "ip6"):
        return ("nft", f"{iptables}_nft")
    return ("nft", "netdev_hooks") if chain.family == "netdev" else ("nft",)


# -- the engine -------------------------------------------------------------------------------------------------


def _engine(engine: Engine | Unread) -> Told:
    if isinstance(engine, Unread):
        yield Gap("engine", "engine", engine)
        return
    for name in ("networks", "containers"):
        value = getattr(engine, name)
        if isinstance(value, Unread):
            yield Gap("engine", name, value)
    yield from _resting(_engine_itself(engine), "engine")
    if not isinstance(engine.networks, Unread):
        networks = (fact for network in engine.networks for fact in _network(network))
        yield from _resting(networks, "engine", "networks")


def _engine_itself(engine: Engine) -> Told:
    for name in ("endpoint", "local", "name", "version", "platform", "rootless", "firewall_driver", "swarm"):
        yield Fact("engine", "engine's", name.replace("_", " "), (words(getattr(engine, name)),))
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        yield Fact("engine", "engine's", name, (getattr(engine, name) or "none",))


def _network(network: Network) -> Told:
    told = [network.driver]
    told += [word for word, holds in (("internal", network.internal), ("IPv6", network.ipv6)) if holds]
    told += [
        f"{pool.subnet} gateway {pool.gateway}" if pool.gateway else str(pool.subnet)
        for pool in network.pools
    ]
    yield Fact("engine", "network", network.name, (", ".join(told),))
    for key, value in sorted(network.options.items()):
        yield Fact("engine", f"network {network.name}'s option", key, (value,))


def _of_containers(snapshot: Snapshot) -> Told:
    """What each container is, its network namespace (once where several share it), and its end on the host."""
    owners: dict[str, str] = {}
    for container in sorted(_containers(snapshot.engine), key=_shares_a_namespace):
        yield from _container(container)
        if container.namespace is not None:
            owners.setdefault(container.namespace, container.name)
    ports = (
        {}
        if isinstance(snapshot.network.links, Unread)
        else {link.index: link for link in snapshot.network.links}
    )
    for key, owner in sorted(owners.items(), key=lambda item: item[1]):
        found = snapshot.namespaces.get(key)
        whose, of = namespace_of(owner), f" of container {owner}"
        if isinstance(found, NetworkNamespace):
            told = (*_namespace(of, found), *_ends_on_host(of, found, ports))
            yield from _resting(told, whose, of=whose)
        elif isinstance(found, Unread):
            yield Gap(whose, whose, found)


def namespace_of(container: str) -> str:
    """The part that a container's network namespace as a whole is."""
    return f"namespace of container {container}"


def _containers(engine: Engine | Unread) -> tuple[Container, ...]:
    return () if isinstance(engine, Unread) or isinstance(engine.containers, Unread) else engine.containers


def _shares_a_namespace(container: Container) -> bool:
    return container.network_mode.startswith("container:")


def _ends_on_host(of: str, namespace: NetworkNamespace, on_host: Mapping[int, Link]) -> Told:
    """The host's end of each veth pair, whose own name says nothing."""
    if isinstance(namespace.links, Unread):
        return
    for link in namespace.links:
        end = on_host.get(link.peer or 0) if link.kind == "veth" else None
        if end is not None and end.peer == link.index and _comes_and_goes(end):
            fact = Fact("network", "host's end of", link.name + of, (_link(end, on_host),))
            yield from _resting([fact], "links", f"links{of}")


def _container(container: Container) -> Told:
    yield Fact("engine", "container", container.name, (_container_told(container),))
    whose = f"container {container.name}"
    own = (
        Fact("engine", "DNS server", whose, container.dns, is_list=True),
        Fact("engine", "extra host", whose, container.extra_hosts, is_list=True),
        Fact("engine", "published port", whose, tuple(sorted(map(_port, container.ports))), is_list=True),
        *(
            Fact("engine", f"{whose}'s variable", name, (value,))
            for name, value in sorted(container.proxies.items())
        ),
    )
    yield from _resting(own, of=whose)
    place = f"resolv.conf of {whose}"
    yield from _resting(_file("engine", place, container.resolv_conf, name=place), of=place)


def _container_told(container: Container) -> str:
    places = [
        f"{one.network} {' '.join(filter(None, (one.address, one.address6)))}".strip()
        for one in container.endpoints
    ]
    mode = container.network_mode
    shared = [mode] if mode in ("host", "none") or mode.startswith("container:") else []
    return f"{container.state}, image {container.image}, on {', '.join(shared or places) or 'no network'}"


def _port(one: PortBinding) -> str:
    address = f"[{one.host_address}]" if ":" in one.host_address else one.host_address
    return f"{address}:{one.host_port} to {one.container_port}/{one.protocol}"


# -- processes and files ----------------------------------------------------------------------------------------


def _daemons(snapshot: Snapshot) -> Told:
    if isinstance(snapshot.daemons, Unread):
        yield Gap("daemons", "daemons", snapshot.daemons)
        return
    for daemon in snapshot.daemons:
        named = () if isinstance(daemon.command_line, Unread) else daemon.command_line[:1]
        name = daemon.executable or "".join(named) or "dockerd"
        arguments, environment = f"arguments of {name}", f"environment of {name}"
        if isinstance(daemon.command_line, Unread):
            yield Gap("daemons", arguments, daemon.command_line)
        else:
            found = Fact("daemons", "argument", name, daemon.command_line, is_list=True)
            yield from _resting([found], "daemons", arguments)
        if isinstance(daemon.environment, Unread):
            yield Gap("daemons", environment, daemon.environment)
        else:
            variables = sorted(daemon.environment.items())
            told = (Fact("daemons", f"variable of {name}", key, (value,)) for key, value in variables)
            yield from _resting(told, "daemons", environment)


def _service(service: ServiceUnit | Unread | None) -> Told:
    if isinstance(service, Unread):
        yield Gap("service", "docker.service", service)
    elif service is not None:
        yield from _resting(_unit(service), "docker.service")


def _unit(service: ServiceUnit) -> Told:
    if service.active_state is not None:
        yield Fact(
            "service",
            "unit",
            service.name,
            (f"{service.active_state} ({service.sub_state or 'no more told'})",),
        )
    for file in (service.fragment, *service.drop_ins):
        if file is not None:
            yield from _file("service", file.path, file)
    for one in service.environment_files:
        yield from _file("service", one.path, one.file)
    if isinstance(service.confinement, Unread):
        yield Gap("service", "what systemd keeps it from", service.confinement)
        return
    told = (
        Fact("service", f"{unit}'s", setting, (value,))
        for unit, settings in sorted(service.confinement.items())
        for setting, value in sorted(settings.items())
    )
    yield from _resting(told, "what systemd keeps it from")


def _module_tree(found: ModuleTree | Unread | None) -> Told:
    if isinstance(found, Unread):
        yield Gap("host", "kernel modules", found)
    elif found is not None:
        there = f"modules of the running kernel {'there' if found.exists else 'missing'}"
        told = (
            Fact("host", "kernel's", "module tree", (there,)),
            Fact("host", "absent module", "the kernel", found.absent, is_list=True),
        )
        yield from _resting(told, "kernel modules")


def _boot_sysctls(found: BootSysctls | Unread) -> Told:
    if isinstance(found, Unread):
        yield Gap("boot_sysctls", "sysctls at the next boot", found)
    else:
        yield from _files("boot_sysctls", "sysctls at the next boot", found.files)


def _name_service(found: NameService | Unread) -> Told:
    if isinstance(found, Unread):
        yield Gap("name_service", "the host's name service", found)
        return
    yield from _resting(_nameservers(found), "the host's name service")


def _nameservers(found: NameService) -> Told:
    yield Fact("name_service", "link", "/etc/resolv.conf", (found.link or "a plain file, or none",))
    for file in found.others:
        yield from _file("name_service", file.path, file)
    if isinstance(found.services, Unread):
        yield Gap("name_service", "resolvers", found.services)
        return
    told = (
        Fact("name_service", "resolver", name, (state,)) for name, state in sorted(found.services.items())
    )
    yield from _resting(told, "resolvers")


def _network_managers(found: NetworkManagers | Unread) -> Told:
    if isinstance(found, Unread):
        yield Gap("network_managers", "network managers", found)
        return
    told = [
        Fact("network_managers", "network manager", name, tuple(sorted(values)), is_list=True)
        for name, values in (("that run", found.running), ("that start at boot", found.enabled))
    ]
    yield from _resting(told, "network managers")
    yield from _files("network_managers", "network managers", found.files)


def _services(found: tuple[ServiceState, ...] | Unread) -> Told:
    if isinstance(found, Unread):
        yield Gap("services", "services", found)
        return
    for one in found:
        at_boot = f", {one.unit_file_state}" if one.unit_file_state else ""
        fact = Fact("services", "service", one.name, (f"{one.active_state}{at_boot}",))
        yield from _resting([fact], "services")


def _programs(snapshot: Snapshot) -> Told:
    if isinstance(snapshot.programs, Unread):
        yield Gap("programs", "programs", snapshot.programs)
        return
    for one in snapshot.programs:
        leads = f"{one.path}, leads to {one.leads_to or 'nothing'}" if one.path else "not there"
        yield from _resting([Fact("programs", "program", one.name, (leads,))], "programs")


def _client_proxies(found: tuple[ClientProxies, ...] | Unread) -> Told:
    if isinstance(found, Unread):
        yield Gap("client_proxies", "proxies of docker's client", found)
        return
    told = (
        Fact("client_proxies", f"{one.path}'s {name} for engine", one.endpoint, (value,))
        for one in found
        for name, value in sorted(one.proxies.items())
    )
    yield from _resting(told, "proxies of docker's client")


def _files(part: str, reading: str, files: tuple[TextFile, ...] | Unread) -> Told:
    if isinstance(files, Unread):
        yield Gap(part, reading, files)
        return
    for file in files:
        yield from _resting(_file(part, file.path, file), reading)


def _file(part: str, reading: str, file: TextFile | Unread | None, *, name: str = "") -> Told:
    """The lines of a file, by its path where no name is given."""
    if isinstance(file, Unread):
        yield Gap(part, reading, file)
    elif file is not None:
        told = Fact(part, "line", name or file.path, _significant(file.text), is_list=True)
        yield from _resting([told], reading)


def _significant(text: str) -> tuple[str, ...]:
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", ";")))
