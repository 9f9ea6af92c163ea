import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Address, NextHop, Route, Snapshot
from tests.checks.hosts import Change, engine, host, judged, network, sysctls, told

ADVERTISED = {
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/eth0/forwarding": "1",
    "net/ipv6/conf/eth0/accept_ra": "1",
}
UPLINK = next(link.index for link in host().network.links if link.name == "eth0")  # type: ignore[union-attr]


def default_route(*protocols: str) -> Change:
    """In place of the recorded one, one by each of these protocols."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.routes, tuple)
        others = tuple(one for one in snapshot.network.routes if one.destination != "::/0")
        hop = NextHop(UPLINK, "fd00:198::1")
        new = tuple(Route(6, 254, "::/0", "unicast", (hop,), protocol=one) for one in protocols)
        return network(routes=(*others, *new), route_answers=())(snapshot)

    return changed


def test_a_route_from_an_advertisement_that_the_kernel_takes_no_more() -> None:
    finding = told(judged(sysctls(ADVERTISED), default_route("ra")))["accept-ra-lost"]
    assert (finding.status, finding.subject) == (Status.WARN, "link:eth0")
    assert finding.remedies[0].now == ("sysctl -w net.ipv6.conf.eth0.accept_ra=2",)
    assert finding.remedies[0].undo[0] == "sysctl -w net.ipv6.conf.eth0.accept_ra=1"


def test_advertisements_that_are_still_taken() -> None:
    for key, value in (("eth0/accept_ra", "2"), ("eth0/accept_ra", "0"), ("all/forwarding", "0")):
        changed = sysctls({**ADVERTISED, f"net/ipv6/conf/{key}": value})
        assert judged(changed, default_route("ra")).verdict is Verdict.OK


def advertised_address(address: str, *flags: str) -> Change:
    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.addresses, tuple)
        added = Address(UPLINK, 6, address, 64, flags=flags)
        return network(addresses=(*snapshot.network.addresses, added))(snapshot)

    return changed


def test_a_route_from_an_advertisement_that_has_expired() -> None:
    address = advertised_address("2001:db8::5054:ff:fe12:3456", "mngtmpaddr")
    finding = told(judged(sysctls(ADVERTISED), default_route(), address))["accept-ra-lost"]
    assert (finding.status, finding.subject) == (Status.WARN, "link:eth0")
    assert finding.summary.startswith("The host has no IPv6 default route: ")
    assert finding.remedies[0].now == ("sysctl -w net.ipv6.conf.eth0.accept_ra=2",)


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        ("2001:db8::2", ()),
        ("fd00:1::5054:ff:fe12:3456", ("mngtmpaddr",)),
        ("2001:db8::5054:ff:fe12:3456", ("mngtmpaddr", "noprefixroute")),
    ],
)
def test_hosts_that_never_had_a_route_from_the_kernels_advertisements(
    address: str, flags: tuple[str, ...]
) -> None:
    given = advertised_address(address, *flags)
    assert judged(sysctls(ADVERTISED), default_route(), given).verdict is Verdict.OK


def test_a_link_that_does_not_forward_takes_advertisements() -> None:
    address = advertised_address("2001:db8::5054:ff:fe12:3456", "mngtmpaddr")
    apart = sysctls({**ADVERTISED, "net/ipv6/conf/eth0/forwarding": "0"})
    assert judged(apart, default_route("ra")).verdict is Verdict.OK
    assert judged(apart, default_route(), address).verdict is Verdict.OK


def test_a_route_that_somebody_set_beside_it() -> None:
    assert judged(sysctls(ADVERTISED), default_route("ra", "static")).verdict is Verdict.OK


def test_a_container_without_ipv6_is_a_note_where_it_is_asked_about() -> None:
    assert "container-has-no-ipv6" not in told(judged(), Status.NOTE)
    report = judged(containers=("web",))
    assert report.verdict is Verdict.OK
    assert told(report, Status.NOTE)["container-has-no-ipv6"].subject == "container:web"


def test_where_the_host_has_no_ipv6_either() -> None:
    report = judged(default_route(), containers=("web",))
    assert "container-has-no-ipv6" not in told(report, Status.NOTE)


def test_an_engine_elsewhere_says_nothing_about_this_host() -> None:
    elsewhere = engine(local=False)
    assert "accept-ra-lost" not in told(judged(sysctls(ADVERTISED), default_route("ra"), elsewhere))
