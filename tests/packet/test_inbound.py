from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.plan import bindings, inbound
from dockerdiag.packet.walk import Journey, Walker
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Firewall, Listener, PortBinding, Snapshot
from tests.packet.hosts import RULES, container, container_namespace, host_namespace, snapshot, with_engine
from tests.packet.namespaces import address, link, local_route, route

BINDING = PortBinding("tcp", 80, "0.0.0.0", 8080)
DNAT = "-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"
FORWARDED = "-A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
PUBLISHED = RULES.replace("-A POSTROUTING", f"{DNAT}\n-A POSTROUTING", 1).replace(
    "-A FORWARD", f"{FORWARDED}\n-A FORWARD", 1
)
SERVING = (Listener("tcp", "0.0.0.0", 80),)
PROXY = (Listener("tcp", "0.0.0.0", 8080),)


def host(rules: str = PUBLISHED, binding: PortBinding = BINDING, **parts: object) -> Snapshot:
    text = Firewall(nft="", iptables_legacy=rules)
    one = snapshot(2, host=host_namespace(2, **{"firewall": text, "listeners": PROXY, **parts}))
    spaces = {f"net:[{n + 10}]": container_namespace(n, listeners=SERVING) for n in range(2)}
    return with_engine(
        replace(one, namespaces=spaces), containers=(container(ports=(binding,)), container(1))
    )


def walked(one: Snapshot, port: PortBinding | int = BINDING, **options: object) -> Journey:
    walker = Walker(one)
    (flow,) = inbound(walker.world, walker.world.containers[0], port, **options)  # type: ignore[arg-type]
    return walker.walk(flow)


def test_a_published_port_is_reached_and_answers() -> None:
    journey = walked(host())
    assert (journey.disposition, journey.halts) == (Disposition.DELIVERED, ())
    assert [hop.place for hop in journey.hops] == [
        "uplink eth0",
        "prerouting",
        "routing",
        "forward",
        "postrouting",
        "web0 routing",
        "web0 process",
        "web0 routes",
        "web0 eth0",
        "bridge docker0",
        "routing",
        "forward",
        "uplink eth0",
        "uplink eth0",
    ]
    walk = journey.to_walk()
    assert (walk.containers, walk.from_, walk.to) == (("web0",), "1.1.1.1", "198.51.100.2:8080/tcp")
    assert (journey.network, journey.uplink) == ("bridge", "eth0")


def test_the_container_does_not_listen() -> None:
    one = host()
    one = replace(one, namespaces={**one.namespaces, "net:[10]": container_namespace()})
    halt = walked(one).halts[0]
    assert (halt.disposition, halt.at) == (Disposition.REJECTED, "port 80/tcp of container web0")


def test_rules_that_stop_it() -> None:
    unforwarded = PUBLISHED.replace("-A FORWARD -d", "#-A FORWARD -d")
    assert walked(host(unforwarded)).halts[0].kind == "policy"
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 198.51.100.2/32 -j DROP\nCOMMIT\n"
    halt = walked(host(raw + PUBLISHED)).halts[0]
    assert halt.at == "iptables-legacy ip raw PREROUTING rule 1"
    spared = raw.replace("198.51.100.2/32", "172.17.0.2/32 ! -i docker0")
    assert walked(host(spared + PUBLISHED)).disposition is Disposition.DELIVERED


def test_a_stale_rule_leads_elsewhere() -> None:
    elsewhere = walked(host(PUBLISHED.replace("172.17.0.2", "172.17.0.3"))).halts[0]
    assert (elsewhere.disposition, elsewhere.kind) == (Disposition.NOT_ANSWERED, "rule")
    assert "which is not web0" in elsewhere.reason
    gone = walked(host(PUBLISHED.replace("172.17.0.2", "172.17.0.9"))).halts[0]
    assert (gone.disposition, gone.at) == (Disposition.NO_ROUTE, "172.17.0.9 on docker0")


def test_docker_proxy_serves_where_no_rule_does() -> None:
    journey = walked(host(RULES), userland_proxy=True)
    assert journey.disposition is Disposition.DELIVERED, journey.halts
    assert any("docker-proxy passes it on to web0" in hop.text for hop in journey.hops)
    assert walked(host(RULES), userland_proxy=None).disposition is Disposition.UNKNOWN
    held = walked(host(RULES), userland_proxy=False).halts[0]
    assert (held.disposition, held.kind) == (Disposition.NOT_ANSWERED, "listener")
    refused = walked(host(RULES, listeners=()), userland_proxy=True).halts[0]
    assert (refused.disposition, refused.at) == (Disposition.REJECTED, "port 8080/tcp of this host")
    closed = host(RULES)
    closed = replace(closed, namespaces={**closed.namespaces, "net:[10]": container_namespace()})
    assert walked(closed, userland_proxy=True).halts[0].at == "port 80/tcp of container web0"


def test_a_port_bound_to_loopback_is_refused() -> None:
    binding = replace(BINDING, host_address="127.0.0.1")
    one = host(RULES, binding, listeners=(Listener("tcp", "127.0.0.1", 8080),))
    halt = walked(one, binding, userland_proxy=True).halts[0]
    assert halt.disposition is Disposition.REJECTED
    assert "only on 127.0.0.1:8080" in halt.reason


def test_a_port_that_the_engine_did_not_publish() -> None:
    one = host(RULES, listeners=(Listener("tcp", "0.0.0.0", 9090),))
    assert walked(one, 9090).disposition is Disposition.UNKNOWN
    assert walked(one, 9091).disposition is Disposition.REJECTED


@pytest.mark.parametrize(("port", "found"), [(80, 1), (8080, 1), (81, 0)])
def test_how_a_port_is_published(port: int, found: int) -> None:
    assert len(bindings(container(ports=(BINDING,)), port)) == found


def test_answers_that_leave_by_another_link_are_unknown() -> None:
    one = host_namespace(2)
    links = (*one.links, link(9, "eth1"))  # type: ignore[misc]
    addresses = (*one.addresses, address(9, "192.0.2.2/24"))  # type: ignore[misc]
    routes = (*one.routes, route("192.0.2.0/24", 9), local_route("192.0.2.2", 9))  # type: ignore[misc]
    sysctls = {
        **one.sysctls,
        **{
            f"net/ipv4/conf/eth1/{k}": "0"
            for k in ("rp_filter", "accept_local", "route_localnet", "src_valid_mark")
        },
    }  # type: ignore[dict-item]
    sysctls["net/ipv4/conf/eth1/forwarding"] = "1"
    parts = {"links": links, "addresses": addresses, "routes": routes, "sysctls": sysctls}
    binding = replace(BINDING, host_address="192.0.2.2")
    near = walked(host(binding=binding, **parts), binding)
    assert (str(near.sent_from), near.uplink, near.disposition) == (
        "192.0.2.1",
        "eth1",
        Disposition.DELIVERED,
    )
    far = walked(host(binding=binding, **parts), binding, source=ip_address("9.9.9.9"))
    assert far.disposition is Disposition.UNKNOWN
    assert "the answer leaves by eth0" in far.halts[0].reason


def test_another_version_is_not_asked() -> None:
    world = Walker(host()).world
    assert inbound(world, world.containers[0], BINDING, source=ip_address("2001:db8::1")) == ()
