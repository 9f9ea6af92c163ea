from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.packet import Connection, Packet, PortRange, Tuple
from dockerdiag.packet.routing import Decision, Router
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import NetworkNamespace, NextHop, Route, RouteAnswer, RoutingRule, Unread
from tests.packet.namespaces import (
    address,
    default_rules,
    forwarding_sysctls,
    link,
    local_route,
    namespace,
    route,
)

LINKS = (
    link(1, "lo", loopback=True),
    link(2, "eth0"),
    link(3, "docker0", "bridge"),
    link(4, "eth1"),
)
ROUTES = (
    route("0.0.0.0/0", 2, "198.51.100.1"),
    route("198.51.100.0/24", 2, scope="link", preferred_source="198.51.100.2"),
    route("172.17.0.0/16", 3, scope="link", preferred_source="172.17.0.1"),
    local_route("198.51.100.2", 2),
    local_route("172.17.0.1", 3),
    route("127.0.0.0/8", 1, table=255, type="local"),
)


def host(*more: Route, rules: tuple[RoutingRule, ...] = (), **sysctls: str) -> NetworkNamespace:
    return namespace(
        links=LINKS,
        addresses=(address(1, "127.0.0.1/8"), address(2, "198.51.100.2/24"), address(3, "172.17.0.1/16")),
        routes=(*ROUTES, *more),
        rules=(*default_rules(), *rules),
        sysctls=forwarding_sysctls("eth0", "docker0", "eth1", **sysctls),
    )


def packet(source: str = "172.17.0.2", destination: str = "1.1.1.1", in_link: str = "docker0") -> Packet:
    addresses = Tuple(
        ip_address(source), ip_address(destination), PortRange(40000, 50000), PortRange.one(443)
    )
    return Packet("tcp", addresses, Connection("new", "original", addresses), in_link=in_link)


def routed(there: NetworkNamespace, which: Packet | None = None) -> Decision:
    return Router(there).arrive(which or packet())


def kinds(decision: Decision) -> list[str]:
    return [obstacle.kind for obstacle in decision.obstacles]


def test_a_forwarding_host_sends_it_by_its_default_route() -> None:
    decision = routed(host())
    assert (decision.kind, decision.obstacles) == ("forward", ())
    assert [(way.link, str(way.gateway)) for way in decision.ways] == [("eth0", "198.51.100.1")]


def test_its_own_address_is_local() -> None:
    assert routed(host(), packet(destination="172.17.0.1")).kind == "local"


@pytest.mark.parametrize(
    ("sysctls", "named"),
    [
        ({"net__ipv4__ip_forward": "0", "net__ipv4__conf__docker0__forwarding": "0"}, "net/ipv4/ip_forward"),
        ({"net__ipv4__conf__docker0__forwarding": "0"}, "net/ipv4/conf/docker0/forwarding"),
    ],
)
def test_the_ingress_link_must_forward(sysctls: dict[str, str], named: str) -> None:
    decision = routed(host(**sysctls))
    assert [obstacle.sysctl for obstacle in decision.obstacles] == [named]
    assert decision.ways


def test_ip_forward_alone_does_not_decide() -> None:
    assert not routed(host(net__ipv4__ip_forward="0")).obstacles


def test_another_links_forwarding_does_not_matter() -> None:
    assert not routed(host(net__ipv4__conf__eth0__forwarding="0")).obstacles


@pytest.mark.parametrize(
    ("kind", "disposition"),
    [
        ("blackhole", Disposition.DROPPED),
        ("unreachable", Disposition.REJECTED),
        ("prohibit", Disposition.REJECTED),
    ],
)
def test_a_refusing_route_is_named_and_the_next_one_taken_as_if_it_were_gone(
    kind: str, disposition: Disposition
) -> None:
    decision = routed(host(route("1.1.1.0/24", None, type=kind)))
    assert [(obstacle.kind, obstacle.disposition) for obstacle in decision.obstacles] == [
        ("route", disposition)
    ]
    assert decision.obstacles[0].at == f"route {kind} 1.1.1.0/24 table main"
    assert decision.ways[0].link == "eth0"


def test_throw_goes_to_the_next_rule() -> None:
    rule = RoutingRule(4, 100, "lookup", 100)
    decision = routed(host(route("1.1.1.1/32", None, table=100, type="throw"), rules=(rule,)))
    assert not decision.obstacles


def test_no_route_at_all() -> None:
    there = replace(host(), routes=ROUTES[1:])
    assert kinds(routed(there)) == ["no-route"]


def test_a_policy_rule_chooses_the_table() -> None:
    rule = RoutingRule(4, 100, "lookup", 100, source="172.17.0.0/16")
    decision = routed(host(route("0.0.0.0/0", 4, "192.0.2.1", table=100), rules=(rule,)))
    assert decision.ways[0].link == "eth1"
    assert decision.text == (
        "route default table 100 dev eth1 via 192.0.2.1 (rule 100: from 172.17.0.0/16 lookup 100)"
    )


@pytest.mark.parametrize(
    ("rule", "used"),
    [
        (RoutingRule(4, 100, "prohibit", in_link="docker0"), True),
        (RoutingRule(4, 100, "prohibit", in_link="eth0"), False),
        (RoutingRule(4, 100, "prohibit", in_link="eth0", invert=True), True),
        (RoutingRule(4, 100, "prohibit", out_link="eth0"), False),
        (RoutingRule(4, 100, "prohibit", mark=1), False),
        (RoutingRule(4, 100, "prohibit", mark=0xCA6C, invert=True), True),
        (RoutingRule(4, 100, "prohibit", mark=0, mask=0xFF), True),
        (RoutingRule(4, 100, "prohibit", mask=0xFF), True),
        (RoutingRule(4, 100, "prohibit", protocol=6, destination_ports=(400, 500)), True),
        (RoutingRule(4, 100, "prohibit", protocol=17), False),
        (RoutingRule(4, 100, "prohibit", source_ports=(1, 1023)), False),
        (RoutingRule(4, 100, "prohibit", user_ids=(1000, 1000)), False),
        (RoutingRule(4, 100, "prohibit", user_ids=(0, 0)), True),
        (RoutingRule(4, 100, "goto", goto=32767), True),
        (RoutingRule(4, 100, "nop"), False),
        (RoutingRule(4, 100, "prohibit", l3mdev=True), False),
    ],
)
def test_policy_rules_match_as_the_kernel_has_them(rule: RoutingRule, used: bool) -> None:
    assert bool(routed(host(rules=(rule,))).obstacles) is used


def test_a_suppressed_default_route_leaves_the_rest_of_its_table() -> None:
    suppressing = RoutingRule(4, 100, "lookup", 254, suppress_prefix_length=0)
    tunnel = RoutingRule(4, 200, "lookup", 51820)
    there = host(route("0.0.0.0/0", 4, table=51820), rules=(suppressing, tunnel))
    assert routed(there).ways[0].link == "eth1"
    assert routed(there, packet(destination="198.51.100.77")).ways[0].link == "eth0"


def test_what_is_not_known_decides_only_where_it_matters() -> None:
    by_port = RoutingRule(4, 100, "lookup", 100, source_ports=(45000, 46000))
    assert not routed(host(rules=(by_port,))).obstacles
    elsewhere = host(route("0.0.0.0/0", None, table=100, type="blackhole"), rules=(by_port,))
    assert [obstacle.disposition for obstacle in routed(elsewhere).obstacles] == [Disposition.UNKNOWN]
    marked = replace(packet(), mark=None)
    by_mark = RoutingRule(4, 100, "lookup", 100, mark=1)
    refused = host(route("0.0.0.0/0", None, table=100, type="blackhole"), rules=(by_mark,))
    assert kinds(routed(refused, marked)) == ["unread"]
    elsewhere = host(route("0.0.0.0/0", 4, "192.0.2.1", table=100), rules=(by_mark,))
    decision = routed(elsewhere, marked)
    assert [way.link for way in decision.ways] == ["eth1", "eth0"]
    assert kinds(decision) == []
    assert Router(elsewhere).route_link(ip_address("1.1.1.1"), None, "docker0", None) is None


def test_strict_reverse_path() -> None:
    asymmetric = packet(source="10.9.9.9")
    assert kinds(routed(host(), asymmetric)) == []
    strict = host(net__ipv4__conf__docker0__rp_filter="1")
    assert kinds(routed(strict)) == []
    [obstacle] = routed(strict, asymmetric).obstacles
    assert (obstacle.kind, obstacle.sysctl) == ("reverse-path", "net/ipv4/conf/docker0/rp_filter")
    assert kinds(routed(host(net__ipv4__conf__docker0__rp_filter="2"), asymmetric)) == []


def test_the_larger_of_all_and_the_links_filter_counts() -> None:
    asymmetric = packet(source="10.9.9.9")
    [obstacle] = routed(host(net__ipv4__conf__all__rp_filter="1"), asymmetric).obstacles
    assert obstacle.sysctl == "net/ipv4/conf/all/rp_filter"
    loose = {"net__ipv4__conf__all__rp_filter": "1", "net__ipv4__conf__docker0__rp_filter": "2"}
    assert not routed(host(**loose), asymmetric).obstacles


def test_a_loose_filter_still_asks_for_any_route() -> None:
    there = replace(host(net__ipv4__conf__docker0__rp_filter="2"), routes=ROUTES[1:])
    lost = packet(source="10.9.9.9", destination="198.51.100.9")
    assert kinds(routed(there, lost)) == ["reverse-path"]


def test_its_own_address_as_source_is_forged() -> None:
    assert kinds(routed(host(), packet(source="198.51.100.2"))) == ["address"]
    allowed = host(net__ipv4__conf__all__accept_local="1")
    assert kinds(routed(allowed, packet(source="198.51.100.2"))) == []


def test_loopback_addresses_need_route_localnet() -> None:
    inward = packet(destination="127.0.0.1")
    [obstacle] = routed(host(), inward).obstacles
    assert obstacle.sysctl == "net/ipv4/conf/docker0/route_localnet"
    assert not routed(host(net__ipv4__conf__docker0__route_localnet="1"), inward).obstacles


def test_dead_and_linkdown_ways() -> None:
    flagged = NextHop(4, "192.0.2.1", flags=("linkdown",))
    down = route("1.1.1.0/24", None, next_hops=(flagged,))
    assert routed(host(down)).ways[0].link == "eth1"
    ignoring = host(down, net__ipv4__conf__all__ignore_routes_with_linkdown="1")
    assert routed(ignoring).ways[0].link == "eth0"
    dead = route("1.1.1.0/24", None, next_hops=(replace(flagged, flags=("dead",)),))
    assert routed(host(dead)).ways[0].link == "eth0"


def test_metric_decides_between_equal_prefixes() -> None:
    assert routed(host(route("0.0.0.0/0", 4, "192.0.2.1", metric=50))).ways[0].link == "eth0"


def test_multipath_keeps_every_way() -> None:
    several = route("1.1.1.0/24", None, next_hops=(NextHop(2, "198.51.100.1"), NextHop(4, "192.0.2.1")))
    assert {way.link for way in routed(host(several)).ways} == {"eth0", "eth1"}


def test_a_type_of_service_route_is_not_for_this_packet() -> None:
    assert routed(host(route("1.1.1.0/24", 4, tos=16))).ways[0].link == "eth0"


def test_unread_parts_are_unknown_not_assumed() -> None:
    for part in ("routes", "rules", "sysctls"):
        decision = routed(replace(host(), **{part: Unread("not permitted")}))
        assert decision.obstacles[0].disposition is Disposition.UNKNOWN, part
        assert "not permitted" in decision.obstacles[0].reason


def six(*more: Route, **sysctls: str) -> NetworkNamespace:
    return namespace(
        links=LINKS,
        addresses=(address(2, "2001:db8:1::2/64"), address(3, "fd00:17::1/64")),
        routes=(
            route("::/0", 2, "2001:db8:1::1"),
            route("fd00:17::/64", 3),
            local_route("fd00:17::1", 3),
            *more,
        ),
        sysctls=forwarding_sysctls("eth0", "docker0", **sysctls),
    )


def test_ipv6_asks_the_one_global_switch() -> None:
    inward = packet("fd00:17::2", "2606:4700:4700::1111")
    assert routed(six(), inward).ways[0].link == "eth0"
    [obstacle] = routed(six(net__ipv6__conf__all__forwarding="0"), inward).obstacles
    assert obstacle.sysctl == "net/ipv6/conf/all/forwarding"
    forced = {"net__ipv6__conf__all__forwarding": "0", "net__ipv6__conf__docker0__force_forwarding": "1"}
    assert not routed(six(**forced), inward).obstacles
    assert routed(six(net__ipv6__conf__docker0__disable_ipv6="1"), inward).obstacles


def test_ipv6_source_specific_routes() -> None:
    inward = packet("fd00:17::2", "2606:4700:4700::1111")
    other = route("::/0", 4, source="fd00:99::/64")
    assert routed(six(other), inward).ways[0].link == "eth0"
    ours = route("::/0", 4, source="fd00:17::/64")
    assert routed(six(ours), inward).ways[0].link == "eth1"


def test_a_process_gets_the_routes_preferred_source() -> None:
    decision = Router(host()).depart(ip_address("198.51.100.9"))
    assert (decision.ways[0].link, str(decision.source)) == ("eth0", "198.51.100.2")
    assert str(Router(host()).depart(ip_address("1.1.1.1")).source) == "198.51.100.2"
    assert Router(host()).depart(ip_address("172.17.0.1")).kind == "local"


def test_what_netfilter_asks() -> None:
    router = Router(host())
    kind = router.address_type
    assert kind(ip_address("172.17.0.1")) == "local"
    assert kind(ip_address("172.17.0.1"), "eth0") == "unicast"
    assert kind(ip_address("1.1.1.1")) == "unicast"
    assert kind(ip_address("224.0.0.1")) == "multicast"
    assert router.route_link(ip_address("172.17.0.2"), None, None, 0) == "docker0"
    assert router.local_addresses("eth0") == (ip_address("198.51.100.2"),)


def test_equal_ipv6_routes_of_which_one_refuses_are_not_foretold() -> None:
    inward = packet("fd00:17::2", "2606:4700:4700::1111")
    [obstacle] = routed(six(route("::/0", None, type="blackhole")), inward).obstacles
    assert obstacle.disposition is Disposition.UNKNOWN


def test_an_accepted_local_source_still_needs_its_way_back() -> None:
    switches = {"net__ipv4__conf__all__accept_local": "1", "net__ipv4__conf__all__rp_filter": "1"}
    assert kinds(routed(host(**switches), packet(source="198.51.100.2"))) == ["reverse-path"]


def test_the_kernels_answer_is_one_to_a_question_without_ports() -> None:
    by_port = RoutingRule(4, 100, "blackhole", protocol=6, destination_ports=(443, 443))
    answer = RouteAnswer("1.1.1.1", "172.17.0.2", "docker0", 0, out_link="eth0", gateway="198.51.100.1")
    decision = routed(replace(host(rules=(by_port,)), route_answers=(answer,)))
    assert (kinds(decision), decision.disagreement) == (["route"], None)
    other = replace(answer, out_link="eth1", gateway=None)
    assert "by eth1" in (routed(replace(host(rules=(by_port,)), route_answers=(other,))).disagreement or "")


def test_the_kernels_own_answer_is_compared() -> None:
    answer = RouteAnswer("1.1.1.1", "172.17.0.2", "docker0", 0, out_link="eth0", gateway="198.51.100.1")
    assert routed(replace(host(), route_answers=(answer,))).disagreement is None
    elsewhere = replace(host(), route_answers=(replace(answer, gateway="198.51.100.7"),))
    assert "via 198.51.100.7" in (routed(elsewhere).disagreement or "")
    other = replace(host(), route_answers=(replace(answer, out_link="eth1"),))
    assert "eth1" in (routed(other).disagreement or "")
    refusing = replace(host(), route_answers=(replace(answer, error="EHOSTUNREACH", out_link=None),))
    assert "EHOSTUNREACH" in (routed(refusing).disagreement or "")


def test_a_link_in_a_vrf_is_not_followed() -> None:
    """A kernel adds the l3mdev rule with the first VRF; what comes by other links does not meet it."""
    vrf = link(5, "mgmt", "vrf", vrf_table=10)
    rule = RoutingRule(4, 1000, "lookup", l3mdev=True)
    there = host(rules=(rule,))
    inside = replace(there, links=(*LINKS[:1], link(2, "eth0", master=5), *LINKS[2:], vrf))
    outside = replace(there, links=(*LINKS, vrf))
    answer = packet("1.1.1.1", "172.17.0.2", "eth0")
    assert [o.disposition for o in routed(inside, answer).obstacles][:1] == [Disposition.UNKNOWN]
    assert "VRF" in routed(inside, answer).obstacles[0].reason
    assert routed(outside, answer).obstacles == ()
    assert routed(inside).obstacles == ()
