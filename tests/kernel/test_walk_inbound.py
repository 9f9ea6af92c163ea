"""From outside to a published port, against the kernel: with the engine's rules, and with a relay in place of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.plan import inbound
from dockerdiag.packet.walk import Journey, Walker
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import PortBinding
from tests.kernel.walk_lab import BRIDGE, CONTAINER, GATEWAY, HOST, PORT, ROUTER, SERVICE, UPLINK, Lab, lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

ANY = PortBinding("udp", SERVICE, "0.0.0.0", SERVICE)
PUBLISHED = f"""
table ip d {{
  chain nat {{
    type nat hook prerouting priority -100;
    fib daddr type local udp dport {SERVICE} dnat to {CONTAINER}
  }}
  chain raw {{
    type filter hook prerouting priority -300;
    ip daddr {CONTAINER} iifname != {BRIDGE} drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ip daddr {CONTAINER} udp dport {SERVICE} accept
    iifname {BRIDGE} accept
  }}
}}
"""
_RELAY = """
import select, socket, sys
front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
front.bind((sys.argv[1], int(sys.argv[3])))
print("ready", flush=True)
while True:
    data, peer = front.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.settimeout(0.3)
        back.connect((sys.argv[2], int(sys.argv[3])))
        try:
            back.send(data)
            front.sendto(back.recv(100), peer)
        except OSError:
            pass
"""


@contextmanager
def relay(here: Lab, bound_to: str) -> Iterator[None]:
    """What docker-proxy does."""
    command = [*here.inside("host"), sys.executable, "-S", "-c", _RELAY, bound_to, CONTAINER, str(SERVICE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


@dataclass(frozen=True)
class Case:
    name: str
    at: str | None = None
    host: str = ""
    box: str = ""
    rules: str = PUBLISHED
    relay: str | None = None
    """What a relay on the host is bound to."""
    disposition: Disposition = Disposition.DROPPED
    direction: str = "out"
    serves: bool = True


REJECTED, UNANSWERED, NO_ROUTE = Disposition.REJECTED, Disposition.NOT_ANSWERED, Disposition.NO_ROUTE

CASES = [
    Case("healthy"),
    Case("strict", host="echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter"),
    Case("bridge netfilter", host="echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables"),
    Case("not forwarded", "net.ipv4.ip_forward", host="echo 0 > /proc/sys/net/ipv4/ip_forward"),
    Case(
        "the bridge does not forward the answer",
        f"net.ipv4.conf.{BRIDGE}.forwarding",
        host=f"echo 0 > /proc/sys/net/ipv4/conf/{BRIDGE}/forwarding",
        direction="reply",
    ),
    Case(
        "dropped raw",
        "nft ip d raw handle 9",
        host=f"nft add rule ip d raw iifname {UPLINK} udp dport {SERVICE} drop",
    ),
    Case("dropped forward", "nft ip d forward (policy drop)", host="nft flush chain ip d forward"),
    Case("nothing listens", f"port {SERVICE}/udp of container web", disposition=REJECTED, serves=False),
    Case(
        "container without default route",
        f"no route to {ROUTER}",
        box="ip route del default",
        disposition=NO_ROUTE,
        direction="reply",
    ),
    Case(
        "dropped in the container",
        "nft ip kill in (policy drop)",
        box="nft 'table ip kill { chain in { type filter hook input priority 0; policy drop; }; }'",
    ),
    Case("veth down", f"link {PORT}", host=f"ip link set {PORT} down"),
    Case(
        "a rule for another address",
        "172.17.0.9 on docker0",
        host=f"nft 'flush chain ip d nat; add rule ip d nat udp dport {SERVICE} dnat to 172.17.0.9; "
        "insert rule ip d forward ip daddr 172.17.0.9 accept'",
        disposition=NO_ROUTE,
    ),
    Case(
        "not tracked",
        f"port {SERVICE}/udp of this host",
        host=f"nft insert rule ip d raw iifname {UPLINK} notrack",
        disposition=REJECTED,
    ),
    Case("relayed", rules="", relay="0.0.0.0"),
    Case("relayed from its address", rules="", relay=HOST),
    Case("relay on loopback", f"port {SERVICE}/udp of this host", rules="", relay="127.0.0.1", disposition=REJECTED),
    Case("no relay", f"port {SERVICE}/udp of this host", rules="", disposition=REJECTED),
    Case("relayed to nothing", f"port {SERVICE}/udp of container web", rules="", relay="0.0.0.0", disposition=REJECTED, serves=False),
    Case(
        "relayed, input dropped",
        "nft ip i c (policy drop)",
        rules=f"table ip i {{ chain c {{ type filter hook input priority 0; policy drop; iifname != {UPLINK} accept; }}; }}",
        relay="0.0.0.0",
    ),
    Case(
        "relayed, output to the bridge dropped",
        "nft ip o c handle 2",
        rules=f"table ip o {{ chain c {{ type filter hook output priority 0; oifname {BRIDGE} drop; }}; }}",
        relay="0.0.0.0",
    ),
    Case(
        "relayed, input from the bridge dropped",
        "nft ip i c handle 2",
        rules=f"table ip i {{ chain c {{ type filter hook input priority 0; iifname {BRIDGE} drop; }}; }}",
        relay="0.0.0.0",
        direction="reply",
    ),
]  # fmt: skip


def foretold(here: Lab) -> Journey:
    walker = Walker(here.snapshot())
    container = replace(walker.world.containers[0], ports=(ANY,))
    (flow,) = inbound(walker.world, container, ANY, source=ip_address(ROUTER), userland_proxy=True)
    assert flow.to == f"{HOST}:{SERVICE}/udp"
    return walker.walk(flow)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_comes_from_outside(case: Case) -> None:
    with lab(f"ddi{os.getpid()}") as here:
        here.rules("host", case.rules)
        if case.serves:
            here.serve("box")
        if case.host:
            here.run("host", case.host)
        if case.box:
            here.run("box", case.box)
        with relay(here, case.relay) if case.relay is not None else nullcontext():
            journey = foretold(here)
            _, answered = here.probe(HOST, "net", "box" if case.serves else "net")
    shown = [f"{hop.direction} {hop.place}: {hop.text}" for hop in journey.hops]
    assert answered == (journey.disposition is Disposition.DELIVERED), (journey.halts, shown)
    if case.at is None:
        assert journey.disposition is Disposition.DELIVERED, (journey.halts, shown)
        return
    first = journey.halts[0]
    assert (journey.disposition, first.direction, first.at) == (case.disposition, case.direction, case.at), (
        shown
    )


def test_an_address_that_only_neighbours_ask_for() -> None:
    with lab(f"ddi{os.getpid()}") as here:
        here.serve("box")
        here.rules("host", PUBLISHED)
        here.wire("net", "eth1", "eth1")
        here.run("host", "ip address add 192.0.2.2/24 dev eth1")
        here.run("net", "ip address add 192.0.2.1/24 dev eth1", "ip link set eth1 up")
        walker = Walker(here.snapshot())
        bound = replace(ANY, host_address="192.0.2.2")
        (flow,) = inbound(walker.world, walker.world.containers[0], bound)
        assert str(flow.source.outside) == "192.0.2.1"
        journey = walker.walk(flow)
        assert (journey.disposition, journey.uplink) == (Disposition.DELIVERED, "eth1")
        assert here.probe("192.0.2.2", "net", "box") == (True, True)
        assert GATEWAY not in flow.to
