"""What a snapshot says, as named values that can be compared with those of another time.

What changes by itself is left out: times, counters, process ids, neighbours, logs, addresses that links give
themselves, and veth links, which every start of a container names anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dockerdiag.packet.parse import parse
from dockerdiag.snapshot import (
    BootSysctls,
    Container,
    Engine,
    Firewall,
    Link,
    NameService,
    Network,
    NetworkManagers,
    NetworkNamespace,
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


class Fact(NamedTuple):
    """One thing with its value: several lines where it is a list whose order counts."""

    part: str
    """Field of the snapshot that it comes from."""
    noun: str
    name: str
    lines: tuple[str, ...]
    is_list: bool = False


def facts(snapshot: Snapshot) -> Iterator[Fact]:
    """Every fact of a snapshot."""
    yield Fact("host", "kernel", "", (snapshot.host.kernel,))
    yield from _namespace("network", "", snapshot.network)
    for namespace, owner in sorted(_owners(snapshot).items(), key=lambda item: item[1]):
        found = snapshot.namespaces.get(namespace)
        if isinstance(found, NetworkNamespace):
            yield from _namespace("engine", f" of container {owner}", found)
        elif isinstance(found, Unread):
            yield _unread("engine", f"namespace of container {owner}", found)
    yield from _engine(snapshot.engine)
    yield from _daemons(snapshot)
    yield from _service(snapshot.service)
    yield from _file("daemon_json", snapshot.daemon_json)
    if isinstance(snapshot.boot_sysctls, BootSysctls):
        for file in snapshot.boot_sysctls.files:
            yield from _file("boot_sysctls", file)
    yield from _file("resolv_conf", snapshot.resolv_conf)
    yield from _file("hosts_file", snapshot.hosts_file)
    yield from _name_service(snapshot.name_service)
    yield from _network_managers(snapshot.network_managers)
    yield from _services(snapshot.services)
    if isinstance(snapshot.firewall_files, tuple):
        for file in snapshot.firewall_files:
            yield from _file("firewall_files", file)
    if isinstance(snapshot.programs, tuple):
        for one in snapshot.programs:
            yield Fact(
                "programs", "program", one.name, (f"{one.path or 'not there'}, leads to {one.leads_to}",)
            )


def _owners(snapshot: Snapshot) -> dict[str, str]:
    """Of each container's namespace the container's name; shared ones once."""
    owners: dict[str, str] = {}
    for container in _containers(snapshot.engine):
        if container.namespace is not None:
            owners.setdefault(container.namespace, container.name)
    return owners


def _containers(engine: Engine | Unread) -> tuple[Container, ...]:
    return () if isinstance(engine, Unread) or isinstance(engine.containers, Unread) else engine.containers


def _unread(part: str, name: str, unread: Unread) -> Fact:
    return Fact(part, "part", name, (f"could not be read ({unread.reason})",))


# -- a network namespace ----------------------------------------------------------------------------------------


def _namespace(part: str, of: str, namespace: NetworkNamespace) -> Iterator[Fact]:
    links = {} if isinstance(namespace.links, Unread) else {link.index: link for link in namespace.links}
    yield from _unread_parts(part, of, namespace)
    for link in links.values():
        if not _comes_and_goes(link):
            yield Fact(part, "link", link.name + of, (_link(link, links),))
    if not isinstance(namespace.addresses, Unread):
        for index, link in links.items():
            written = sorted(
                f"{one.address}/{one.prefix_length}"
                for one in namespace.addresses
                if one.link == index and one.scope != "link"
            )
            if written and not _comes_and_goes(link):
                yield Fact(part, "address", link.name + of, tuple(written), is_list=True)
    if not isinstance(namespace.routes, Unread):
        tables: dict[str, list[str]] = {}
        for route in namespace.routes:
            # The local table follows from the addresses.
            if route.table != 255 and not route.destination.startswith(("fe80:", "ff00:")):
                tables.setdefault(f"table {_table(route.table)}{of}", []).append(_route(route, links))
        for name, routes in tables.items():
            yield Fact(part, "route", name, tuple(sorted(routes)), is_list=True)
    if not isinstance(namespace.rules, Unread):
        written = [_rule(rule) for rule in namespace.rules]
        yield Fact(part, "routing rule", f"the host{of}", tuple(written), is_list=True)
    if not isinstance(namespace.sysctls, Unread):
        for key, value in sorted(namespace.sysctls.items()):
            if key not in _VOLATILE_SYSCTLS and "/veth" not in key:
                yield Fact("sysctls" if part == "network" else part, "sysctl", _dotted(key) + of, (value,))
    yield from _permanent_neighbours(part, of, namespace, links)
    if part == "network":
        yield from _listeners(part, namespace)
    yield from _firewall("firewall" if part == "network" else part, of, namespace.firewall)


def _unread_parts(part: str, of: str, namespace: NetworkNamespace) -> Iterator[Fact]:
    for name in ("links", "addresses", "routes", "rules", "sysctls"):
        value = getattr(namespace, name)
        if isinstance(value, Unread):
            yield _unread(part, f"{name}{of}", value)


def _permanent_neighbours(
    part: str, of: str, namespace: NetworkNamespace, links: Mapping[int, Link]
) -> Iterator[Fact]:
    if isinstance(namespace.neighbours, Unread):
        return
    for one in namespace.neighbours:
        link = links.get(one.link)
        if one.state == "permanent" and one.mac is not None and link is not None:
            yield Fact(part, "permanent neighbour", f"{one.address} dev {link.name}{of}", (one.mac,))


def _listeners(part: str, namespace: NetworkNamespace) -> Iterator[Fact]:
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
    if master is not None:
        told.append(f"master {master.name}")
    return ", ".join(told)


def _route(route: Route, links: Mapping[int, Link]) -> str:
    words = [route.destination] if route.type == "unicast" else [route.type, route.destination]
    for hop in route.next_hops:
        link = links.get(hop.link or 0)
        words += ["via", hop.gateway] if hop.gateway else []
        words += ["dev", link.name] if link is not None else []
        words += [flag for flag in hop.flags if flag != "linkdown"]
    words += ["src", route.preferred_source] if route.preferred_source else []
    words += ["metric", str(route.metric)] if route.metric else []
    return " ".join(words)


def _table(number: int) -> str:
    return {253: "default", 254: "main"}.get(number, str(number))


def _rule(rule: RoutingRule) -> str:
    words = [f"{rule.priority}:", f"IPv{rule.family}"]
    words += ["not"] if rule.invert else []
    for word, value in (
        ("from", rule.source),
        ("to", rule.destination),
        ("iif", rule.in_link),
        ("oif", rule.out_link),
        ("fwmark", None if rule.mark is None else f"{rule.mark:#x}/{rule.mask or 0xFFFFFFFF:#x}"),
    ):
        words += [word, str(value)] if value is not None else []
    words += [rule.action] + ([] if rule.table is None else [_table(rule.table)])
    return " ".join(words)


def _dotted(key: str) -> str:
    """A sysctl as sysctl(8) writes it: dots and slashes change places."""
    return key.translate(str.maketrans("/.", "./"))


def _firewall(part: str, of: str, firewall: Firewall) -> Iterator[Fact]:
    for name in Firewall.__slots__:
        value = getattr(firewall, name)
        if isinstance(value, Unread):
            yield _unread(part, f"{name}{of}", value)
    for table in parse(firewall).tables:
        for chain in table.chains.values():
            place = f"{chain.backend} {chain.family} {chain.table} {chain.name}{of}"
            if chain.hooking is not None:
                yield Fact(part, "chain", place, (chain.base_text,))
            yield Fact(part, "rule", place, tuple(rule.write() for rule in chain.rules), is_list=True)
    if not isinstance(firewall.ipsets, Unread):
        for one in firewall.ipsets:
            yield Fact(part, "member", f"ipset {one.name}{of}", tuple(sorted(one.members)), is_list=True)


# -- the engine -------------------------------------------------------------------------------------------------


def _engine(engine: Engine | Unread) -> Iterator[Fact]:
    if isinstance(engine, Unread):
        yield _unread("engine", "engine", engine)
        return
    for name in ("endpoint", "name", "version", "platform", "rootless", "firewall_driver", "swarm"):
        yield Fact("engine", "engine's", name.replace("_", " "), (str(getattr(engine, name)),))
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        yield Fact("engine", "engine's", name, (str(getattr(engine, name)) or "none",))
    if isinstance(engine.networks, Unread):
        yield _unread("engine", "networks", engine.networks)
    else:
        for network in engine.networks:
            yield from _network(network)
    if isinstance(engine.containers, Unread):
        yield _unread("engine", "containers", engine.containers)
    for container in _containers(engine):
        yield Fact("engine", "container", container.name, (_container(container),))
        if isinstance(container.resolv_conf, TextFile):
            place = f"resolv.conf of container {container.name}"
            yield Fact("engine", "line", place, _significant(container.resolv_conf.text), is_list=True)


def _network(network: Network) -> Iterator[Fact]:
    words = [network.driver]
    words += [word for word, holds in (("internal", network.internal), ("IPv6", network.ipv6)) if holds]
    words += [
        f"{pool.subnet} gateway {pool.gateway}" if pool.gateway else str(pool.subnet)
        for pool in network.pools
    ]
    yield Fact("engine", "network", network.name, (", ".join(words),))
    for key, value in sorted(network.options.items()):
        yield Fact("engine", f"network {network.name}'s option", key, (value,))


def _container(container: Container) -> str:
    places = [
        f"{one.network} {' '.join(filter(None, (one.address, one.address6)))}".strip()
        for one in container.endpoints
    ]
    mode = container.network_mode
    shared = [mode] if mode in ("host", "none") or mode.startswith("container:") else []
    return f"{container.state}, image {container.image}, on {', '.join(shared or places) or 'no network'}"


# -- processes and files ----------------------------------------------------------------------------------------


def _daemons(snapshot: Snapshot) -> Iterator[Fact]:
    if isinstance(snapshot.daemons, Unread):
        yield _unread("daemons", "daemons", snapshot.daemons)
        return
    for daemon in snapshot.daemons:
        name = daemon.executable or "dockerd"
        if not isinstance(daemon.command_line, Unread):
            yield Fact("daemons", "argument", name, daemon.command_line, is_list=True)
        if not isinstance(daemon.environment, Unread):
            for variable, value in sorted(daemon.environment.items()):
                yield Fact("daemons", "variable of", f"{name} {variable}", (value,))


def _service(service: ServiceUnit | Unread | None) -> Iterator[Fact]:
    if isinstance(service, Unread):
        yield _unread("service", "service", service)
    if not isinstance(service, ServiceUnit):
        return
    yield Fact("service", "unit", service.name, (f"{service.active_state} ({service.sub_state})",))
    for file in (service.fragment, *service.drop_ins):
        yield from _file("service", file)
    for one in service.environment_files:
        yield from _file("service", one.file)


def _name_service(found: NameService | Unread) -> Iterator[Fact]:
    if isinstance(found, Unread):
        return
    yield Fact("name_service", "link", "/etc/resolv.conf", (found.link or "a plain file, or none",))
    for file in found.others:
        yield from _file("name_service", file)
    if not isinstance(found.services, Unread):
        for name, state in sorted(found.services.items()):
            yield Fact("name_service", "resolver", name, (state,))


def _network_managers(found: NetworkManagers | Unread) -> Iterator[Fact]:
    if isinstance(found, Unread):
        return
    for name, values in (("that run", found.running), ("that start at boot", found.enabled)):
        yield Fact("network_managers", "network manager", name, tuple(sorted(values)), is_list=True)
    for file in found.files:
        yield from _file("network_managers", file)


def _services(found: tuple[ServiceState, ...] | Unread) -> Iterator[Fact]:
    if not isinstance(found, Unread):
        for one in found:
            at_boot = f", {one.unit_file_state}" if one.unit_file_state else ""
            yield Fact("services", "service", one.name, (f"{one.active_state}{at_boot}",))


def _file(part: str, file: TextFile | Unread | None) -> Iterator[Fact]:
    if isinstance(file, TextFile):
        yield Fact(part, "line", file.path, _significant(file.text), is_list=True)


def _significant(text: str) -> tuple[str, ...]:
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", ";")))
