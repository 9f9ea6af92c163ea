from dataclasses import replace

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Engine, IpamPool, Snapshot, SwarmNode
from tests.checks.hosts import Change, cause_of, engine, judged, links, told

ALONE = "swarm-of-one-trixie"
SEVERAL = SwarmNode("198.51.100.2", ("198.51.100.2", "198.51.100.3"), nodes=2, manager=True)


def overlay(**parts: object) -> Change:
    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        networks = tuple(
            replace(one, **parts) if one.name == "mesh" else one for one in snapshot.engine.networks
        )
        return engine(networks=networks)(snapshot)

    return changed


def dropping_input(snapshot: Snapshot) -> Snapshot:
    legacy = (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        "[0:0] -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
        "[0:0] -A INPUT -p tcp -m tcp --dport 2377 -j ACCEPT\nCOMMIT\n"
    )
    firewall = replace(snapshot.network.firewall, iptables_legacy=legacy)
    return replace(snapshot, network=replace(snapshot.network, firewall=firewall))


def test_a_swarm_of_one_lets_nobody_in() -> None:
    report = judged(dropping_input, recorded=ALONE)
    assert report.verdict is Verdict.OK


def test_other_managers_must_get_in() -> None:
    assert judged(engine(swarm_node=SEVERAL), recorded=ALONE).verdict is Verdict.OK
    report = judged(engine(swarm_node=SEVERAL), dropping_input, recorded=ALONE)
    assert cause_of(report)[:2] == ("swarm", "swarm-ports-blocked")
    assert report.cause is not None
    assert "7946/tcp from 198.51.100.3" in report.cause.summary
    assert "4789/udp" in report.cause.summary
    assert "2377" not in report.cause.summary
    assert report.cause.remedies[0].now
    assert report.cause.remedies[0].risk.startswith("Lets 198.51.100.3")


def test_packets_between_nodes_must_fit() -> None:
    smaller = links("eth0", mtu=1450)
    assert "overlay-mtu" not in told(judged(smaller, recorded=ALONE))
    found = told(judged(smaller, engine(swarm_node=SEVERAL), recorded=ALONE))["overlay-mtu"]
    assert found.status is Status.WARN
    fits = overlay(options={"com.docker.network.driver.mtu": "1400"})
    subjects = {
        finding.subject
        for result in judged(smaller, fits, engine(swarm_node=SEVERAL), recorded=ALONE).results
        for finding in result.findings
        if finding.code == "overlay-mtu"
    }
    assert subjects == {"network:ingress"}


def test_a_nameserver_within_an_overlays_subnet_is_told() -> None:
    report = judged(overlay(pools=(IpamPool("203.0.113.0/24", "203.0.113.1"),)), recorded=ALONE)
    found = told(report)["overlay-subnet-overlaps-host"]
    assert found.subject == "network:mesh"
    assert "nameserver 203.0.113.10" in found.summary


def test_rules_in_nftables_do_not_serve_a_swarm_before_engine_29_6() -> None:
    early = engine(firewall_driver="nftables", version="29.5.3")
    assert "swarm-without-iptables" in told(judged(early, recorded=ALONE))
    # Such an engine is in a swarm only where its features say that nftables serve it.
    served = engine(firewall_driver="nftables", version="29.6.0")
    assert "swarm-without-iptables" not in told(judged(served, recorded=ALONE))
