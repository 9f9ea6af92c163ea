"""Which address is sent from: the walk's choice against the kernel's, for its own packets and for masquerading."""

import os
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerdiag.packet.routing import Router
from dockerdiag.packet.walk import Flow, Source, walk
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.namespace import read_namespace
from dockerdiag.readers.route_answers import RouteQuestion, ask_routes
from dockerdiag.snapshot.model import Unread
from tests.kernel.namespaces import inside
from tests.kernel.walk_lab import BRIDGE, SERVER, SERVER6, SERVICE, UPLINK, lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

LINKS = ("lo", "a0", "a1", "a2")
ADDRESSES = {
    4: ("10.0.{}.{}/24", "192.0.2.{1}/25", "203.0.113.{1}/32", "169.254.{}.{}/16", "10.{}.0.{}/8"),
    6: (
        "2001:db8:{}::{}/64",
        "fd00:{}::{}/64",
        "2002:c000:{}::{}/48",
        "2001:db8::{1}/128",
        "fd00:{1}:{0}::1/32",
    ),
}
DESTINATIONS = {
    4: ("10.0.0.200", "10.0.2.200", "192.0.2.77", "198.51.100.1", "10.9.9.9", "203.0.113.200"),
    6: ("2001:db8:1::99", "fd00:1::99", "2002:c000:2::9", "2001:4860::8", "fd00:77::1", "2001:db8:0:7::1"),
}


@pytest.fixture(name="name")
def _name() -> Iterator[str]:
    name = f"dda{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def _commands(choose: random.Random, version: int) -> Iterator[str]:
    yield "link set lo up"
    for number, link in enumerate(LINKS[1:]):
        yield f"link add {link} type veth peer name z{number}"
        yield f"link set {link} up"
        yield f"link set z{number} up"
    for _ in range(choose.randint(2, 9)):
        form = choose.choice(ADDRESSES[version])
        address = form.format(choose.randint(0, 3), choose.randint(1, 120))
        options = choose.choice(("", "", "scope link", "scope site", "scope host") if version == 4 else ("",))
        if version == 6:
            options = choose.choice(("nodad", "nodad", "nodad preferred_lft 0"))
        link = choose.choice(LINKS)
        if link == "lo" and version == 4:
            # All of a prefix on lo is local, unless main, which the kernel may keep in one trie with it, knows better.
            address = f"{address.partition('/')[0]}/32"
        yield f"address add {address} dev {link} {options}"
    for destination in choose.sample(DESTINATIONS[version], 4):
        length = choose.choice((16, 24, 32) if version == 4 else (32, 64, 128))
        link = choose.choice(LINKS[1:])
        near = choose.choice(ADDRESSES[version][:2]).partition("/")[0].format(choose.randint(0, 3), 254)
        way = choose.choice((f"dev {link}", f"via {near} dev {link} onlink"))
        yield f"route replace {destination}/{length} {way}"
    yield f"route add default dev {choose.choice(LINKS[1:])}"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("seed", range(40))
def test_what_is_sent_has_the_address_that_the_kernel_gives(name: str, version: int, seed: int) -> None:
    choose = random.Random(seed * 10 + version)
    text = "\n".join(_commands(choose, version)) + "\n"
    with inside(name):
        Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text("1", encoding="ascii")
        command = ["ip", f"-{version}", "-force", "-batch", "-"]
        subprocess.run(command, input=text, text=True, check=False, capture_output=True)
        questions = [RouteQuestion(destination) for destination in DESTINATIONS[version]]
        namespace = read_namespace(Deadline(60))
        assert not isinstance(namespace.links, Unread)
        assert not isinstance(namespace.sysctls, Unread)
        answers = ask_routes(questions, namespace.links, namespace.sysctls)
    router = Router(replace(namespace, route_answers=answers))
    for answer in answers:
        decision = router.depart(ip_address(answer.destination))
        assert decision.disagreement is None
        if answer.error is None and answer.preferred_source is not None:
            assert str(decision.source) == answer.preferred_source, (
                f"{decision.text}\n{answer}\n{chr(10).join(map(str, namespace.addresses))}\n{text}"
            )


_SEEN = f"""
table inet seen {{
  set four {{ type ipv4_addr; flags dynamic; size 9; }}
  set six {{ type ipv6_addr; flags dynamic; size 9; }}
  chain c {{
    type filter hook prerouting priority 0;
    udp dport {SERVICE} add @four {{ ip saddr }}
    udp dport {SERVICE} add @six {{ ip6 saddr }}
  }}
}}
"""


@pytest.mark.parametrize(
    ("destination", "own", "of_router", "translated"),
    [
        (SERVER, ("192.0.2.2/24",), "192.0.2.1/24", "192.0.2.2"),
        (SERVER, ("198.51.100.9/24",), "198.51.100.1/24", "198.51.100.2"),
        (SERVER, ("192.0.2.2/24",), "192.0.3.200/32", "198.51.100.2"),
        (SERVER6, ("2001:db8:5::2/64",), "2001:db8:5::1/64", "fd00:51::2"),
        (SERVER6, ("fd00:203::77/128", "fd00:203:9::8/64"), "fd00:51::1/64", "fd00:203::77"),
        (SERVER6, ("fd00:203::77/128 preferred_lft 0",), "fd00:51::1/64", "fd00:51::2"),
    ],
)
def test_masquerading_takes_the_address_that_the_kernel_takes(
    destination: str, own: tuple[str, ...], of_router: str, translated: str
) -> None:
    six = ":" in destination
    router = of_router.partition("/")[0]
    with lab(f"dda{os.getpid()}") as here:
        here.run(
            "host",
            *(f"ip address add {one} dev {UPLINK} {'nodad' if six else ''}" for one in own),
            f"ip route replace default via {router} dev {UPLINK} onlink",
        )
        here.run("net", f"ip address replace {of_router} dev eth0 {'nodad' if six else ''}")
        here.run("net", "ip route add default dev eth0 || ip -6 route add default dev eth0")
        here.rules("net", _SEEN)
        flow = Flow(Source(here.containers[0]), ip_address(destination), "udp", SERVICE)
        journey = walk(here.snapshot(), flow)
        here.probe(destination)
        seen = here.run("net", f"nft list set inet seen {'six' if six else 'four'}")
    assert journey.entry == BRIDGE
    assert journey.translation is not None
    assert str(journey.translation.source) == translated
    elements = re.search(r"elements = \{ (.*?) \}", seen)
    assert elements is not None
    assert elements[1] == translated
