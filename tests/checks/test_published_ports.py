from dataclasses import replace
from functools import partial

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Container, Engine, PortBinding, Snapshot
from tests.checks.hosts import Change, cause_of, judged, told
from tests.checks.native import direct_access, listing, with_nftables

FLUSHED = "published-nat-flushed-sid"
WHOLE = "published-sid"


def ports(*bindings: PortBinding) -> Change:
    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        containers: tuple[Container, ...] = tuple(
            replace(one, ports=bindings) for one in snapshot.engine.containers
        )
        return replace(snapshot, engine=replace(snapshot.engine, containers=containers))

    return changed


def nft_rules(old: str, new: str) -> Change:
    def changed(snapshot: Snapshot) -> Snapshot:
        firewall = snapshot.network.firewall
        assert isinstance(firewall.iptables_nft, str)
        assert old in firewall.iptables_nft
        text = firewall.iptables_nft.replace(old, new)
        return replace(
            snapshot, network=replace(snapshot.network, firewall=replace(firewall, iptables_nft=text))
        )

    return changed


@pytest.mark.parametrize(
    ("recorded", "code", "first"),
    [
        (FLUSHED, "published-port-unserved", "docker restart web"),
        ("published-proxy-dead-sid", "published-port-unserved", "docker restart web"),
        ("published-accept-flushed-sid", "published-port-accept-missing", "systemctl restart docker"),
        (
            "published-stale-rule-sid",
            "published-port-misled",
            "iptables-nft -t nat -D DOCKER '!' -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.99:80",
        ),
    ],
)
def test_what_the_engine_lost_is_made_again(recorded: str, code: str, first: str) -> None:
    report = judged(recorded=recorded)
    assert cause_of(report) == ("published-ports", code, "container:web")
    assert report.cause is not None
    remedy = report.cause.remedies[0]
    assert remedy.now == (first,)
    assert remedy.verify[-1] == "dockerdiag trace web --inbound 8080"


@pytest.mark.parametrize(
    ("recorded", "code"),
    [
        ("published-on-loopback-sid", "published-on-loopback"),
        ("published-for-some-sid", "published-port-filtered"),
        ("published-by-nobody-yet-sid", "published-port-not-listened"),
    ],
)
def test_what_somebody_chose_is_a_note(recorded: str, code: str) -> None:
    report = judged(recorded=recorded)
    assert report.verdict is Verdict.OK
    assert code in told(report, Status.NOTE)


@pytest.mark.parametrize("recorded", [WHOLE, "published-without-proxy-sid", "published-by-proxy-alone-sid"])
def test_a_port_that_answers_is_nothing_to_tell(recorded: str) -> None:
    report = judged(recorded=recorded)
    (result,) = (one for one in report.results if one.check == "published-ports")
    assert (result.status, result.findings) == (Status.PASS, ())


def test_an_exposed_port_is_not_published() -> None:
    assert judged(ports(PortBinding("tcp", 80, "", 0)), recorded=FLUSHED).verdict is Verdict.OK


def test_an_address_that_this_host_does_not_have_is_noted() -> None:
    report = judged(ports(PortBinding("tcp", 80, "192.0.2.7", 8080)), recorded=WHOLE)
    assert report.verdict is Verdict.OK
    assert "published-address-gone" in told(report, Status.NOTE)


def test_a_port_on_an_engines_bridge_is_not_for_those_outside() -> None:
    report = judged(ports(PortBinding("tcp", 80, "172.17.0.1", 8080)), recorded=FLUSHED)
    assert report.verdict is Verdict.OK
    assert "published-on-bridge" in told(report, Status.NOTE)


def test_no_ipv6_to_a_container_that_has_none_is_no_fault() -> None:
    assert judged(ports(PortBinding("tcp", 80, "::", 8080)), recorded=FLUSHED).verdict is Verdict.OK


def test_packets_straight_to_a_container_are_counted() -> None:
    rule = "-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP"
    assert "direct-access-blocked" not in told(judged(recorded=WHOLE), Status.NOTE)
    report = judged(nft_rules(f"[0:0] {rule}", f"[12:720] {rule}"), recorded=WHOLE)
    found = told(report, Status.NOTE)["direct-access-blocked"]
    assert (found.subject, report.verdict) == ("container:web", Verdict.OK)
    assert "12 packets" in found.summary


def test_packets_straight_to_a_container_are_counted_in_nftables_too() -> None:
    for packets in (0, 7):
        native = partial(with_nftables, rules=listing(raw=direct_access(packets)))
        found = told(judged(native), Status.NOTE).get("direct-access-blocked")
        assert (found is not None) == bool(packets)
        if found is not None:
            assert found.subject == "container:web"
            assert "7 packets" in found.summary
            assert "docker-bridges" in found.evidence[0].source
