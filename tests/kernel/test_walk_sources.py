"""Other senders and other destinations than a container and the internet, against the kernel."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.walk import Flow, Journey, Source, walk
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Container, Endpoint, IpamPool, Network
from tests.kernel.walk_lab import BRIDGE, CONTAINER, GATEWAY, HOST, ROUTER, SERVER, SERVICE, UPLINK, Lab, lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

DELIVERED = Disposition.DELIVERED
DB, OTHER, OTHER_GATEWAY = "172.17.0.3", "172.18.0.2", "172.18.0.1"


@pytest.fixture(name="here")
def _here() -> Iterator[Lab]:
    """Also a second container on the bridge, and one on another; each answers, and so does the host."""
    with lab(f"dds{os.getpid()}") as here:
        here.attach("db", "veth2", DB, GATEWAY, name="db")
        here.bridge("br-other", "other", "172.18.0.0/16", OTHER_GATEWAY)
        here.attach("far", "veth3", OTHER, OTHER_GATEWAY, bridge="br-other", name="far")
        for role in ("db", "far", "host"):
            here.serve(role)
        yield here


def walked(here: Lab, destination: str, source: Source | None = None) -> Journey:
    source = source or Source(here.containers[0])
    return walk(here.snapshot(), Flow(source, ip_address(destination), "udp", SERVICE))


def agree(
    here: Lab, destination: str, server: str, *, role: str = "box", source: Source | None = None
) -> Journey:
    """Walks and probes, and returns the journey if both come to the same."""
    journey = walked(here, destination, source)
    arrived, answered = here.probe(destination, role, server)
    shown = [f"{hop.direction} {hop.place}: {hop.text}" for hop in journey.hops]
    assert answered == (journey.disposition is DELIVERED), (journey.halts, shown)
    if journey.halts:
        gets_out = journey.halts[0].direction == "reply" or journey.halts[0].kind == "unanswered"
        assert arrived == gets_out, (journey.halts, shown)
    return journey


def test_between_containers(here: Lab) -> None:
    here.sysctl("bridge/bridge-nf-call-iptables", 0)
    assert agree(here, DB, "db").entry is None
    assert agree(here, OTHER, "far").entry == BRIDGE
    here.rules(
        "host", "table ip f {\n chain c {\n type filter hook forward priority 0; policy drop;\n }\n}\n"
    )
    assert agree(here, DB, "db").disposition is DELIVERED
    assert agree(here, OTHER, "far").halts[0].at == "nft ip f c (policy drop)"
    here.sysctl("bridge/bridge-nf-call-iptables", 1)
    bridged = agree(here, DB, "db")
    assert (bridged.halts[0].direction, bridged.halts[0].kind) == ("out", "policy")
    here.run("host", f"nft insert rule ip f c iifname {BRIDGE} oifname {BRIDGE} accept")
    assert agree(here, DB, "db").disposition is DELIVERED
    here.run(
        "host",
        "nft delete table ip f",
        "bridge link set dev veth1 isolated on",
        "bridge link set dev veth2 isolated on",
    )
    assert agree(here, DB, "db").halts[0].kind == "link"
    assert agree(here, SERVER, "net").disposition is DELIVERED


def test_with_bridge_netfilter(here: Lab) -> None:
    here.sysctl("bridge/bridge-nf-call-iptables", 1)
    assert agree(here, SERVER, "net").disposition is DELIVERED
    here.rules(
        "host",
        "table ip p {\n chain c {\n type filter hook prerouting priority 0;\n udp dport 4433 drop\n }\n}\n",
    )
    assert agree(here, SERVER, "net").halts[0].at == "nft ip p c handle 2"
    assert agree(here, DB, "db").halts[0].at == "nft ip p c handle 2"


def test_to_the_host_itself(here: Lab) -> None:
    assert agree(here, GATEWAY, "host").disposition is DELIVERED
    assert agree(here, HOST, "host").disposition is DELIVERED
    here.rules(
        "host",
        f"table inet i {{\n chain c {{\n type filter hook input priority 0; policy drop;\n"
        f" iifname != {BRIDGE} accept\n }}\n}}\n",
    )
    assert agree(here, GATEWAY, "host").halts[0].at == "nft inet i c (policy drop)"
    assert agree(here, SERVER, "net").disposition is DELIVERED


_TCP_SERVER = """
import socket, sys
s = socket.create_server((sys.argv[1], 8080), **(dict(family=socket.AF_INET6, dualstack_ipv6=True) if ":" in sys.argv[1] else {}))
print("ready", flush=True)
while True:
    s.accept()[0].close()
"""
_TCP_CLIENT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 8080), 2).close()
    print("delivered")
except ConnectionRefusedError:
    print("rejected")
except OSError:
    print("dropped")
"""


@contextmanager
def tcp_server(here: Lab, role: str, address: str) -> Iterator[None]:
    command = [*here.inside(role), sys.executable, "-S", "-c", _TCP_SERVER, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            server.kill()


def connect(here: Lab, destination: str, role: str = "box") -> str:
    command = [*here.inside(role), sys.executable, "-S", "-c", _TCP_CLIENT, destination]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("bound_to", ["0.0.0.0", GATEWAY, "127.0.0.1", HOST, "::", None])
def test_who_listens_on_the_host(here: Lab, bound_to: str | None) -> None:
    with tcp_server(here, "host", bound_to) if bound_to is not None else nullcontext():
        for destination in (GATEWAY, HOST):
            flow = Flow(Source(here.containers[0]), ip_address(destination), "tcp", 8080)
            journey = walk(here.snapshot(), flow)
            assert journey.disposition == connect(here, destination), journey.halts


def test_from_the_host_itself(here: Lab) -> None:
    source = Source(namespace=None)
    outward = agree(here, SERVER, "net", role="host", source=source)
    assert (outward.uplink, str(outward.sent_from), outward.network) == (UPLINK, HOST, None)
    assert agree(here, DB, "db", role="host", source=source).disposition is DELIVERED
    here.sysctl("ipv4/ip_forward", 0)
    assert agree(here, SERVER, "net", role="host", source=source).disposition is DELIVERED
    here.rules(
        "host", "table ip o {\n chain c {\n type filter hook output priority 0;\n oifname eth0 drop\n }\n}\n"
    )
    assert agree(here, SERVER, "net", role="host", source=source).halts[0].at == "nft ip o c handle 2"


def test_a_container_on_the_hosts_network(here: Lab) -> None:
    container = Container("f" * 64, "agent", "lab", "running", 1, "host", namespace=here.namespace("host"))
    here.containers.append(container)
    source = Source(container, members=(container,))
    journey = agree(here, SERVER, "net", role="host", source=source)
    assert journey.to_walk().containers == ("agent",)
    assert journey.entry is None


def test_a_published_port(here: Lab) -> None:
    here.rules(
        "host",
        "table ip d {\n chain c {\n type nat hook prerouting priority -100;\n"
        f" ip daddr {HOST} udp dport 4433 dnat to {OTHER}\n }}\n}}\n",
    )
    assert agree(here, HOST, "far").disposition is DELIVERED


@pytest.mark.parametrize("bridge_netfilter", [0, 1])
@pytest.mark.parametrize("server", ["box", "db"])
def test_a_published_port_of_the_same_bridge(here: Lab, bridge_netfilter: int, server: str) -> None:
    """Without docker-proxy the host sends the packet back to the bridge that it came by."""
    here.sysctl("bridge/bridge-nf-call-iptables", bridge_netfilter)
    address = {"box": CONTAINER, "db": DB}[server]
    if server == "box":
        here.serve("box")
    dnat = f"chain c {{\n type nat hook prerouting priority -100;\n ip daddr {HOST} dnat to {address}\n }}\n"
    back = f"chain m {{\n type nat hook postrouting priority 90;\n ip saddr {address} ip daddr {address} masquerade\n }}\n"
    here.rules("host", f"table ip d {{\n {dnat} {back} }}\n")
    first = agree(here, HOST, server)
    if bridge_netfilter:
        assert (first.disposition is DELIVERED) is (server == "db")
        here.run("host", "bridge link set dev veth1 hairpin on")
        assert agree(here, HOST, server).disposition is DELIVERED
    elif server == "db":
        assert first.halts[0].at == f"answer from {DB}"


def test_two_networks(here: Lab) -> None:
    """The container's own routes say which network carries the packet, not the order of the engine's answer."""
    here.wire("box", "veth4", "eth1")
    here.run("host", "ip link set veth4 master br-other")
    here.run(
        "box",
        "ip address add 172.18.0.9/16 dev eth1",
        "ip link set eth1 up",
        f"ip route replace default via {OTHER_GATEWAY}",
    )
    first = here.containers[0]
    other = next(n for n in here.networks if n.name == "other")
    second = Endpoint(other.name, other.id, "172.18.0.9", 16, OTHER_GATEWAY)
    here.containers[0] = replace(first, endpoints=(*first.endpoints, second))
    journey = agree(here, SERVER, "net")
    assert (journey.network, journey.entry, str(journey.sent_from)) == ("other", "br-other", "172.18.0.9")
    here.sysctl("ipv4/conf/br-other/forwarding", 0)
    assert agree(here, SERVER, "net").halts[0].sysctl == "net/ipv4/conf/br-other/forwarding"


def test_isolation_is_told_from_a_lost_route(here: Lab) -> None:
    here.run("box", "ip route del default")
    lost = agree(here, SERVER, "net").halts[0]
    assert (lost.kind, lost.isolation) == ("no-route", None)
    here.networks[0] = replace(here.networks[0], internal=True)
    internal = walked(here, SERVER).halts[0]
    assert (internal.isolation, internal.networks, internal.disposition) == (
        "internal",
        ("bridge",),
        Disposition.NO_ROUTE,
    )
    assert agree(here, DB, "db").disposition is DELIVERED
    here.add("alone")
    container = Container("e" * 64, "alone", "lab", "running", 1, "none", namespace=here.namespace("alone"))
    here.containers.append(container)
    assert walked(here, SERVER, Source(container)).halts[0].isolation == "none"


def test_macvlan_leaves_past_the_hosts_rules(here: Lab) -> None:
    here.add("mac")
    here.run(
        "host",
        f"ip link add link {UPLINK} name m0 type macvlan mode bridge",
        f"ip link set m0 netns {here.name('mac')} name eth0",
    )
    here.run(
        "mac",
        "ip address add 198.51.100.9/24 dev eth0",
        "ip link set eth0 up",
        f"ip route add default via {ROUTER}",
    )
    network = Network(
        "9" * 64, "lan", "macvlan", pools=(IpamPool("198.51.100.0/24", ROUTER),), options={"parent": UPLINK}
    )
    here.networks.append(network)
    endpoint = Endpoint("lan", network.id, "198.51.100.9", 24, ROUTER)
    container = Container("9" * 64, "direct", "lab", "running", 1, "lan", (endpoint,), here.namespace("mac"))
    here.containers.append(container)
    source = Source(container)
    here.rules(
        "host", "table inet x {\n chain c {\n type filter hook forward priority 0; policy drop;\n }\n}\n"
    )
    here.sysctl("ipv4/ip_forward", 0)
    journey = agree(here, SERVER, "net", role="mac", source=source)
    assert (journey.disposition, journey.uplink, journey.network) == (DELIVERED, UPLINK, "lan")
    here.rules(
        "host",
        f"table netdev n {{\n chain c {{\n type filter hook ingress device {UPLINK} priority 0;\n drop\n }}\n}}\n",
    )
    assert agree(here, SERVER, "net", role="mac", source=source).halts[0].at == "nft netdev n c handle 2"
    here.run("host", "nft delete table netdev n", f"ip link set {UPLINK} down")
    assert agree(here, SERVER, "net", role="mac", source=source).halts[0].at == f"link {UPLINK}"


def test_a_hypothetical_container(here: Lab) -> None:
    network = here.networks[0]
    journey = walked(here, SERVER, Source(network=network))
    assert (journey.disposition, journey.network, str(journey.sent_from)) == (
        DELIVERED,
        "bridge",
        "172.17.0.4",
    )
    here.sysctl(f"ipv4/conf/{BRIDGE}/forwarding", 0)
    assert (
        walked(here, SERVER, Source(network=network)).halts[0].sysctl == f"net/ipv4/conf/{BRIDGE}/forwarding"
    )
    here.run("host", f"ip link del {BRIDGE}")
    assert walked(here, SERVER, Source(network=network)).halts[0].at == f"link {BRIDGE}"


def test_multipath_that_ends_the_same_is_no_doubt(here: Lab) -> None:
    here.wire("net", "eth1", "eth1")
    here.run("host", "ip address add 192.0.2.2/24 dev eth1")
    here.run("net", "ip address add 192.0.2.1/24 dev eth1", "ip link set eth1 up")
    both = f"nexthop via {ROUTER} dev {UPLINK} nexthop via 192.0.2.1 dev eth1"
    here.run("host", f"ip route replace default {both}")
    assert agree(here, SERVER, "net").disposition is DELIVERED
    here.rules(
        "host", "table ip f {\n chain c {\n type filter hook forward priority 0;\n oifname eth1 drop\n }\n}\n"
    )
    undecided = walked(here, SERVER)
    assert (undecided.disposition, undecided.halts[0].at) == (Disposition.UNKNOWN, "multipath route")
