"""Snapshots made by hand: a recorded host, whole and healthy, with the parts replaced that a test speaks of.

Its engine keeps its rules in iptables-legacy, where one text is all that there is of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import checks
from dockerdiag.report import Finding, Report, Status
from dockerdiag.snapshot import (
    BootSysctls,
    Engine,
    NetworkNamespace,
    NextHop,
    Route,
    RoutingRule,
    ServiceUnit,
    Snapshot,
    TextFile,
)
from dockerdiag.snapshot.store import load
from tests.recorded import FOLDER

Change = Callable[[Snapshot], Snapshot]
SHIPPED, _ = checks()


def host(*changes: Change, recorded: str = "legacy-engine-plain-trixie") -> Snapshot:
    """The recorded host after these changes, in their order."""
    snapshot = load(FOLDER / f"{recorded}.json.gz")
    for change in changes:
        snapshot = change(snapshot)
    return snapshot


def judged(*changes: Change, containers: tuple[str, ...] = (), recorded: str | None = None) -> Report:
    """What is said of that host; of `containers` where they are asked about."""
    snapshot = host(*changes) if recorded is None else host(*changes, recorded=recorded)
    return diagnose(snapshot, Asked.parse(containers=containers), SHIPPED)


def told(report: Report, *statuses: Status) -> dict[str, Finding]:
    """Its findings of these statuses (fail, warn and unknown where none is named), by code."""
    wanted = statuses or (Status.FAIL, Status.WARN, Status.UNKNOWN)
    return {f.code: f for result in report.results for f in result.findings if f.status in wanted}


def cause_of(report: Report) -> tuple[str, str, str]:
    """Check, code and subject."""
    assert report.cause is not None
    return report.cause.check, report.cause.code, report.cause.subject


# -- changes -----------------------------------------------------------------------------------------------------


def network(**parts: Any) -> Change:
    """Replaces parts of the host's network namespace."""
    return lambda snapshot: replace(snapshot, network=replace(snapshot.network, **parts))


def container_namespace(change: Callable[[NetworkNamespace], NetworkNamespace]) -> Change:
    """Changes the namespace of the only container."""

    def changed(snapshot: Snapshot) -> Snapshot:
        ((name, namespace),) = snapshot.namespaces.items()
        assert isinstance(namespace, NetworkNamespace)
        return replace(snapshot, namespaces={name: change(namespace)})

    return changed


def sysctls(values: Mapping[str, str]) -> Change:
    """Sets sysctls of the host; `net/ipv4/ip_forward` alone, as writing it would not do."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.sysctls, Mapping)
        return network(sysctls={**snapshot.network.sysctls, **values})(snapshot)

    return changed


def rules(old: str, new: str) -> Change:
    """Edits the text of the rules; `old` must be in it."""

    def changed(snapshot: Snapshot) -> Snapshot:
        text = snapshot.network.firewall.iptables_legacy
        assert isinstance(text, str)
        assert old in text
        firewall = replace(snapshot.network.firewall, iptables_legacy=text.replace(old, new))
        return network(firewall=firewall)(snapshot)

    return changed


def first_in(chain: str, rule: str) -> Change:
    """Puts a rule first into a chain, in the first table that has it or in nat or raw by `nat:POSTROUTING`."""
    table, _, name = chain.rpartition(":")

    def changed(snapshot: Snapshot) -> Snapshot:
        text = snapshot.network.firewall.iptables_legacy
        assert isinstance(text, str)
        head, star, rest = text.partition(f"*{table or 'filter'}\n")
        assert star
        before, commit, after = rest.partition("COMMIT\n")
        lines = before.splitlines(keepends=True)
        at = next(
            (i for i, line in enumerate(lines) if f" -A {name} " in line),
            len(lines),
        )
        lines.insert(at, f"[0:0] -A {name} {rule}\n")
        whole = f"{head}{star}{''.join(lines)}{commit}{after}"
        return network(firewall=replace(snapshot.network.firewall, iptables_legacy=whole))(snapshot)

    return changed


def with_table(text: str) -> Change:
    """Adds a table to the rules."""

    def changed(snapshot: Snapshot) -> Snapshot:
        before = snapshot.network.firewall.iptables_legacy
        assert isinstance(before, str)
        return network(firewall=replace(snapshot.network.firewall, iptables_legacy=before + text))(snapshot)

    return changed


def without_rules(snapshot: Snapshot) -> Snapshot:
    """Flushes all of them."""
    return network(firewall=replace(snapshot.network.firewall, iptables_legacy=""))(snapshot)


def routing_rule(rule: RoutingRule) -> Change:
    """Adds a policy rule."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.rules, tuple)
        both = sorted((*snapshot.network.rules, rule), key=lambda one: one.priority)
        return network(rules=tuple(both), route_answers=())(snapshot)

    return changed


def route(destination: str, **parts: Any) -> Change:
    """Adds a route of the main table."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.routes, tuple)
        fields = {"table": 254, "type": "unicast", **parts}
        added = Route(4, destination=destination, **fields)
        return network(routes=(added, *snapshot.network.routes), route_answers=())(snapshot)

    return changed


def by(link: int, gateway: str | None = None) -> tuple[NextHop, ...]:
    """The next hop by a link."""
    return (NextHop(link, gateway),)


def daemon_json(text: str, *, modified_at: float = 0.0) -> Change:
    """Gives the engine a configuration file; by default one that it read when it started."""
    file = TextFile("/etc/docker/daemon.json", text, modified_at)
    return lambda snapshot: replace(snapshot, daemon_json=file)


def command_line(*words: str) -> Change:
    """Adds words to the running dockerd's command line."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.daemons, tuple)
        (daemon,) = snapshot.daemons
        assert isinstance(daemon.command_line, tuple)
        return replace(snapshot, daemons=(replace(daemon, command_line=(*daemon.command_line, *words)),))

    return changed


def environment(**variables: str) -> Change:
    """Adds variables to the running dockerd's environment."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.daemons, tuple)
        (daemon,) = snapshot.daemons
        assert isinstance(daemon.environment, Mapping)
        return replace(snapshot, daemons=(replace(daemon, environment={**daemon.environment, **variables}),))

    return changed


def drop_in(name: str, lines: str, folder: str = "/etc/systemd/system/docker.service.d") -> Change:
    """Adds a drop-in of docker.service, after the others."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.service, ServiceUnit)
        file = TextFile(f"{folder}/{name}", f"[Service]\n{lines}\n", 0.0)
        service = replace(snapshot.service, drop_ins=(*snapshot.service.drop_ins, file))
        return replace(snapshot, service=service)

    return changed


def service(**parts: Any) -> Change:
    """Replaces parts of docker.service."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.service, ServiceUnit)
        return replace(snapshot, service=replace(snapshot.service, **parts))

    return changed


def engine(**parts: Any) -> Change:
    """Replaces parts of the engine."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        return replace(snapshot, engine=replace(snapshot.engine, **parts))

    return changed


def default_bridge(**parts: Any) -> Change:
    """Replaces parts of the network `bridge`."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        networks = tuple(
            replace(one, **parts) if one.name == "bridge" else one for one in snapshot.engine.networks
        )
        return engine(networks=networks)(snapshot)

    return changed


def links(name: str, **parts: Any) -> Change:
    """Replaces parts of one of the host's links."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.links, tuple)
        found = tuple(replace(one, **parts) if one.name == name else one for one in snapshot.network.links)
        return network(links=found)(snapshot)

    return changed


def sysctl_d(path: str, text: str) -> Change:
    """Adds a file of sysctl.d."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.boot_sysctls, BootSysctls)
        files = (*snapshot.boot_sysctls.files, TextFile(path, text, 0.0))
        return replace(snapshot, boot_sysctls=replace(snapshot.boot_sysctls, files=files))

    return changed
