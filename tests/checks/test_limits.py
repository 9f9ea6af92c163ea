from dataclasses import replace

from dockerdiag.report import Status
from dockerdiag.snapshot import Engine, IpamPool, Link, LogLine, Snapshot, Unread
from tests.checks.hosts import Change, daemon_json, engine, host, judged, network, sysctls, told

OVERFLOW = LogLine(0.0, "kernel", "neighbour: arp_cache: neighbor table overflow!")


def with_pools(*pools: IpamPool) -> Change:
    return engine(default_address_pools=pools)


def with_ports(count: int) -> Change:
    def changed(snapshot: Snapshot) -> Snapshot:
        links = snapshot.network.links
        assert isinstance(links, tuple)
        bridge = next(link for link in links if link.name == "docker0")
        more = tuple(
            Link(1000 + n, f"veth{n:07x}", "veth", up=True, operstate="up", mtu=1500, master=bridge.index)
            for n in range(count)
        )
        return network(links=(*links, *more))(snapshot)

    return changed


def test_a_pool_that_is_left_is_enough() -> None:
    left = with_pools(IpamPool("172.16.0.0/15", size=16))
    assert "address-pools-exhausted" not in told(judged(left))


def test_the_last_pool_is_taken() -> None:
    taken = told(judged(with_pools(IpamPool("172.17.0.0/16", size=16))))
    assert taken["address-pools-exhausted"].status is Status.WARN


def test_pools_whose_size_is_not_known_are_not_judged() -> None:
    assert "address-pools-exhausted" not in told(judged(with_pools(IpamPool("172.17.0.0/16"))))


def test_the_pools_that_the_engine_has_built_in() -> None:
    snapshot = host()
    assert isinstance(snapshot.engine, Engine)
    assert isinstance(snapshot.engine.networks, tuple)
    (some,) = [one for one in snapshot.engine.networks if one.name == "bridge"]
    subnets = [*(f"172.{n}.0.0/16" for n in range(18, 32)), *(f"192.168.{16 * n}.0/20" for n in range(16))]
    others = tuple(
        replace(some, id=f"{n:064x}", name=f"n{n}", options={}, pools=(IpamPool(subnet),))
        for n, subnet in enumerate(subnets)
    )
    all_of_them = engine(networks=(*snapshot.engine.networks, *others))
    assert "address-pools-exhausted" in told(judged(all_of_them))
    all_but_one = engine(networks=(*snapshot.engine.networks, *others[1:]))
    assert "address-pools-exhausted" not in told(judged(all_but_one))


def test_a_bridge_near_its_last_port() -> None:
    assert "bridge-ports-exhausted" not in told(judged(with_ports(900)))
    assert "1001 ports" in told(judged(with_ports(1000)))["bridge-ports-exhausted"].summary


def test_an_overflow_of_the_neighbour_table_is_in_the_kernels_log() -> None:
    limits = sysctls({f"net/ipv4/neigh/default/gc_thresh{n}": str(128 * 4 ** (n - 1)) for n in (1, 2, 3)})
    said = told(judged(limits, lambda snapshot: replace(snapshot, kernel_log=(OVERFLOW,))))
    finding = said["neighbour-table-overflow"]
    assert finding.remedies[0].now[0] == "sysctl -w net.ipv4.neigh.default.gc_thresh3=16384"
    assert finding.remedies[0].undo[0] == "sysctl -w net.ipv4.neigh.default.gc_thresh3=2048"
    assert "neighbour-table-overflow" not in told(judged(limits))


def by_the_links(*destinations: str) -> Change:
    routes = host().network.routes
    assert isinstance(routes, tuple)
    connected = next(one for one in routes if one.destination == "198.51.100.0/24")
    return network(
        routes=(*routes, *(replace(connected, destination=one, protocol="boot") for one in destinations))
    )


def test_routes_of_a_vpn_that_cover_every_pool() -> None:
    everything = by_the_links("0.0.0.0/1", "128.0.0.0/1")
    found = told(judged(everything), Status.NOTE)["address-pools-exhausted"]
    assert [piece.text for piece in found.evidence] == ["128.0.0.0/1 scope link"]
    assert found.remedies[0].now == ()
    line = LogLine(0.0, "docker.service", "all predefined address pools have been fully subnetted")
    report = judged(everything, lambda snapshot: replace(snapshot, journal=(line,)))
    assert told(report)["address-pools-exhausted"].status is Status.WARN
    assert "subnet-overlap" not in told(report)


def test_pools_beside_the_routes_of_a_vpn() -> None:
    private = by_the_links("172.16.0.0/12", "192.168.0.0/16", "10.255.7.0/24")
    found = told(judged(private))["address-pools-exhausted"]
    first = found.remedies[0]
    assert '[{"base": "10.254.0.0/16", "size": 24}]' in first.now[0]
    assert first.undo[0] == "rm -f /etc/docker/daemon.json"
    with_file = told(judged(private, daemon_json('{"debug": true}')))["address-pools-exhausted"].remedies[0]
    assert with_file.now[0].startswith("cp -pL /etc/docker/daemon.json ")
    taken = judged(private, with_pools(IpamPool("10.254.0.0/16", size=24)))
    assert "address-pools-exhausted" not in told(taken)


def test_pools_that_no_edit_can_be_offered_for_are_a_warning_all_the_same() -> None:
    private = by_the_links("172.16.0.0/12", "192.168.0.0/16")
    found = told(judged(private, lambda snapshot: replace(snapshot, daemon_json=Unread("not permitted"))))
    assert found["address-pools-exhausted"].status is Status.WARN
