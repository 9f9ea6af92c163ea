"""What is fuzzed: each parser as a function of bytes, with real inputs to begin from.

A target returns for whatever it is given, or raises the one error that its parser promises; anything else is a bug.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from dockerdiag import expectations, last_run, report_json
from dockerdiag.asked import Asked
from dockerdiag.changes import compared_snapshots
from dockerdiag.configuration.daemon_json import read_daemon_json
from dockerdiag.configuration.dockerd_flags import parse_flags
from dockerdiag.configuration.dockerd_options import engine_version
from dockerdiag.configuration.environment_file import read_environment_file
from dockerdiag.configuration.sysctl_d import final
from dockerdiag.configuration.systemd_unit import effective_service
from dockerdiag.destination import Destination, DestinationError
from dockerdiag.diagnosis import diagnose
from dockerdiag.facts import facts
from dockerdiag.formatting import RenderOptions
from dockerdiag.packet.parse import parse
from dockerdiag.packet.plan import resolvers
from dockerdiag.packet.rules import Ruleset
from dockerdiag.readers.containers import container, network
from dockerdiag.readers.logs import journal_lines
from dockerdiag.readers.manager import told
from dockerdiag.readers.resolver import nameservers
from dockerdiag.readers.units import settings
from dockerdiag.registry import checks, formats
from dockerdiag.report import Report
from dockerdiag.snapshot import (
    BootSysctls,
    EnvironmentFile,
    Firewall,
    IpSet,
    ServiceUnit,
    Snapshot,
    TextFile,
    Unread,
)
from dockerdiag.snapshot.redact import redact
from dockerdiag.snapshot.secrets import mask_arguments, mask_text, mask_variable
from dockerdiag.snapshot.store import SnapshotError, dump, loads
from dockerdiag_reports.html import read_back
from tests.fuzz import seeds
from tests.packet.hosts import container as made_container
from tests.packet.hosts import host_namespace, snapshot

KEYS = ("net/ipv4/ip_forward", "net/ipv4/conf/docker0/forwarding", "net/ipv6/conf/all/forwarding")


@dataclass(frozen=True)
class Target:
    """One parser."""

    name: str
    seeds: Callable[[], list[bytes]]
    attempt: Callable[[bytes], None]


def _text(data: bytes) -> str:
    # As the readers decode what the host gives.
    return data.decode(errors="replace")


def _judge(ruleset: Ruleset) -> None:
    """Reads every rule, as a packet that meets them all would have it."""
    for table in ruleset.tables:
        for chain in table.chains.values():
            for rule in chain.rules:
                rule.items  # noqa: B018 - to read is what may fail
                chain.reference(rule)
                rule.key()


def iptables_save(data: bytes) -> None:
    text = _text(data)
    _judge(parse(Firewall(nft="", iptables_legacy=text, ip6tables_legacy=text)))


def nft_json(data: bytes) -> None:
    _judge(parse(Firewall(nft=_text(data), iptables_nft=seeds.one_save())))


def nft_pairs(data: bytes) -> None:
    """Both tools' words for the same tables, of which one is damaged."""
    _judge(parse(Firewall(nft=seeds.one_listing(), iptables_nft=_text(data))))


def rules_walked(data: bytes) -> None:
    """A packet through the damaged rules of an otherwise healthy host."""
    text = _text(data)
    firewall = Firewall(nft="", iptables_legacy=text)
    if text.lstrip().startswith("{"):
        firewall = Firewall(nft=text)
    host = snapshot(host=host_namespace(firewall=firewall))
    diagnose(host, Asked.parse(), ())


def unit(data: bytes) -> None:
    text = _text(data)
    file = TextFile("/etc/systemd/system/docker.service", text)
    extra = TextFile("/etc/systemd/system/docker.service.d/10.conf", text[::2])
    entry = EnvironmentFile("/etc/default/docker", optional=True, file=TextFile("/etc/default/docker", text))
    effective_service(ServiceUnit("docker.service", file, (extra,), (entry,), exec_start=text), "host")
    list(settings(text, "Service", "EnvironmentFile"))


def manager(data: bytes) -> None:
    told(_text(data))


def environment_file(data: bytes) -> None:
    read_environment_file(_text(data))


def sysctl_d(data: bytes) -> None:
    text = _text(data)
    files = tuple(TextFile(path, text) for path in ("/etc/sysctl.d/9.conf", "/etc/sysctl.conf"))
    for key in KEYS:
        final(BootSysctls(files, text[:200]), key)


def resolv_conf(data: bytes) -> None:
    file = TextFile("/etc/resolv.conf", _text(data))
    list(nameservers([file]))
    resolvers(made_container(resolv_conf=file))


def hosts_file(data: bytes) -> None:
    one = snapshot(hosts_file=TextFile("/etc/hosts", _text(data)))
    with suppress(DestinationError):
        Destination.parse("localhost").addresses(one)


def daemon_json(data: bytes) -> None:
    file = TextFile("/etc/docker/daemon.json", _text(data))
    for version in (None, engine_version("20.10.24"), engine_version("28.5.2")):
        read_daemon_json(file, version)


def dockerd_flags(data: bytes) -> None:
    words = _text(data).split("\n")
    for version in (None, engine_version("28.5.2")):
        parse_flags(words, version)
    mask_arguments(words)


def destination(data: bytes) -> None:
    with suppress(DestinationError):
        Destination.parse(_text(data)).addresses(snapshot())


def ipsets(data: bytes) -> None:
    head, *members = _text(data).split("\n")
    name, _, kind = head.partition(" ")
    sets = (IpSet(name or "s", kind or "hash:net", "inet", tuple(members)),)
    rules = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m set --match-set {name or 's'} src,dst -j DROP\nCOMMIT\n"
    host = host_namespace(firewall=Firewall(nft="", iptables_legacy=rules, ipsets=sets))
    diagnose(snapshot(host=host), Asked.parse(), ())


def configuration(data: bytes) -> None:
    with suppress(expectations.ConfigurationError):
        expectations.loads(data, "configuration")


def state(data: bytes) -> None:
    with suppress(last_run.StateError):
        last_run.loads(data)


def journal(data: bytes) -> None:
    list(journal_lines(_text(data)))


def engine_answer(data: bytes) -> None:
    """What an engine says of a container or a network, once it is JSON."""
    with suppress(ValueError, RecursionError):
        told = json.loads(data)
        if isinstance(told, dict):
            _answered(told)


def _answered(told: dict[str, Any]) -> None:
    try:
        container(told, {}, local=False)
        network(told)
    except (ValueError, RecursionError) as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error


def secrets(data: bytes) -> None:
    text = _text(data)
    assert mask_text(text).text.count("\n") == text.count("\n"), "lines keep their number"
    mask_variable("HTTP_PROXY", text)


def stored_snapshot(data: bytes) -> None:
    try:
        one = loads(data)
    except SnapshotError:
        return
    assert loads(dump(one)) == one
    list(facts(one))


def judged_snapshot(data: bytes) -> None:
    """A stranger's snapshot through everything that `--from` does with one."""
    try:
        one = loads(data)
    except SnapshotError:
        return
    report = _diagnosed(one)
    _shown(report)
    compared_snapshots(one, snapshot(), _diagnosed)
    redact(one, b"key")


def _diagnosed(one: Snapshot) -> Report:
    report = diagnose(one, Asked.parse(), *_checks())
    for result in report.results:
        assert result.reason is None or "an error in the check" not in result.reason, result.reason
    return report


def _shown(report: Report) -> None:
    for form in _formats():
        form.render(report, RenderOptions(verbose=True)).encode()


def report(data: bytes) -> None:
    """A stranger's report in JSON, shown in every format."""
    try:
        one = report_json.loads(data)
    except ValueError:
        return
    _shown(one)


def html(data: bytes) -> None:
    with suppress(report_json.ReportError):
        read_back(_text(data))


@cache
def _checks() -> Any:
    return checks(plugins=False)


@cache
def _formats() -> Any:
    return tuple(formats(plugins=False)[0].values())


def _unit_seeds() -> list[bytes]:
    return list(dict.fromkeys(_texts(_unit_texts)))


def _unit_texts(one: Snapshot) -> Iterator[str]:
    service = one.service
    if isinstance(service, ServiceUnit):
        for file in (service.fragment, *service.drop_ins):
            if file is not None:
                yield file.text[:3000]


def _texts(of: Callable[[Snapshot], Iterator[str]]) -> list[bytes]:
    return [text.encode() for one in seeds.snapshots() for text in of(one)]


def _files(of: Callable[[Snapshot], Any]) -> Callable[[], list[bytes]]:
    def found() -> list[bytes]:
        files = (of(one) for one in seeds.snapshots())
        texts = (file.text.encode() for file in files if isinstance(file, TextFile))
        return list(dict.fromkeys(texts)) or [b""]

    return found


def _environment_texts(one: Snapshot) -> Iterator[str]:
    service = one.service
    if isinstance(service, ServiceUnit):
        for entry in service.environment_files:
            if isinstance(entry.file, TextFile):
                yield entry.file.text
        for file in service.unused_environment_files:
            yield file.text


def _sysctl_texts(one: Snapshot) -> Iterator[str]:
    if not isinstance(one.boot_sysctls, Unread):
        yield from (file.text for file in one.boot_sysctls.files)


def _command_lines(one: Snapshot) -> Iterator[str]:
    if not isinstance(one.daemons, Unread):
        for daemon in one.daemons:
            if not isinstance(daemon.command_line, Unread):
                yield "\n".join(daemon.command_line[1:])


TARGETS = {
    target.name: target
    for target in (
        Target("iptables-save", seeds.saves, iptables_save),
        Target("nft-json", seeds.listings, nft_json),
        Target("nft-pairs", seeds.saves, nft_pairs),
        Target("rules-walked", lambda: seeds.saves() + seeds.listings(), rules_walked),
        Target("unit", _unit_seeds, unit),
        Target("manager", seeds.manager, manager),
        Target(
            "environment-file", lambda: [*_texts(_environment_texts), *seeds.environment()], environment_file
        ),
        Target("sysctl.d", lambda: list(dict.fromkeys(_texts(_sysctl_texts))), sysctl_d),
        Target(
            "resolv.conf", lambda: _files(lambda one: one.resolv_conf)() + seeds.resolv_conf(), resolv_conf
        ),
        Target("hosts", _files(lambda one: one.hosts_file), hosts_file),
        Target(
            "daemon.json", lambda: _files(lambda one: one.daemon_json)() + seeds.daemon_json(), daemon_json
        ),
        Target("dockerd-flags", lambda: _texts(_command_lines) + seeds.flags(), dockerd_flags),
        Target("destination", seeds.destinations, destination),
        Target("ipset", seeds.ipsets, ipsets),
        Target("configuration", seeds.configurations, configuration),
        Target("state", seeds.states, state),
        Target("journal", seeds.journal, journal),
        Target("engine-answer", seeds.answers, engine_answer),
        Target("secrets", seeds.secrets, secrets),
        Target("snapshot", seeds.stored, stored_snapshot),
        Target("snapshot-judged", seeds.stored, judged_snapshot),
        Target("report", seeds.reports, report),
        Target("html", seeds.pages, html),
    )
}
