"""Who answers for a next hop: the walk against the kernel, where the gateway's address is not where it mostly is.

What is named as the cause has a first remedy, which is run as printed, and taken back.
"""

import os
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.packet.walk import Flow, Source, walk
from dockerdiag.registry import checks
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import NetworkNamespace, Unread
from tests.kernel.test_walk_agreement import NO_ROUTE, Case, both, compare, host, predict, sysctl
from tests.kernel.walk_lab import (
    BRIDGE,
    CONTAINER,
    GATEWAY,
    GATEWAY6,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    SERVICE,
    UPLINK,
    Lab,
    lab,
)

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

_SUBNET = "172.17.0.0/16"
_ROUTE = f"ip route add {_SUBNET} dev {BRIDGE}"
_GONE = host(f"ip address del {GATEWAY}/16 dev {BRIDGE}", _ROUTE)
_MISSING = f"address {GATEWAY} of {BRIDGE}"
_LOCAL_LAST = host("ip rule add lookup local priority 32800", "ip rule del priority 0")


def _elsewhere(link: str, *options: str) -> Case:
    name = f"its address on {' '.join((link, *options))}"
    return Case(name, both(_GONE, host(f"ip address add {GATEWAY}/32 dev {link} {' '.join(options)}")))


def _restrained(case: Case, level: int, at: str | None = None) -> Case:
    change = both(case.change, sysctl("ipv4/conf/all/arp_ignore", level))
    return replace(case, name=f"{case.name}, arp_ignore {level}", change=change, at=at)


def _proxy(switch: str, *, to_container: str = CONTAINER, at: str | None = None) -> Case:
    change = both(
        host(f"ip address del {GATEWAY}/16 dev {BRIDGE}", f"ip route add {to_container} dev {BRIDGE}"),
        sysctl(f"ipv4/conf/{switch}", 1),
    )
    return Case(f"{switch}, {to_container} routed to the bridge", change, at)


def _under_a_bridge(here: Lab) -> None:
    here.run(
        "host",
        "ip link add br0 type bridge",
        f"ip link set {UPLINK} master br0",
        "ip link set br0 up",
    )


def _known_neighbours(here: Lab) -> None:
    mac = here.run("net", "ip -br link show eth0").split()[2]
    for router in (ROUTER, ROUTER6):
        here.run("host", f"ip neigh replace {router} lladdr {mac} dev {UPLINK} nud permanent")


_FAULTS = [
    Case("the table local behind main", _LOCAL_LAST, "rule 32766: from all lookup main"),
    Case(
        "the table local behind a VPN's",
        both(
            _LOCAL_LAST,
            host(
                f"ip route add default via {ROUTER} dev {UPLINK} table 52",
                f"ip route add throw {CONTAINER} table 52",
                "ip rule add lookup 52 priority 5270",
            ),
        ),
        "rule 5270: from all lookup 52",
    ),
    Case(
        "the table local nowhere",
        both(_LOCAL_LAST, host("ip rule del priority 32800")),
        "rule 32766: from all lookup main",
    ),
    *(
        Case(
            f"a policy rule refuses {words}, answers too",
            host("ip route add blackhole default table 50", f"ip rule add {words} table 50 priority 50"),
            "route blackhole default table 50",
        )
        for words in ("ipproto udp", "uidrange 0-0")
    ),
    _restrained(_elsewhere("lo"), 1, _MISSING),
    Case(
        "arp_ignore 2, the bridge's prefix does not hold the container",
        both(_GONE, host(f"ip address add {GATEWAY}/32 dev {BRIDGE}"), sysctl("ipv4/conf/all/arp_ignore", 2)),
        "net.ipv4.conf.all.arp_ignore",
    ),
    Case(
        "arp_filter, the gateway's own packets go elsewhere",
        both(
            host(
                f"ip rule add from {GATEWAY} lookup 77 priority 77",
                f"ip route add default via {ROUTER} table 77",
            ),
            sysctl("ipv4/conf/all/arp_filter", 1),
        ),
        "net.ipv4.conf.all.arp_filter",
    ),
    _proxy("all/proxy_arp", to_container=_SUBNET, at=_MISSING),
    _proxy("all/proxy_arp_pvlan", at=_MISSING),
    Case("the uplink is a bridge's port", _under_a_bridge, f"link {UPLINK}"),
    Case("the uplink is a bridge's port, IPv6", _under_a_bridge, f"link {UPLINK}", destination=SERVER6),
    Case(
        "the subnet's route is gone",
        host(f"ip route del {_SUBNET} dev {BRIDGE}"),
        f"route default table main dev {UPLINK}",
        "reply",
        NO_ROUTE,
    ),
    Case(
        "the subnet's route is gone, IPv6",
        host(f"ip -6 route del fd00:17::/64 dev {BRIDGE}"),
        f"route default table main metric 1024 dev {UPLINK}",
        "reply",
        NO_ROUTE,
        SERVER6,
    ),
    Case(
        "another route has taken the place of the subnet's",
        host(f"ip route replace {_SUBNET} via {ROUTER}"),
        f"route {_SUBNET} table main dev {UPLINK}",
        "reply",
        NO_ROUTE,
    ),
    Case(
        "the subnet's route is gone, and a policy leads away",
        host(
            f"ip route del {_SUBNET} dev {BRIDGE}",
            "ip rule add lookup 100 priority 100",
            f"ip route add default via {ROUTER} table 100",
        ),
        f"route default table 100 dev {UPLINK}",
        "reply",
        NO_ROUTE,
    ),
    Case(
        "the subnet's route is gone, and no default route takes its place",
        host(
            f"ip route del {_SUBNET} dev {BRIDGE}",
            "ip route del default",
            f"ip route add 203.0.113.0/24 via {ROUTER}",
        ),
        f"no route to {CONTAINER}",
        "reply",
        NO_ROUTE,
    ),
    Case(
        "the address is another link's, and no route leads to the bridge",
        both(
            host(f"ip address del {GATEWAY}/16 dev {BRIDGE}", f"ip address add {GATEWAY}/32 dev lo"),
        ),
        f"route default table main dev {UPLINK}",
        "reply",
        NO_ROUTE,
    ),
]


def _one_of_two_gateways_fails(here: Lab) -> None:
    here.run(
        "host",
        f"ip route replace default nexthop via {ROUTER} nexthop via 198.51.100.77",
        "bash -c 'echo > /dev/udp/198.51.100.77/9' || true",
        "until ip neigh show 198.51.100.77 | grep -q FAILED; do sleep 0.1; done",
    )


_HEALTHY = [
    Case(
        "one of two gateways is known not to answer, and left out",
        both(_one_of_two_gateways_fails, sysctl("ipv4/fib_multipath_use_neigh", 1)),
    ),
    _elsewhere(UPLINK),
    _elsewhere("lo"),
    _elsewhere("lo", "scope", "host"),
    _restrained(_elsewhere("lo"), 3),
    _restrained(_elsewhere("lo"), 4),
    _proxy(f"{BRIDGE}/proxy_arp"),
    _proxy("all/proxy_arp"),
    _proxy(f"{BRIDGE}/proxy_arp_pvlan", to_container=_SUBNET),
    _proxy("all/proxy_arp_pvlan", to_container=_SUBNET),
    Case(
        "the table local behind the VRFs' rule",
        host("ip rule add lookup local priority 32765", "ip rule del priority 0"),
    ),
    Case("arp_filter", sysctl("ipv4/conf/all/arp_filter", 1)),
    Case(
        "arp_ignore 2 on the bridge, and 3 for all, which is more",
        both(
            _GONE,
            host(f"ip address add {GATEWAY}/32 dev {BRIDGE}"),
            sysctl("ipv4/conf/all/arp_ignore", 3),
            sysctl(f"ipv4/conf/{BRIDGE}/arp_ignore", 2),
        ),
    ),
    Case("the uplink is a bridge's port that asks nobody", both(_known_neighbours, _under_a_bridge)),
]

_WITHOUT_REMEDY = [
    replace(
        _proxy("all/proxy_arp"),
        name="a proxy that does not forward",
        change=both(_proxy("all/proxy_arp").change, sysctl(f"ipv4/conf/{BRIDGE}/forwarding", 0)),
        at=_MISSING,
    ),
    Case(
        "arp_ignore 3 and scope host",
        _restrained(_elsewhere("lo", "scope", "host"), 3).change,
        _MISSING,
    ),
    Case(
        "the uplink is a bridge's port that asks nobody, IPv6",
        both(_known_neighbours, _under_a_bridge),
        f"link {UPLINK}",
        destination=SERVER6,
        arrives=True,
    ),
]


@pytest.mark.parametrize("case", [*_HEALTHY, *_FAULTS, *_WITHOUT_REMEDY], ids=lambda case: case.name)
def test_who_answers_for_a_next_hop_is_foretold(case: Case) -> None:
    compare(case)


@pytest.mark.parametrize("case", _FAULTS, ids=lambda case: case.name)
def test_the_first_remedy_mends_it_and_is_undone(case: Case) -> None:
    to = f"[{case.destination}]" if case.destination == SERVER6 else case.destination
    with lab(f"ddg{os.getpid()}") as here:
        case.change(here)
        broken = here.snapshot()
        asked = Asked.parse(destinations=(f"{to}:{SERVICE}/udp",))
        cause = diagnose(broken, asked, checks()[0]).cause
        assert cause is not None
        remedy = cause.remedies[0]
        assert remedy.now, cause
        here.run("host", *remedy.now)
        mended = predict(here, case.destination)
        answered = here.probe(case.destination)
        here.run("host", *(line for line in remedy.undo if not line.startswith(("rm ", "systemctl "))))
        undone = here.snapshot()
    assert mended.disposition is Disposition.DELIVERED, (cause.code, mended.halts)
    assert answered == (True, True)
    assert _settings(undone.network) == _settings(broken.network)


def _settings(network: NetworkNamespace) -> tuple[set[object], ...]:
    assert not isinstance(network.rules, Unread)
    assert not isinstance(network.addresses, Unread)
    assert not isinstance(network.sysctls, Unread)
    return (
        set(network.rules),
        set(network.addresses),
        {one for one in network.sysctls.items() if "/arp_" in one[0]},
    )


def test_a_gateway_that_does_not_answer_leaves_open_which_flows_it_gets() -> None:
    with lab(f"ddg{os.getpid()}") as here:
        _one_of_two_gateways_fails(here)
        halt = predict(here, SERVER).halts[0]
    assert halt.disposition is Disposition.UNKNOWN
    assert "delivered by eth0 or no-route by eth0 (neighbour 198.51.100.77 dev eth0)" in halt.reason


def test_a_host_that_knows_its_neighbours_yet_is_told_that_it_cannot_learn_them_again() -> None:
    with lab(f"ddg{os.getpid()}") as here:
        assert here.probe(SERVER) == (True, True)
        _under_a_bridge(here)
        journey = predict(here, SERVER)
        answered = here.probe(SERVER)
    assert journey.disposition is Disposition.DELIVERED
    assert [halt.at for halt in journey.later] == [f"link {UPLINK}"]
    assert answered == (True, True)


@pytest.mark.parametrize(
    ("tool", "address", "at"),
    [
        ("ip", GATEWAY, "rule 32766: from all lookup main"),
        ("ip -6", GATEWAY6, "rule 32766: from all lookup main"),
    ],
)
def test_the_host_does_not_know_its_own_address_where_the_table_local_is_last(
    tool: str, address: str, at: str
) -> None:
    with lab(f"ddg{os.getpid()}") as here:
        here.serve("host")
        assert here.probe(address, server="host") == (True, True)
        here.run("host", f"{tool} rule add lookup local priority 32800", f"{tool} rule del priority 0")
        journey = predict(here, address)
        answered = here.probe(address, server="host")
    assert journey.halts[0].at == at
    assert answered == (False, False)


def test_answers_to_the_host_itself_are_led_away_where_the_table_local_is_last() -> None:
    with lab(f"ddg{os.getpid()}") as here:
        assert here.probe(SERVER, role="host") == (True, True)
        _LOCAL_LAST(here)
        here.rules(
            "host",
            "table ip t {\n chain c {\n type filter hook forward priority 0; policy drop;\n }\n}\n",
        )
        flow = Flow(Source(), ip_address(SERVER), "udp", SERVICE)
        journey = walk(here.snapshot(), flow)
        answered = here.probe(SERVER, role="host")
    assert [halt.at for halt in journey.halts] == ["rule 32766: from all lookup main"]
    assert answered == (True, False)
