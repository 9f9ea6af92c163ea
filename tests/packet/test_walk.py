from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.flow import Narrowing
from dockerdiag.packet.walk import Flow, Journey, Source, Walker, walk
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import (
    Container,
    DaemonProcess,
    Engine,
    Firewall,
    IpSet,
    Listener,
    Neighbour,
    Network,
    RouteAnswer,
    Snapshot,
    Unread,
)
from tests.packet.hosts import (
    NETWORK,
    RULES,
    container,
    container_namespace,
    host_namespace,
    snapshot,
    with_engine,
)
from tests.packet.namespaces import address, link, local_route, route

UNREAD = Unread("not permitted")


def walked(one: Snapshot, destination: str = "1.1.1.1", source: Source | None = None) -> Journey:
    assert isinstance(one.engine, Engine)
    containers = one.engine.containers
    if source is None:
        assert not isinstance(containers, Unread)
        source = Source(containers[0], members=containers)
    return walk(one, Flow(source, ip_address(destination)))


def unknown(journey: Journey) -> str:
    assert journey.disposition is Disposition.UNKNOWN, journey.halts
    return journey.halts[0].reason


def test_a_healthy_host_delivers() -> None:
    journey = walked(snapshot())
    assert (journey.disposition, journey.halts) == (Disposition.DELIVERED, ())
    assert (journey.network, journey.entry, journey.uplink) == ("bridge", "docker0", "eth0")
    assert journey.translation is not None
    assert str(journey.translation.source) == "198.51.100.2"
    assert journey.translation.rule is not None
    assert [hop.place for hop in journey.hops] == [
        "container process",
        "container routes",
        "container eth0",
        "bridge docker0",
        "prerouting",
        "routing",
        "forward",
        "postrouting",
        "uplink eth0",
        "uplink eth0",
        "routing",
        "forward",
        "container routing",
        "container process",
    ]
    shown = journey.to_walk()
    assert (shown.from_, shown.to, shown.at) == ("172.17.0.2", "1.1.1.1:443/tcp", None)


def test_stops_are_collected_as_if_each_were_mended() -> None:
    host = host_namespace()
    assert isinstance(host.sysctls, dict)
    off = host.sysctls | {"net/ipv4/ip_forward": "0"}
    off |= {f"net/ipv4/conf/{name}/forwarding": "0" for name in ("docker0", "eth0")}
    bare = Firewall(nft="", iptables_legacy=RULES.replace("-A ", "#"))
    journey = walked(snapshot(host=replace(host, sysctls=off, firewall=bare)))
    found = [(halt.direction, halt.kind) for halt in journey.halts]
    assert found == [("out", "sysctl"), ("out", "policy"), ("out", "unanswered"), ("reply", "policy")]
    assert journey.hops[-1].stop
    assert journey.hops[-1].place == "routing"
    assert not any(hop.stop for hop in journey.hops[:-1])
    assert journey.to_walk().at == "net.ipv4.ip_forward"


@pytest.mark.parametrize("part", ["links", "addresses", "routes", "rules", "sysctls", "neighbours"])
def test_an_unread_part_of_the_host_is_unknown(part: str) -> None:
    journey = walked(snapshot(host=replace(host_namespace(), **{part: UNREAD})))
    assert "not permitted" in unknown(journey)


@pytest.mark.parametrize("part", ["links", "routes", "rules", "neighbours"])
def test_an_unread_part_of_the_container_is_unknown(part: str) -> None:
    spaces = {"net:[10]": replace(container_namespace(), **{part: UNREAD})}
    assert "not permitted" in unknown(walked(snapshot(namespaces=spaces)))


def test_unread_rules_are_unknown() -> None:
    journey = walked(snapshot(host=host_namespace(firewall=Firewall(nft=UNREAD))))
    assert "not permitted" in unknown(journey)
    assert journey.halts[0].kind == "unread"


def test_an_unread_namespace_is_walked_as_configured_and_stays_unknown() -> None:
    one = snapshot(namespaces={"net:[10]": UNREAD})
    journey = walked(one)
    assert "not permitted" in unknown(journey)
    assert (journey.network, str(journey.sent_from)) == ("bridge", "172.17.0.2")
    host = host_namespace()
    assert isinstance(host.sysctls, dict)
    off = host.sysctls | {"net/ipv4/conf/docker0/forwarding": "0"}
    certain = walked(replace(one, network=replace(host, sysctls=off)))
    assert certain.halts[0].sysctl == "net/ipv4/conf/docker0/forwarding"


def test_a_stopped_container_is_walked_as_configured() -> None:
    stopped = container(state="exited", pid=None, namespace=None, endpoints=())
    journey = walked(with_engine(snapshot(), containers=(stopped,)))
    assert (journey.disposition, str(journey.sent_from)) == (Disposition.DELIVERED, "172.17.0.2")


def test_an_engine_elsewhere_is_not_judged_by_this_host() -> None:
    assert "does not run on this host" in unknown(walked(with_engine(snapshot(), local=False)))
    assert "rootless" in unknown(walked(with_engine(snapshot(), rootless=True)))
    process = DaemonProcess(1, None, (), {}, None, "net:[9]", namespace_is_host=False)
    assert "namespace" in unknown(walked(snapshot(daemons=(process,))))


def test_a_shared_namespace_is_the_others() -> None:
    sidecar = container(1, network_mode=f"container:{'0' * 64}", endpoints=(), namespace="net:[10]")
    one = with_engine(snapshot(), containers=(sidecar, container(0)))
    journey = walked(one, source=Source(sidecar))
    assert (journey.disposition, journey.network) == (Disposition.DELIVERED, "bridge")


def test_a_routed_network_goes_on_untranslated() -> None:
    routed = replace(
        NETWORK,
        options={**NETWORK.options, "com.docker.network.bridge.gateway_mode_ipv4": "routed"},
    )
    bare = Firewall(nft="", iptables_legacy=RULES.replace("-A POSTROUTING", "#"))
    one = snapshot(host=host_namespace(firewall=bare))
    assert walked(one).halts[0].kind == "unanswered"
    journey = walked(with_engine(one, networks=(routed,)))
    assert journey.disposition is Disposition.DELIVERED
    assert any("cannot be seen here" in hop.text for hop in journey.hops)


def test_a_rule_that_decides_before_masquerading_is_named() -> None:
    early = RULES.replace("-A POSTROUTING", "-A POSTROUTING -o eth0 -j ACCEPT\n-A POSTROUTING", 1)
    journey = walked(snapshot(host=host_namespace(firewall=Firewall(nft="", iptables_legacy=early))))
    halt = journey.halts[0]
    assert (halt.kind, halt.at) == ("unanswered", "iptables-legacy ip nat POSTROUTING rule 1")
    assert halt.rule is not None
    assert [rule.index for rule in journey.shadowed_nat] == [2]
    assert journey.translation is not None
    assert journey.translation.rule == halt.rule


def test_what_rules_may_translate_is_unknown_not_unanswered() -> None:
    firewall = Firewall(nft=UNREAD, iptables_legacy=RULES.replace("-A POSTROUTING", "#"))
    journey = walked(snapshot(host=host_namespace(firewall=firewall)))
    assert journey.disposition is Disposition.UNKNOWN
    assert [halt.disposition for halt in journey.halts if halt.kind == "unanswered"] == [Disposition.UNKNOWN]


def test_a_failed_uplink_neighbour() -> None:
    failed = Neighbour(2, 4, "198.51.100.1", None, "failed")
    journey = walked(snapshot(host=host_namespace(neighbours=(failed,))))
    assert (journey.disposition, journey.halts[0].at) == (
        Disposition.NO_ROUTE,
        "neighbour 198.51.100.1 dev eth0",
    )


def test_a_failed_container_neighbour_only_may_stop_it() -> None:
    failed = Neighbour(3, 4, "172.17.0.2", None, "failed")
    assert "did not answer ARP" in unknown(walked(snapshot(host=host_namespace(neighbours=(failed,)))))


def test_the_kernels_own_answer_is_shown_where_it_differs() -> None:
    answer = RouteAnswer("1.1.1.1", "172.17.0.2", "docker0", 0, error="EHOSTUNREACH")
    journey = walked(snapshot(host=host_namespace(route_answers=(answer,))))
    assert "EHOSTUNREACH" in unknown(journey)


def test_an_overlays_own_link_is_not_guessed() -> None:
    """Its other end is in the overlay's hidden namespace, whatever host link has that index."""
    links = (
        link(1, "lo", loopback=True),
        link(7, "eth0", "veth", peer=100, peer_namespace=1),
        link(8, "eth1", "veth", peer=101, peer_namespace=0),
    )
    space = container_namespace(
        links=links,
        addresses=(address(7, "10.0.1.5/24"), address(8, "172.18.0.3/16")),
        routes=(
            route("10.0.1.0/24", 7, preferred_source="10.0.1.5"),
            route("172.18.0.0/16", 8, preferred_source="172.18.0.3"),
            route("0.0.0.0/0", 8, "172.18.0.1"),
            local_route("172.18.0.3", 8),
        ),
    )
    gateway_bridge = Network(
        "d" * 64,
        "docker_gwbridge",
        "bridge",
        pools=(replace(NETWORK.pools[0], subnet="172.18.0.0/16", gateway="172.18.0.1"),),
        options={"com.docker.network.bridge.name": "docker_gwbridge"},
    )
    host = host_namespace()
    assert not isinstance(host.links, Unread)
    assert not isinstance(host.addresses, Unread)
    assert not isinstance(host.routes, Unread)
    assert isinstance(host.sysctls, dict)
    bridge = link(50, "docker_gwbridge", "bridge")
    port = link(101, "veth0065", "veth", master=50, peer=8, peer_namespace=5, bridge_port_state=3)
    sysctls = {key.replace("docker0", "docker_gwbridge"): value for key, value in host.sysctls.items()}
    host = replace(
        host,
        links=(*host.links, bridge, port),
        addresses=(*host.addresses, address(50, "172.18.0.1/16")),
        routes=(*host.routes, route("172.18.0.0/16", 50)),
        sysctls=host.sysctls | sysctls,
        firewall=Firewall(
            nft="",
            iptables_legacy=RULES.replace("172.17.0.0/16", "172.16.0.0/12").replace(
                "docker0", "docker_gwbridge"
            ),
        ),
    )
    task = container(network_mode="ingress", endpoints=())
    one = with_engine(
        snapshot(host=host, namespaces={"net:[10]": space}),
        networks=(NETWORK, gateway_bridge),
        containers=(task,),
    )
    journey = walked(one)
    assert (journey.disposition, journey.entry, journey.network) == (
        Disposition.DELIVERED,
        "docker_gwbridge",
        "docker_gwbridge",
    )
    assert walked(one, "10.0.1.9").halts[0].kind == "namespace"


def test_a_destination_in_a_network_that_nobody_there_has() -> None:
    other = replace(
        NETWORK,
        id="e" * 64,
        name="other",
        options={"com.docker.network.bridge.name": "br-x"},
        pools=(replace(NETWORK.pools[0], subnet="10.9.0.0/16", gateway="10.9.0.1"),),
    )
    host = host_namespace()
    assert not isinstance(host.links, Unread)
    assert not isinstance(host.routes, Unread)
    host = replace(
        host, links=(*host.links, link(60, "br-x", "bridge")), routes=(*host.routes, route("10.9.0.0/16", 60))
    )
    journey = walked(with_engine(snapshot(host=host), networks=(NETWORK, other)), "10.9.0.7")
    assert (journey.disposition, journey.halts[0].kind) == (Disposition.NO_ROUTE, "route")
    assert "network other" in journey.halts[0].reason


def test_a_frame_for_an_external_gateway_is_bridged_on() -> None:
    """docker0 as a user's bridge with the uplink as its port, and a gateway out there (inhibit_ipv4)."""
    host = host_namespace(addresses=(address(1, "127.0.0.1/8", scope="host"),))
    assert not isinstance(host.links, Unread)
    assert not isinstance(host.routes, Unread)
    host = replace(host, routes=tuple(one for one in host.routes if one.type != "local"))
    host = replace(
        host, links=tuple(replace(one, master=3) if one.name == "eth0" else one for one in host.links)
    )
    journey = walked(snapshot(host=host))
    assert (journey.disposition, journey.uplink) == (Disposition.DELIVERED, "eth0")


def test_a_walker_parses_once() -> None:
    walker = Walker(snapshot(2))
    assert isinstance(walker.world.snapshot.engine, Engine)
    containers: tuple[Container, ...] = walker.world.containers
    journeys = [walker.walk(Flow(Source(one), ip_address("1.1.1.1"))) for one in containers]
    assert [journey.disposition for journey in journeys] == [Disposition.DELIVERED] * 2
    assert walker.world.host.ruleset is walker.world.host.ruleset


def test_between_containers() -> None:
    listening = container_namespace(1, listeners=(Listener("tcp", "0.0.0.0", 443),))
    journey = walked(
        snapshot(2, namespaces={"net:[10]": container_namespace(), "net:[11]": listening}), "172.17.0.3"
    )
    assert (journey.disposition, journey.uplink) == (Disposition.DELIVERED, None)
    closed = walked(snapshot(2), "172.17.0.3")
    assert (closed.disposition, closed.halts[0].at) == (
        Disposition.REJECTED,
        "port 443/tcp of container web1",
    )


@pytest.mark.parametrize(
    ("bound_to", "disposition"),
    [
        ("0.0.0.0", Disposition.DELIVERED),
        ("172.17.0.1", Disposition.DELIVERED),
        ("::", Disposition.DELIVERED),
        ("::ffff:172.17.0.1", Disposition.DELIVERED),
        ("127.0.0.1", Disposition.REJECTED),
        ("::1", Disposition.REJECTED),
        ("198.51.100.2", Disposition.REJECTED),
    ],
)
def test_who_listens_on_the_host(bound_to: str, disposition: Disposition) -> None:
    host = host_namespace(listeners=(Listener("tcp", bound_to, 443), Listener("udp", "0.0.0.0", 443)))
    journey = walked(snapshot(host=host), "172.17.0.1")
    assert journey.disposition is disposition, journey.halts
    if disposition is Disposition.REJECTED:
        halt = journey.halts[0]
        assert (halt.kind, halt.at) == ("listener", "port 443/tcp of this host")
        assert "only on" in halt.reason


def test_a_server_in_another_protocol_or_on_another_port_does_not_count() -> None:
    listeners = (Listener("udp", "0.0.0.0", 443), Listener("tcp", "0.0.0.0", 444))
    journey = walked(snapshot(host=host_namespace(listeners=listeners)), "172.17.0.1")
    assert journey.halts[0].reason == "nothing listens on 172.17.0.1:443/tcp: this host refuses it"


def test_unread_listeners_are_unknown_and_icmp_needs_none() -> None:
    one = snapshot(host=host_namespace(listeners=UNREAD))
    assert "not permitted" in unknown(walked(one, "172.17.0.1"))
    assert walked(one).disposition is Disposition.DELIVERED
    ping = Flow(Source(container()), ip_address("172.17.0.1"), "icmp", None)
    assert walk(one, ping).disposition is Disposition.DELIVERED


def test_where_the_way_gets_narrower() -> None:
    assert walked(snapshot()).narrowest is None
    host = host_namespace()
    assert not isinstance(host.links, Unread)
    assert not isinstance(host.routes, Unread)
    narrow = replace(host, links=tuple(replace(k, mtu=1400) if k.name == "eth0" else k for k in host.links))
    journey = walked(snapshot(host=narrow))
    assert journey.disposition is Disposition.DELIVERED
    assert journey.narrowest == Narrowing("eth0", 1400, "eth0", 1500)
    assert any("an MTU of 1400" in hop.text for hop in journey.hops)
    first, *others = narrow.routes  # type: ignore[misc]
    limited = replace(first, mtu=1300)
    routed = walked(snapshot(host=replace(narrow, routes=(limited, *others)))).narrowest
    assert routed == Narrowing("eth0", 1300, "eth0", 1500, limited)
    port = replace(host, links=tuple(replace(k, mtu=1280) if k.kind == "veth" else k for k in host.links))
    silent = walked(snapshot(host=port)).narrowest
    assert silent == Narrowing("veth0000", 1280, "eth0", 1500, silent=True)


@pytest.mark.parametrize("kept", [True, False])
def test_what_the_request_puts_into_a_set_is_there_for_the_answer(kept: bool) -> None:
    allowed = "-A FORWARD -i docker0 -j SET --add-set ok dst --exist\n" if kept else ""
    answers = "-A FORWARD -o docker0 -m set --match-set ok src -j ACCEPT\n"
    rules = RULES.replace(
        "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", allowed + answers
    )
    firewall = Firewall(nft="", iptables_legacy=rules, ipsets=(IpSet("ok", "hash:ip", "inet", ()),))
    journey = walked(snapshot(host=host_namespace(firewall=firewall)))
    if kept:
        assert unknown(journey) == "a rule before this one changes the ipset ok"
    else:
        assert journey.disposition is Disposition.DROPPED


def test_a_container_changes_no_set_of_the_host() -> None:
    sets = (IpSet("ok", "hash:ip", "inet", ()),)
    own = "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j SET --add-set ok dst --exist\nCOMMIT\n"
    rules = RULES.replace(
        "-A FORWARD -i docker0", "-A FORWARD -m set --match-set ok dst -j DROP\n-A FORWARD -i docker0"
    )
    inside, host = (Firewall(nft="", iptables_legacy=text, ipsets=sets) for text in (own, rules))
    one = snapshot(
        host=host_namespace(firewall=host), namespaces={"net:[10]": container_namespace(firewall=inside)}
    )
    assert walked(one).disposition is Disposition.DELIVERED
