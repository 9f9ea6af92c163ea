from dataclasses import replace
from ipaddress import ip_address

from dockerdiag.packet.plan import errands, resolvers, sources
from dockerdiag.packet.world import World
from dockerdiag.snapshot.model import Firewall, Network, RouteAnswer, RoutingRule, Snapshot, TextFile, Unread
from tests.packet.hosts import (
    NETWORK,
    RULES,
    container,
    container_namespace,
    host_namespace,
    snapshot,
    with_engine,
)
from tests.packet.namespaces import default_rules, forwarding_sysctls, route


def classes(one: Snapshot) -> list[list[str]]:
    return [[member.name for member in source.members] for source in sources(World(one))]


def with_rules(text: str, count: int = 3) -> Snapshot:
    return snapshot(count, host=host_namespace(count, firewall=Firewall(nft="", iptables_legacy=text)))


def test_like_containers_are_walked_once() -> None:
    assert classes(snapshot(3)) == [["web0", "web1", "web2"]]


def test_an_address_that_a_rule_names_is_walked_alone() -> None:
    assert classes(
        with_rules(RULES.replace("-A FORWARD", "-A FORWARD -s 172.17.0.3/32 -j DROP\n-A FORWARD", 1))
    ) == [["web0", "web2"], ["web1"]]
    pair = "-A FORWARD -s 172.17.0.3/32 -d 192.0.2.1/32 -j DROP\n-A FORWARD"
    assert classes(with_rules(RULES.replace("-A FORWARD", pair, 1))) == [["web0"], ["web1"], ["web2"]]


def test_prefixes_and_ranges_part_addresses() -> None:
    narrow = RULES.replace("-A FORWARD", "-A FORWARD -s 172.17.0.0/30 -j DROP\n-A FORWARD", 1)
    assert classes(with_rules(narrow)) == [["web0", "web1"], ["web2"]]
    span = "-A FORWARD -m iprange --src-range 172.17.0.4-172.17.0.200 -j DROP\n-A FORWARD"
    assert classes(with_rules(RULES.replace("-A FORWARD", span, 1), 4)) == [
        ["web0", "web1"],
        ["web2"],
        ["web3"],
    ]
    rule = RoutingRule(4, 50, "prohibit", source="172.17.0.4/32")
    one = snapshot(3, host=host_namespace(3, rules=(*default_rules(), rule)))
    assert classes(one) == [["web0", "web1"], ["web2"]]


def test_links_and_hardware_addresses_that_rules_name() -> None:
    named = RULES.replace("-A FORWARD", "-A FORWARD -m physdev --physdev-in veth0001 -j DROP\n-A FORWARD", 1)
    assert classes(with_rules(named)) == [["web0", "web2"], ["web1"]]
    mac = RULES.replace(
        "-A FORWARD", "-A FORWARD -m mac --mac-source 02:42:AC:11:00:02 -j DROP\n-A FORWARD", 1
    )
    assert classes(with_rules(mac)) == [["web0"], ["web1", "web2"]]


def test_what_parts_addresses_by_their_bits_leaves_nobody_alike() -> None:
    odd = RULES.replace("-A FORWARD", '-A FORWARD -m u32 --u32 "12&0x1=1" -j DROP\n-A FORWARD', 1)
    assert classes(with_rules(odd)) == [["web0"], ["web1"], ["web2"]]


def test_what_the_kernel_answered_about_each_parts_those_only_that_it_answers_otherwise() -> None:
    def answers(number: int, **changed: str) -> tuple[RouteAnswer, ...]:
        own = f"172.17.0.{number + 2}"
        out = RouteAnswer("1.1.1.1", own, "docker0", 0, type="unicast", out_link="eth0", gateway="192.0.2.1")
        back = RouteAnswer(
            own, None, None, 0, type="unicast", out_link="docker0", preferred_source="172.17.0.1"
        )
        return (replace(out, **changed), back)  # type: ignore[arg-type]  # fields of text

    same = host_namespace(3, route_answers=(*answers(0), *answers(1), *answers(2)))
    assert classes(snapshot(3, host=same)) == [["web0", "web1", "web2"]]
    other = host_namespace(3, route_answers=(*answers(0), *answers(1, out_link="wg0"), *answers(2)))
    assert classes(snapshot(3, host=other)) == [["web0", "web2"], ["web1"]]
    fewer = host_namespace(3, route_answers=(*answers(0), *answers(1)))
    assert classes(snapshot(3, host=fewer)) == [["web0", "web1"], ["web2"]]


def test_namespaces_that_differ() -> None:
    one = snapshot(3)
    changed = container_namespace(1, sysctls=forwarding_sysctls("eth0", net__ipv4__ip_forward="0"))
    one = replace(one, namespaces={**one.namespaces, "net:[11]": changed})
    assert classes(one) == [["web0", "web2"], ["web1"]]


def test_ports_that_differ() -> None:
    host = host_namespace(3)
    assert not isinstance(host.links, Unread)
    host = replace(
        host, links=tuple(replace(k, master=None) if k.name == "veth0002" else k for k in host.links)
    )
    assert classes(snapshot(3, host=host)) == [["web0", "web1"], ["web2"]]


def test_different_resolvers_are_different_questions() -> None:
    other = container(1, resolv_conf=TextFile("/etc/resolv.conf", "nameserver 9.9.9.9\n"))
    one = with_engine(snapshot(2), containers=(container(0), other))
    assert classes(one) == [["web0"], ["web1"]]


def test_where_a_container_is_walked_to() -> None:
    world = World(snapshot())
    assert [(errand.flow.to, errand.resolver) for errand in errands(world)] == [
        ("1.1.1.1:443/tcp", False),
        ("198.51.100.53:53/udp", True),
    ]
    wanted = ((ip_address("192.0.2.1"), "icmp", None),)
    assert [errand.flow.to for errand in errands(world, destinations=wanted)] == ["192.0.2.1/icmp"]


def test_ipv6_is_walked_where_there_is_a_way() -> None:
    space = container_namespace()
    assert not isinstance(space.routes, Unread)
    space = replace(space, routes=(*space.routes, route("::/0", 2, "fd00::1")))
    world = World(snapshot(namespaces={"net:[10]": space}))
    assert [errand.flow.to for errand in errands(world)][:2] == [
        "1.1.1.1:443/tcp",
        "[2606:4700:4700::1111]:443/tcp",
    ]


def test_resolvers_behind_the_engines_own() -> None:
    text = (
        "nameserver 127.0.0.11\noptions ndots:0\n# ExtServers: [192.0.2.53 host(127.0.0.53) fe80::1%eth0]\n"
    )
    found = resolvers(container(resolv_conf=TextFile("/etc/resolv.conf", text)))
    assert [str(address) for address in found] == ["192.0.2.53", "fe80::1%eth0"]


def test_resolvers_behind_an_older_engines_own() -> None:
    old = container(resolv_conf=TextFile("/etc/resolv.conf", "nameserver 127.0.0.11\noptions ndots:0\n"))
    upstream = (ip_address("192.0.2.53"),)
    assert resolvers(old, upstream) == upstream
    assert resolvers(replace(old, dns=("192.0.2.54",)), upstream) == (ip_address("192.0.2.54"),)
    newer = TextFile("/etc/resolv.conf", "# Generated by Docker Engine.\nnameserver 127.0.0.11\n")
    assert resolvers(replace(old, resolv_conf=newer), upstream) == ()


def test_nobody_runs() -> None:
    internal = replace(NETWORK, id="1" * 64, name="inside", internal=True)
    driverless = Network("2" * 64, "host", "host")
    one = with_engine(snapshot(), containers=(), networks=(NETWORK, internal, driverless))
    assert [source.network and source.network.name for source in sources(World(one))] == ["bridge"]


def test_who_is_asked_about() -> None:
    stopped = container(1, state="exited", pid=None, namespace=None)
    one = with_engine(snapshot(), containers=(container(0), stopped))
    assert classes(one) == [["web0"]]
    named = sources(World(one), containers=("web1",))
    assert [source.container and source.container.name for source in named] == ["web1"]
    lonely = replace(NETWORK, id="3" * 64, name="lonely", options={})
    world = World(with_engine(one, networks=(NETWORK, lonely)))
    assert [source.network and source.network.name for source in sources(world, networks=("lonely",))] == [
        "lonely"
    ]
