from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import (
    Engine,
    Firewall,
    Neighbour,
    NetworkNamespace,
    NextHop,
    Route,
    RoutingRule,
    Snapshot,
    TextFile,
    Unread,
)
from tests.checks.hosts import (
    SHIPPED,
    Change,
    by,
    cause_of,
    container_namespace,
    default_bridge,
    engine,
    first_in,
    host,
    judged,
    links,
    network,
    route,
    routing_rule,
    sysctl_d,
    sysctls,
    told,
    with_table,
)
from tests.packet.hosts import GATEWAY
from tests.packet.hosts import snapshot as made_snapshot
from tests.packet.namespaces import route as made_route

VETH = next(link.name for link in host().network.links if link.name.startswith("veth"))  # type: ignore[union-attr]
DEFAULT = "0.0.0.0/0"


def without_default(namespace: NetworkNamespace) -> NetworkNamespace:
    assert isinstance(namespace.routes, tuple)
    return replace(namespace, routes=tuple(r for r in namespace.routes if r.destination != DEFAULT))


def now(*changes: object) -> tuple[str, ...]:
    report = judged(*changes)  # type: ignore[arg-type]
    assert report.cause is not None
    return report.cause.remedies[0].now


def second(*changes: object) -> tuple[str, ...]:
    report = judged(*changes)  # type: ignore[arg-type]
    assert report.cause is not None
    return report.cause.remedies[-1].now


def test_a_bridge_that_is_down() -> None:
    down = links("docker0", up=False, operstate="down", carrier=False)
    assert cause_of(judged(down)) == ("packet-path", "bridge-admin-down", "link:docker0")
    assert now(down) == ("ip link set docker0 up",)


def test_a_veth_that_is_no_port_of_the_bridge() -> None:
    off = links(VETH, master=None, bridge_port_state=None)
    assert cause_of(judged(off)) == ("packet-path", "veth-not-enslaved", f"link:{VETH}")
    assert now(off) == (f"ip link set {VETH} master docker0 up",)


def test_a_port_that_does_not_forward_is_no_link_that_is_down() -> None:
    assert now(links(VETH, bridge_port_state=0)) == (f"bridge link set dev {VETH} state 3",)


def test_a_port_that_is_just_coming_up_is_not_called_broken() -> None:
    coming = links(VETH, bridge_port_state=0, operstate="lowerlayerdown", carrier=True)
    report = judged(coming)
    assert (report.verdict, report.cause) == (Verdict.UNKNOWN, None)
    (found,) = told(report).values()
    assert f"{VETH} was just coming up" in str(found)


def test_a_bridge_without_its_address() -> None:
    addresses, routes = host().network.addresses, host().network.routes
    assert isinstance(addresses, tuple)
    assert isinstance(routes, tuple)
    gone = network(
        addresses=tuple(one for one in addresses if one.address != "172.17.0.1"),
        routes=tuple(one for one in routes if one.preferred_source != "172.17.0.1"),
    )
    assert cause_of(judged(gone)) == ("packet-path", "bridge-lost-ip", "link:docker0")
    assert now(gone) == ("ip address add 172.17.0.1/16 dev docker0",)
    elsewhere = default_bridge(
        options={
            "com.docker.network.bridge.name": "docker0",
            "com.docker.network.bridge.inhibit_ipv4": "true",
        }
    )
    report = judged(gone, elsewhere)
    assert report.cause is not None
    assert report.cause.summary.startswith("The gateway 172.17.0.1 is another machine (inhibit_ipv4)")
    assert "The host becomes the gateway" in report.cause.remedies[0].risk


def test_a_policy_rule_is_passed_by_one_before_it() -> None:
    refused = routing_rule(RoutingRule(4, 60, "prohibit", source="172.16.0.0/12"))
    assert cause_of(judged(refused)) == ("packet-path", "policy-routing", "network:bridge")
    assert now(refused) == ("ip rule add from 172.17.0.0/16 lookup main priority 59",)


def test_a_policy_rule_against_answers_is_passed_by_their_destination() -> None:
    refused = routing_rule(RoutingRule(4, 60, "unreachable", destination="172.17.0.0/16"))
    report = judged(refused)
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("ip rule add to 172.17.0.0/16 lookup main priority 59",)


def test_only_answers_are_led_past_a_vpns_rule_by_which_requests_get_out() -> None:
    report = judged(
        route("0.0.0.0/0", table=52, next_hops=by(2, "198.51.100.1")),
        routing_rule(RoutingRule(4, 5270, "lookup", 52)),
    )
    assert cause_of(report)[1] == "policy-routing"
    assert report.cause is not None
    remedy = report.cause.remedies[0]
    assert remedy.now == ("ip rule add to 172.17.0.0/16 lookup main priority 5269",)
    assert remedy.risk == "What these containers send still goes where that rule leads it."


def test_a_policy_rule_that_takes_the_answers_as_well_is_passed_both_ways() -> None:
    refused = routing_rule(RoutingRule(4, 60, "unreachable", mark=0xCA6C, invert=True, in_link="docker0"))
    both = routing_rule(RoutingRule(4, 60, "unreachable", mark=0xCA6C, invert=True))
    narrow = "ip rule add from 172.17.0.0/16 lookup main priority 59"
    assert second(refused)[0] == narrow
    assert second(both) == (narrow, "ip rule add to 172.17.0.0/16 lookup main priority 59")


def test_a_policy_rule_that_refuses_the_host_too_is_to_be_deleted() -> None:
    rule = RoutingRule(
        4, 60, "prohibit", mark=1, mask=0xFF, invert=True, destination_ports=(443, 443), protocol=6
    )
    report = judged(routing_rule(rule))
    assert report.cause is not None
    first, past = report.cause.remedies
    words = "not from all fwmark 0x1/0xff ipproto 6 dport 443 priority 60 prohibit"
    assert (first.now, first.undo) == ((f"ip rule del {words}",), (f"ip rule add {words}",))
    assert "ip rule add from 172.17.0.0/16 lookup main priority 59" in past.now


def test_a_refusal_in_the_place_of_a_default_route_is_no_way_out_of_the_hosts() -> None:
    last = route(DEFAULT, type="unreachable", metric=4278198272)
    report = judged(lambda snapshot: replace(snapshot, network=without_default(snapshot.network)), last)
    assert cause_of(report) == ("packet-path", "host-offline", "host:lab")


def test_a_refusing_route_of_a_host_without_a_default_by_that_name_is_the_cause_itself() -> None:
    halves = (route(half, next_hops=by(2, "198.51.100.1")) for half in ("0.0.0.0/1", "128.0.0.0/1"))
    refuses = route("1.1.1.0/24", type="blackhole")
    report = judged(
        lambda snapshot: replace(snapshot, network=without_default(snapshot.network)), *halves, refuses
    )
    assert "host-offline" not in [found.code for found in told(report).values()]
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("ip route del blackhole 1.1.1.0/24 table 254",)


def test_where_ipv6_is_refused_for_want_of_a_way_out_nothing_is_wrong() -> None:
    def refused(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.network.routes, tuple)
        changed = (
            replace(one, type="unreachable", next_hops=(NextHop(1),)) if one.destination == "::/0" else one
            for one in snapshot.network.routes
        )
        return network(routes=tuple(changed), route_answers=())(snapshot)

    assert judged(refused, recorded="ipv6-translated-trixie").verdict is Verdict.OK


def test_a_refusing_route_of_the_main_table_is_to_be_deleted() -> None:
    assert now(route("1.1.1.0/24", type="blackhole")) == ("ip route del blackhole 1.1.1.0/24 table 254",)


def test_a_route_that_takes_the_answers_explains_the_reverse_path_and_the_overlap() -> None:
    taken = route("172.17.0.0/17", next_hops=by(2), scope="link", protocol="boot")
    strict = sysctls({"net/ipv4/conf/docker0/rp_filter": "1"})
    report = judged(taken, strict)
    assert cause_of(report)[:2] == ("packet-path", "route-takes-answers")
    assert report.cause is not None
    assert report.cause.explains == (
        "rp-filter-drop link:docker0",
        "subnet-overlap network:bridge",
    )
    (line,) = report.cause.remedies[0].now
    assert line == "ip route del unicast 172.17.0.0/17 dev eth0 table 254"


def test_a_host_that_is_offline_is_said_to_be_no_matter_of_dockers() -> None:
    report = judged(
        lambda snapshot: replace(snapshot, network=without_default(snapshot.network)),
        network(route_answers=()),
    )
    assert cause_of(report) == ("packet-path", "host-offline", "host:lab")
    assert list(told(report)) == ["host-offline"]
    assert report.cause is not None
    assert "Docker is not the cause" in report.cause.remedies[0].summary


def without_ipv4(snapshot: Snapshot) -> Snapshot:
    """Takes the uplink's IPv4 addresses and routes; IPv6 still leads out."""
    here = snapshot.network
    assert isinstance(here.addresses, tuple)
    assert isinstance(here.routes, tuple)
    assert isinstance(here.links, tuple)
    uplink = next(link.index for link in here.links if link.name == "eth0")
    return network(
        addresses=tuple(one for one in here.addresses if (one.family, one.link) != (4, uplink)),
        routes=tuple(
            one for one in here.routes if one.family == 6 or all(hop.link != uplink for hop in one.next_hops)
        ),
        route_answers=(),
    )(snapshot)


def test_a_host_of_ipv6_alone_is_not_without_any_way_out() -> None:
    report = judged(without_ipv4, recorded="ipv6-translated-trixie")
    assert report.verdict is Verdict.OK
    note = told(report, Status.NOTE)["host-offline"]
    assert note.summary.startswith("The host itself has no way out over IPv4: ")


def test_containers_of_ipv4_alone_do_not_get_out_of_a_host_of_ipv6_alone() -> None:
    report = judged(without_ipv4)
    assert cause_of(report) == ("packet-path", "host-offline", "host:lab")
    assert report.cause is not None
    assert "over IPv4" in report.cause.summary
    assert "--ipv6" in report.cause.remedies[0].summary


def test_a_lost_ipv4_route_is_a_fault_though_ipv6_leads_out() -> None:
    report = judged(
        lambda snapshot: replace(snapshot, network=without_default(snapshot.network)),
        network(route_answers=()),
        recorded="ipv6-translated-trixie",
    )
    assert cause_of(report) == ("packet-path", "host-offline", "host:lab")
    assert told(report)["host-offline"].summary.startswith("The host itself has no way out over IPv4: ")


def test_the_engine_of_a_host_of_ipv6_alone_gets_out_by_that() -> None:
    stopped = engine(containers=())
    report = judged(without_ipv4, stopped, recorded="ipv6-translated-trixie")
    assert all(one.check != "engine-egress" or one.status is Status.PASS for one in report.results)


def test_containers_without_a_route_on_a_host_that_is_online() -> None:
    rules = host().network.rules
    assert isinstance(rules, tuple)
    others = tuple(rule for rule in rules if (rule.family, rule.table) != (4, 254))
    split = (*others, RoutingRule(4, 32000, "lookup", 254, invert=True, source="172.17.0.0/16"))
    ordered = tuple(sorted(split, key=lambda rule: rule.priority))
    report = judged(network(rules=ordered, route_answers=()))
    assert cause_of(report) == ("packet-path", "no-default-route", "network:bridge")
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("ip rule add from 172.17.0.0/16 lookup main priority 31999",)


def test_a_container_without_default_route_gets_it_again_without_a_restart() -> None:
    report = judged(container_namespace(without_default))
    assert cause_of(report) == ("packet-path", "path-no-route", "container:web")
    assert [finding.count for finding in told(report).values()] == [1]
    assert report.cause is not None
    (line,) = report.cause.remedies[0].now
    assert line.startswith("nsenter --target ")
    assert line.endswith("--net sh -c 'ip route add default via 172.17.0.1'")
    assert report.cause.remedies[1].now == ("docker restart web",)


def test_a_container_left_behind_in_the_namespace_of_one_that_stopped() -> None:
    def left_behind(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        (base,) = snapshot.engine.containers
        side = replace(base, id="5" * 64, name="side", network_mode=f"container:{base.id}", endpoints=())
        stopped = replace(base, state="exited", pid=None, namespace=None)
        return engine(containers=(side, stopped))(snapshot)

    report = judged(container_namespace(without_default), left_behind)
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("docker start web", "docker restart side")


def test_the_firewall_of_a_container_is_named_as_its_own() -> None:
    shut = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\nCOMMIT\n"
    own = Firewall(nft="", iptables_legacy=shut)
    report = judged(container_namespace(lambda namespace: replace(namespace, firewall=own)))
    assert cause_of(report) == ("packet-path", "path-policy", "container:web")
    assert report.cause is not None
    assert report.cause.summary.startswith("The container's own firewall")
    assert "iptables-legacy -A OUTPUT -o eth0 -s 172.17.0.0/16 -j ACCEPT" in report.cause.remedies[0].now[0]


def test_a_kill_switch_that_lets_the_packets_pass_is_no_fault() -> None:
    rules = "[0:0] -A OUTPUT -d 1.1.1.1/32 -j ACCEPT\n[0:0] -A OUTPUT -d 203.0.113.0/24 -j ACCEPT\n"
    shut = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n{rules}COMMIT\n"
    own = Firewall(nft="", iptables_legacy=shut)
    report = judged(container_namespace(lambda namespace: replace(namespace, firewall=own)))
    assert report.verdict is Verdict.OK


def test_an_internal_network_that_older_engines_close_by_rules_is_a_note_too() -> None:
    internal = default_bridge(internal=True)
    closed = first_in("DOCKER-ISOLATION-STAGE-1", "! -d 172.17.0.0/16 -i docker0 -j DROP")
    quiet = judged(internal, closed)
    assert quiet.verdict is Verdict.OK
    assert list(told(quiet, Status.NOTE)) == ["network-internal"]
    asked = judged(internal, closed, containers=("web",))
    assert cause_of(asked) == ("packet-path", "network-internal", "container:web")
    assert asked.cause is not None
    assert asked.cause.remedies[0].now == ("docker network connect bridge web",)


def test_an_internal_network_is_a_note_unless_its_container_is_asked_about() -> None:
    internal = default_bridge(internal=True)
    quiet = judged(internal, container_namespace(without_default))
    assert quiet.verdict is Verdict.OK
    assert "network-internal" in told(quiet, Status.NOTE)
    asked = judged(internal, container_namespace(without_default), containers=("web",))
    assert cause_of(asked)[:2] == ("packet-path", "network-internal")


def test_a_rule_that_uses_up_the_time_to_live() -> None:
    def mangling(value: int) -> Change:
        rule = f"[9:540] -A PREROUTING -i docker0 -j TTL --ttl-set {value}"
        return with_table(f"*mangle\n:PREROUTING ACCEPT [0:0]\n{rule}\nCOMMIT\n")

    assert cause_of(judged(mangling(1)))[:2] == ("packet-path", "path-time-to-live")
    assert now(mangling(1)) == ("iptables-legacy -t mangle -D PREROUTING -i docker0 -j TTL --ttl-set 1",)
    assert judged(mangling(64)).verdict is Verdict.OK


def test_a_route_that_refuses_the_host_too_is_mended_for_both() -> None:
    report = judged(recorded="vpn-kill-switch-route-trixie")
    assert report.cause is not None
    both, alone = report.cause.remedies[:2]
    assert both.now == ("ip route del unreachable 0.0.0.0/0 table 51820",)
    assert "bring the VPN up instead" in both.risk
    assert alone.now[0].startswith("ip rule add from 172.17.0.0/16 lookup main")


MARKED = "rp-filter-with-marked-uplink-sid"
AT_BOOT = "rp-filter-strict-at-boot-sid"


def test_the_kernels_own_count_of_what_the_filter_discards() -> None:
    counted = judged(network(ip_counters={"IPReversePathFilter": 7}), recorded=MARKED)
    assert counted.cause is not None
    assert "IPReversePathFilter 7: packets so discarded" in [piece.text for piece in counted.cause.evidence]
    for quiet in ({"IPReversePathFilter": 0}, {}, Unread("no /proc")):
        report = judged(network(ip_counters=quiet), recorded=MARKED)
        assert report.cause is not None
        assert "/proc/net/netstat" not in [piece.source for piece in report.cause.evidence]


def test_a_filter_that_a_file_makes_strict_and_another_leaves_loose() -> None:
    loose = sysctl_d("/etc/sysctl.d/70-own.conf", "net.ipv4.conf.all.rp_filter = 2\n")
    assert judged(loose, recorded=AT_BOOT).verdict is Verdict.OK
    everywhere = sysctl_d("/etc/sysctl.d/60-hardening.conf", "net.ipv4.conf.all.rp_filter = 1\n")
    without = sysctl_d("/etc/sysctl.d/10-own.conf", "-net.ipv4.conf.eth0.rp_filter\n")
    assert cause_of(judged(everywhere, without, recorded=AT_BOOT))[1] == "rp-filter-at-boot"


def test_a_container_without_its_address_gets_that_and_its_route_again() -> None:
    def emptied(namespace: NetworkNamespace) -> NetworkNamespace:
        assert isinstance(namespace.addresses, tuple)
        left = tuple(one for one in namespace.addresses if not one.address.startswith("172."))
        return replace(namespace, addresses=left, routes=())

    (command,) = (line for line in now(container_namespace(emptied)) if "address" in line)
    assert "ip address add 172.17.0.2/16 dev eth0" in command
    assert "ip route add default via 172.17.0.1" in " ".join(now(container_namespace(emptied)))


def test_a_containers_own_route_by_nobody_is_deleted() -> None:
    def led_astray(namespace: NetworkNamespace) -> NetworkNamespace:
        assert isinstance(namespace.routes, tuple)
        default = next(one for one in namespace.routes if one.destination == DEFAULT)
        (hop,) = default.next_hops
        astray = replace(default, destination="1.1.1.0/24", next_hops=(replace(hop, gateway="172.17.0.5"),))
        return replace(namespace, routes=(*namespace.routes, astray))

    assert cause_of(judged(container_namespace(led_astray)))[1] == "container-gateway-wrong"
    assert "ip route del 1.1.1.0/24 via 172.17.0.5 table 254" in now(container_namespace(led_astray))[0]


def container_routes(*added: Route, kept: tuple[str, ...] = ()) -> Change:
    """The container's routes, of the table main those that are kept and added alone."""

    def changed(namespace: NetworkNamespace) -> NetworkNamespace:
        assert isinstance(namespace.routes, tuple)
        others = (one for one in namespace.routes if one.table != 254 or one.destination in kept)
        return replace(namespace, routes=(*others, *added), route_answers=())

    return container_namespace(changed)


def test_a_container_whose_routes_are_all_gone_is_given_the_one_to_its_subnet_first() -> None:
    first, then = now(container_routes())
    assert "ip route add 172.17.0.0/16 dev eth0 proto kernel scope link src 172.17.0.2" in first
    assert "ip route add default via 172.17.0.1" in then


def test_a_containers_default_route_without_a_gateway_is_replaced() -> None:
    inside = Route(4, 254, DEFAULT, "unicast", by(4), scope="link")
    report = judged(container_routes(inside, kept=("172.17.0.0/16",)))
    assert cause_of(report) == ("packet-path", "container-gateway-wrong", "container:web")
    assert [f.code for f in told(report).values()] == ["container-gateway-wrong"]
    assert report.cause is not None
    assert "ip route replace default via 172.17.0.1" in report.cause.remedies[0].now[0]
    assert "ip route replace default dev eth0" in report.cause.remedies[0].undo[0]


def test_a_replaced_default_route_keeps_its_metric() -> None:
    """Of another metric it would be a second route."""
    inside = Route(4, 254, DEFAULT, "unicast", by(4), scope="link", metric=50)
    report = judged(container_routes(inside, kept=("172.17.0.0/16",)))
    assert report.cause is not None
    remedy = report.cause.remedies[0]
    assert "ip route replace default via 172.17.0.1 metric 50" in remedy.now[0]
    assert "ip route replace default dev eth0 metric 50" in remedy.undo[0]


def test_a_containers_own_route_without_a_gateway_is_deleted() -> None:
    inside = Route(4, 254, "1.0.0.0/8", "unicast", by(4), scope="link")
    whole = container_routes(inside, kept=("172.17.0.0/16", DEFAULT))
    assert "ip route del 1.0.0.0/8 dev eth0 table 254" in now(whole)[0]


def test_a_route_of_the_hosts_that_leads_others_into_a_bridge_is_deleted() -> None:
    astray = route("1.1.1.1/32", next_hops=by(3), scope="link")
    assert cause_of(judged(astray)) == ("packet-path", "path-route", "link:docker0")
    assert now(astray) == ("ip route del unicast 1.1.1.1/32 dev docker0 table 254",)


@pytest.mark.parametrize("chosen_by", [{"in_link": "docker0"}, {"protocol": 6}])
def test_a_table_that_leads_into_a_bridge_leaves_the_hosts_own_routes_alone(
    chosen_by: dict[str, Any],
) -> None:
    """Not what a lookup finds without what the rule asks for: that is the host's default route."""
    report = judged(
        routing_rule(RoutingRule(4, 100, "lookup", 100, **chosen_by)),
        route("1.1.1.0/24", table=100, next_hops=by(3), scope="link"),
    )
    commands = [line for found in told(report).values() for one in found.remedies for line in one.now]
    assert not any("route del" in line and "0.0.0.0/0" in line for line in commands)
    assert cause_of(report)[1] in ("policy-routing", "path-route")


@pytest.mark.parametrize("server", ["fe80::1%eth0", "ff02::fb"])
def test_what_every_link_leads_to_needs_no_gateway(server: str) -> None:
    """The kernel's own routes to link-local and multicast addresses are not the container's to delete."""

    def asks(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        file = TextFile("/etc/resolv.conf", f"nameserver {server}\n")
        return engine(containers=tuple(replace(one, resolv_conf=file) for one in snapshot.engine.containers))(
            snapshot
        )

    report = judged(asks, recorded="ipv6-routed-prefix-sid")
    assert "container-gateway-wrong" not in [found.code for found in told(report).values()]


def test_each_container_has_its_own_route_by_nobody_deleted() -> None:
    """Two are led astray by a route of the same words, a third by its default route."""
    nobody = "172.17.0.99"
    made = made_snapshot(3)
    for number, (destination, instead) in enumerate(
        (("1.1.1.0/24", GATEWAY), ("1.1.1.0/24", GATEWAY), (DEFAULT, nobody))
    ):
        inside = made.namespaces[f"net:[{number + 10}]"]
        assert isinstance(inside, NetworkNamespace)
        assert isinstance(inside.routes, tuple)
        others = tuple(one for one in inside.routes if one.destination != DEFAULT)
        stray = made_route(destination, 2, nobody)
        routes = (*others, made_route(DEFAULT, 2, instead), *(() if instead == nobody else (stray,)))
        made = replace(made, namespaces={**made.namespaces, inside.name: replace(inside, routes=routes)})
    report = diagnose(made, Asked.parse(destinations=("1.1.1.1",)), SHIPPED)
    done = [line for f in told(report).values() for line in f.remedies[0].now]
    for name in ("web0", "web1"):
        (line,) = (line for line in done if name in line)
        assert "ip route del 1.1.1.0/24 via 172.17.0.99 table 254" in line
    (line,) = (line for line in done if "web2" in line)
    assert "ip route replace default via 172.17.0.1" in line


def test_a_second_default_route_by_a_gateway_that_does_not_answer() -> None:
    def doubled(snapshot: Snapshot) -> Snapshot:
        routes, neighbours = snapshot.network.routes, snapshot.network.neighbours
        assert isinstance(routes, tuple)
        assert isinstance(neighbours, tuple)
        default = next(one for one in routes if one.destination == DEFAULT)
        (hop,) = default.next_hops
        silent = Neighbour(hop.link or 0, 4, "198.51.100.254", None, "failed")
        later = replace(default, metric=100)
        first = replace(default, metric=50, next_hops=(replace(hop, gateway="198.51.100.254"),))
        left = tuple(one for one in routes if one is not default)
        return network(routes=(*left, first, later), neighbours=(*neighbours, silent))(snapshot)

    assert now(doubled) == ("ip route del unicast 0.0.0.0/0 via 198.51.100.254 dev eth0 table 254 metric 50",)


def test_a_container_whose_packets_live_too_short() -> None:
    def short(space: NetworkNamespace) -> NetworkNamespace:
        assert isinstance(space.sysctls, Mapping)
        return replace(space, sysctls={**space.sysctls, "net/ipv4/ip_default_ttl": "1"})

    report = judged(container_namespace(short))
    assert cause_of(report) == ("packet-path", "path-time-to-live", "container:web")
    (line,) = now(container_namespace(short))
    assert "sysctl -w net.ipv4.ip_default_ttl=64" in line
    assert list(told(report)) == ["path-time-to-live"]


@pytest.mark.parametrize("deleted", [True, False])
def test_a_containers_route_that_refuses_is_deleted_where_another_leads_on(deleted: bool) -> None:
    def refusing(space: NetworkNamespace) -> NetworkNamespace:
        assert isinstance(space.routes, tuple)
        default = tuple(one for one in space.routes if deleted or one.destination != "0.0.0.0/0")
        routes = (Route(4, 254, "1.1.1.0/24", "unreachable"), *default)
        return replace(space, routes=routes, route_answers=())

    lines = now(container_namespace(refusing))
    assert ("ip route del unreachable 1.1.1.0/24 table 254" in lines[0]) is deleted


def test_a_host_that_has_the_containers_address_too() -> None:
    before = host().network
    assert isinstance(before.addresses, tuple)
    assert isinstance(before.routes, tuple)
    lo = next(one for one in before.addresses if one.address == "127.0.0.1")
    local = next(one for one in before.routes if one.destination == "127.0.0.1/32")
    taken = network(
        addresses=(*before.addresses, replace(lo, address="172.17.0.2", prefix_length=32)),
        routes=(replace(local, destination="172.17.0.2/32", preferred_source="172.17.0.2"), *before.routes),
        route_answers=(),
    )
    report = judged(taken)
    assert cause_of(report)[:2] == ("packet-path", "container-address-taken")
    assert "masquerade" not in {each.check for each in report.results if each.status is Status.FAIL}
    assert report.cause is not None
    assert report.cause.remedies[0].summary.startswith("Give network bridge another subnet")


def test_a_container_without_network_that_somebody_gave_a_link_needs_no_way_out() -> None:
    def alone(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        (web,) = snapshot.engine.containers
        return engine(containers=(replace(web, network_mode="none", endpoints=()),))(snapshot)

    quiet = judged(alone, container_namespace(without_default))
    assert quiet.verdict is Verdict.OK
    assert "container-without-network" in told(quiet, Status.NOTE)
    unreachable = Route(4, 254, "1.1.1.0/24", "unreachable")
    refused = container_namespace(
        lambda space: replace(space, routes=(unreachable, *space.routes), route_answers=())
    )  # type: ignore[misc]
    assert judged(alone, refused).verdict is Verdict.BROKEN
