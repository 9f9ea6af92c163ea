"""Real hosts whose names, comments, labels and files somebody chose to hurt: judged and shown as any other."""

import json
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerdiag.asked import Asked
from dockerdiag.changes import compared_snapshots
from dockerdiag.cli.changes_told import told
from dockerdiag.diagnosis import diagnose
from dockerdiag.formatting import RenderOptions
from dockerdiag.registry import checks, formats
from dockerdiag.report import Report
from dockerdiag.snapshot import Engine, IpSet, Link, LogLine, ServiceUnit, Snapshot, TextFile
from dockerdiag.snapshot.store import load
from tests.recorded import FOLDER
from tests.reports.hostile import texts
from tests.reports.test_formats_agree import assert_agreement
from tests.reports.test_html import assert_harmless
from tests.reports.test_junit import parsed
from tests.reports.test_markdown import assert_structure
from tests.reports.test_nagios import CHECKMK, assert_plugin_output
from tests.reports.test_prometheus import samples

FORMATS, CHECKS = formats()[0], checks()
HOSTS = {
    name: load(FOLDER / f"{name}-trixie.json.gz")
    for name in ("docker-user-drops-replies", "network-unmasqueraded", "drop-in-edited-not-in-force", "plain")
}
RULE = "-A DOCKER-USER -i eth0 -j DROP"


def with_comments(listing: str, evil: str) -> str:
    """nft's listing with the same comment on every rule."""
    objects = json.loads(listing)
    for one in objects["nftables"]:
        if "rule" in one:
            one["rule"]["comment"] = evil
    return json.dumps(objects)


def haunted(snapshot: Snapshot, evil: str) -> Snapshot:
    """The host with `evil` wherever somebody without root can put it, and where root may have been careless."""
    engine, service = snapshot.engine, snapshot.service
    assert isinstance(engine, Engine)
    assert isinstance(engine.containers, tuple)
    assert isinstance(engine.networks, tuple)
    assert isinstance(service, ServiceUnit)
    names = {
        one.name: f"{one.name}{evil}" for one in engine.networks if one.name not in ("bridge", "host", "none")
    }
    containers = tuple(
        replace(
            one,
            name=f"{one.name}{evil}",
            image=evil,
            compose_project=evil,
            compose_service=evil,
            extra_hosts=(evil,),
            proxies={"HTTP_PROXY": evil, "NO_PROXY": evil},
            endpoints=tuple(
                replace(end, network=names.get(end.network, end.network), aliases=(evil,))
                for end in one.endpoints
            ),
            network_mode=names.get(one.network_mode, one.network_mode),
        )
        for one in engine.containers
    )
    networks = tuple(
        replace(
            one, name=names.get(one.name, one.name), options={**one.options, evil: evil}, compose_project=evil
        )
        for one in engine.networks
    )
    firewall = snapshot.network.firewall
    assert isinstance(firewall.iptables_nft, str)
    assert isinstance(firewall.nft, str)
    assert isinstance(snapshot.network.links, tuple)
    flat = " ".join(evil.replace('"', "'").replace("\\", "/").split("\n"))
    commented = firewall.iptables_nft.replace(
        RULE, f'-A DOCKER-USER -i eth0 -m comment --comment "{flat}" -j DROP'
    )
    file = TextFile("/etc/docker/daemon.json", json.dumps({"labels": [f"note={evil}"]}))
    return replace(
        snapshot,
        host=replace(snapshot.host, hostname=evil, os_name=evil),
        engine=replace(engine, containers=containers, networks=networks, warnings=(evil,)),
        network=replace(
            snapshot.network,
            links=(*snapshot.network.links, Link(99, evil, "dummy", up=True, operstate="up", mtu=1500)),
            firewall=replace(
                firewall,
                iptables_nft=commented,
                nft=with_comments(firewall.nft, evil),
                ipsets=(IpSet(evil, "hash:ip", "inet", (evil, "10.0.0.9")),),
            ),
        ),
        service=replace(
            service,
            drop_ins=(
                *service.drop_ins,
                TextFile(f"{service.name}.d/{evil}.conf", f"[Service]\n# {flat}\n"),
            ),
        ),
        daemon_json=file,
        hosts_file=TextFile("/etc/hosts", f"127.0.0.1 {evil} # {evil}\n"),
        resolv_conf=TextFile("/etc/resolv.conf", f"# {evil}\nnameserver 203.0.113.10\nsearch {evil}\n"),
        journal=(LogLine(0.0, "dockerd", evil),),
        invoking_user=evil,
    )


def judged(snapshot: Snapshot) -> Report:
    return diagnose(snapshot, Asked.parse(), *CHECKS)


@settings(max_examples=60)
@given(st.sampled_from(sorted(HOSTS)), texts)
def test_nothing_runs_and_nothing_breaks_the_layout(name: str, evil: str) -> None:
    report = judged(haunted(HOSTS[name], evil))
    assert_agreement(report)
    assert_plugin_output(report)
    parsed(report)
    for verbose in (False, True):
        shown = {one: FORMATS[one].render(report, RenderOptions(verbose=verbose)) for one in FORMATS}
        samples(shown["prometheus"])
        assert_structure(shown["markdown"])
        assert_harmless(shown["html"])
        assert CHECKMK.fullmatch(shown["checkmk"])
        assert shown["json"].isascii()
        for one in ("text", "markdown", "nagios", "checkmk", "prometheus", "json", "html", "junit"):
            obeyed = {c for c in shown[one] if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")}
            assert not obeyed, one
        assert shown["text"].splitlines()[-1].startswith(f"{report.verdict.value}: ")


@settings(max_examples=30)
@given(st.sampled_from(sorted(HOSTS)), texts)
def test_no_check_fails_over_a_name(name: str, evil: str) -> None:
    report = judged(haunted(HOSTS[name], evil))
    assert not [one.reason for one in report.results if one.reason and "an error in the check" in one.reason]


@settings(max_examples=20)
@given(texts)
def test_what_changed_obeys_nothing_either(evil: str) -> None:
    snapshot = HOSTS["plain"]
    lines = "\n".join(told(compared_snapshots(snapshot, haunted(snapshot, evil), judged))).split("\n")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", HOSTS)
def test_the_verdict_is_what_it_was(name: str) -> None:
    plain, evil = judged(HOSTS[name]), judged(haunted(HOSTS[name], "<b>\x1b[2J\u202e"))
    assert (plain.cause and plain.cause.code) == (evil.cause and evil.cause.code)
