from dataclasses import replace
from ipaddress import ip_network

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Address, Engine, IpamPool, Network, RoutingRule, Snapshot, TextFile
from dockerdiag_checks.overlapping import overlapping
from tests.checks.hosts import (
    Change,
    by,
    default_bridge,
    engine,
    host,
    judged,
    network,
    route,
    routing_rule,
    told,
)


def another(subnet: str, driver: str = "bridge", **parts: object) -> Change:
    """A second network, unused."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        added = Network("f" * 64, "other", driver, pools=(IpamPool(subnet),), **parts)  # type: ignore[arg-type]
        return engine(networks=(*snapshot.engine.networks, added))(snapshot)

    return changed


def test_every_network_is_described() -> None:
    report = judged(another("192.0.2.0/24", "macvlan", options={"parent": "eth0"}))
    said = {f.subject: f.summary for r in report.results for f in r.findings if f.code == "network-described"}
    assert set(said) == {"network:bridge", "network:host", "network:none", "network:other"}
    assert "parent=eth0" in said["network:other"]
    assert "172.17.0.0/16 by 172.17.0.1" in said["network:bridge"]


def test_two_networks_of_one_subnet() -> None:
    assert told(judged(another("172.17.128.0/17")))["subnet-overlap"].status is Status.WARN


def test_overlapping_is_as_comparing_each_with_each() -> None:
    written = (
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.1.2.0/24",
        "10.2.0.0/16",
        "192.0.2.0/24",
        "fd00::/8",
    )
    subnets = [ip_network(one) for one in (*written, "fd00:1::/32", "10.1.3.0/24", "0.0.0.0/1", "::/1")]
    assert overlapping(subnets) == tuple(
        tuple(at for at, other in enumerate(subnets) if at != place and other.overlaps(one))
        for place, one in enumerate(subnets)
    )


def test_overlay_subnets_live_elsewhere() -> None:
    assert judged(another("172.17.128.0/17", "overlay")).verdict is Verdict.OK


def test_a_more_specific_route_elsewhere() -> None:
    report = judged(route("172.17.9.0/24", next_hops=by(2, "198.51.100.1")))
    assert "subnet-overlap" in told(report)


def test_supernets_and_the_halves_of_a_vpn_are_normal() -> None:
    way = by(2, "198.51.100.1")
    halves = (route(one, next_hops=way) for one in ("0.0.0.0/1", "128.0.0.0/1", "172.16.0.0/12"))
    assert judged(*halves).verdict is Verdict.OK


def test_what_a_vpn_leads_to_beyond_the_subnet_is_no_lan() -> None:
    wide = {"destination": "172.16.0.0/12", "next_hops": by(2), "scope": "link"}
    assert "subnet-overlap" not in told(judged(route(**wide, protocol="boot")))
    assert "subnet-overlap" in told(judged(route(**wide, protocol="kernel")))
    alike = route("172.17.0.0/16", next_hops=by(2), scope="link", protocol="boot", metric=50)
    assert "subnet-overlap" in told(judged(alike))


def test_the_lan_of_a_dhcp_client_is_one() -> None:
    wide = {"destination": "172.16.0.0/12", "next_hops": by(2), "scope": "link"}
    assert "subnet-overlap" in told(judged(route(**wide, protocol="dhcp")))


def test_a_table_for_some_packets_is_the_walks_to_judge() -> None:
    report = judged(
        route("172.17.0.0/16", next_hops=by(2), scope="link", table=100),
        routing_rule(RoutingRule(4, 90, "lookup", 100, in_link="lo")),
    )
    assert report.verdict is Verdict.OK


def test_a_resolver_inside_the_subnet() -> None:
    def resolver(address: str) -> Change:
        file = TextFile("/etc/resolv.conf", f"nameserver {address}\n")
        return lambda snapshot: replace(snapshot, resolv_conf=file)

    assert "subnet-overlap" in told(judged(resolver("172.17.3.3")))
    assert "subnet-overlap" not in told(judged(resolver("172.17.0.1")))
    assert "subnet-overlap" not in told(judged(resolver("172.17.0.2")))
    addresses = host().network.addresses
    assert isinstance(addresses, tuple)
    alias = Address(3, 4, "172.17.3.3", 32)
    of_the_host = network(addresses=(*addresses, alias))
    assert "subnet-overlap" not in told(judged(resolver("172.17.3.3"), of_the_host))


def test_options_that_do_not_concern_the_way_out() -> None:
    options = {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.name": "docker0",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
    }
    assert judged(default_bridge(options=options), network()).verdict is Verdict.OK
