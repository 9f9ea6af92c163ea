"""Random routes, policy rules and switches: the router's answer against RTM_GETROUTE's, question by question."""

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerdiag.packet.fib import describe_route, describe_rule
from dockerdiag.packet.packet import Connection, Packet, Tuple
from dockerdiag.packet.routing import Decision, Router
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.namespace import read_namespace
from dockerdiag.readers.route_answers import RouteQuestion, ask_routes
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import NetworkNamespace, RouteAnswer, Unread
from tests.kernel.namespaces import inside

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

LINKS = ("a0", "a1", "a2")
PREFIXES = {
    4: (
        "default",
        "203.0.113.0/24",
        "203.0.113.0/28",
        "203.0.113.9",
        "10.9.0.0/16",
        "10.9.1.0/24",
        "10.0.0.0/8",
    ),
    6: (
        "default",
        "2001:db8:9::/48",
        "2001:db8:9::/64",
        "2001:db8:9::9",
        "fd00:9::/32",
        "fd00:9:1::/48",
        "fd00::/8",
    ),
}
DESTINATIONS = {
    4: ("203.0.113.9", "203.0.113.77", "198.51.100.1", "10.9.1.5", "10.0.1.1", "10.0.2.9"),
    6: ("2001:db8:9::9", "2001:db8:9::77", "2001:db8:5::1", "fd00:9:1::5", "fd00:1::1", "fd00:2::9"),
}
SOURCES = {
    4: ("10.0.0.9", "10.0.1.9", "10.9.1.7", "203.0.113.30", "10.0.2.1"),
    6: ("fd00::9", "fd00:1::9", "fd00:9:1::7", "2001:db8:9::30", "fd00:2::1"),
}
ERRORS = {
    "sysctl": {"EHOSTUNREACH"},
    "blackhole": {"EINVAL"},
    "unreachable": {"EHOSTUNREACH", "ENETUNREACH"},
    "prohibit": {"EACCES"},
    "no-route": {"ENETUNREACH"},
    # Kernels before 6.13 say EXDEV for a failed reverse path, later ones EINVAL.
    "reverse-path": {"EXDEV", "EINVAL"},
    "address": {"EINVAL"},
}


@pytest.fixture(name="name")
def _name() -> Iterator[str]:
    name = f"ddr{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def build(name: str, choose: random.Random, version: int) -> None:
    """Makes the namespace's links and what is random about it. Commands that the kernel refuses are left out."""
    lines = ["link set lo up"]
    for number, link in enumerate(LINKS):
        lines += [
            f"link add {link} type veth peer name z{number}",
            f"link set {link} up",
            f"link set z{number} up",
        ]
        own = f"10.0.{number}.1/24" if version == 4 else f"fd00:{number}::1/64"
        lines.append(f"address add {own} dev {link} {'nodad' if version == 6 else ''}")
    lines += [_route(choose, version) for _ in range(choose.randint(3, 12))]
    lines += [_rule(choose, version, 100 + 10 * n) for n in range(choose.randint(0, 6))]
    text = "\n".join(lines) + "\n"
    with inside(name):
        # Link-local addresses would come on their own time, between reading the routes and asking for one.
        Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text("1", encoding="ascii")
        subprocess.run(
            ["ip", f"-{version}", "-force", "-batch", "-"],
            input=text,
            text=True,
            check=False,
            capture_output=True,
        )
        for key, value in _switches(choose, version):
            Path(f"/proc/sys/net/ipv{version}/conf/{key}").write_text(str(value), encoding="ascii")
        if version == 6:
            _await_local_routes()


def _await_local_routes() -> None:
    """The kernel adds the local route of a new IPv6 address from a work queue."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        shown = subprocess.run(
            ["ip", "-6", "route", "show", "table", "local"], check=True, capture_output=True, text=True
        ).stdout
        if all(f"fd00:{number}::1 " in shown for number in range(len(LINKS))):
            return
        time.sleep(0.02)


def _route(choose: random.Random, version: int) -> str:
    link = choose.randrange(3)
    gateway = f"10.0.{link}.254" if version == 4 else f"fd00:{link}::254"
    other = (link + 1) % 3
    second = f"10.0.{other}.254" if version == 4 else f"fd00:{other}::254"
    way = choose.choice(
        (
            f"via {gateway} dev a{link}",
            f"via {gateway} dev a{link}",
            f"dev a{link}",
            f"nexthop via {gateway} dev a{link} nexthop via {second} dev a{other}",
        )
    )
    kind = choose.choice(("", "", "", "", "blackhole", "unreachable", "prohibit", "throw"))
    table = choose.choice((254, 254, 100, 101))
    prefix = choose.choice(PREFIXES[version])
    metric = choose.choice(("", "", "metric 5", "metric 50"))
    # Of IPv6 routes to one prefix with one metric the kernel takes turns: add refuses a second one.
    return f"route {'append' if version == 4 else 'add'} {kind} {prefix} {metric} table {table} {'' if kind else way}"


def _rule(choose: random.Random, version: int, priority: int) -> str:
    words = [choose.choice(("", "", "", "not"))]
    words.append(
        f"from {choose.choice(('all', 'all', choose.choice(PREFIXES[version][1:]), choose.choice(SOURCES[version])))}"
    )
    options = (
        f"to {choose.choice(PREFIXES[version][1:])}",
        f"iif {choose.choice((*LINKS, 'lo', 'gone0'))}",
        f"oif {choose.choice(LINKS)}",
        f"fwmark {choose.choice(('1', '3', '0x2/0x2'))}",
    )
    if version == 4:
        # Asked over netlink, IPv6 knows no protocol and no user; a packet that comes in has one and is root's.
        options = (*options, "ipproto udp", "ipproto tcp", "uidrange 0-0", "uidrange 1000-2000")
    words += choose.sample(options, choose.randint(0, 2))
    words.append(
        choose.choice(
            (
                "lookup 100",
                "lookup 101",
                "lookup 102",
                "lookup main",
                "lookup main suppress_prefixlength 0",
                "lookup 100 suppress_prefixlength 23",
                f"goto {choose.choice((130, 150, 32766))}",
                "blackhole",
                "unreachable",
                "prohibit",
            )
        )
    )
    return f"rule add {' '.join(words)} priority {priority}"


def _switches(choose: random.Random, version: int) -> Iterator[tuple[str, int]]:
    if version == 6:
        yield "all/forwarding", choose.randint(0, 1)
        return
    yield "all/forwarding", 1
    yield "all/rp_filter", choose.choice((0, 0, 0, 1, 2))
    yield "all/src_valid_mark", choose.randint(0, 1)
    yield "all/accept_local", choose.choice((0, 0, 1))
    for link in LINKS:
        yield f"{link}/forwarding", choose.choice((1, 1, 1, 0))
        yield f"{link}/rp_filter", choose.choice((0, 1, 2))
        yield f"{link}/accept_local", choose.choice((0, 0, 1))


def questions(choose: random.Random, version: int) -> list[RouteQuestion]:
    found = [
        RouteQuestion(destination, source, link, mark)
        for destination in DESTINATIONS[version]
        for source in SOURCES[version]
        for link in LINKS
        for mark in (0, 1, 3)
    ]
    return choose.sample(found, 90)


def decide(router: Router, question: RouteQuestion) -> Decision:
    assert question.source is not None
    addresses = Tuple(ip_address(question.source), ip_address(question.destination), None, None)
    connection = Connection("new", "original", addresses)
    return router.arrive(Packet("udp", addresses, connection, in_link=question.in_link, mark=question.mark))


def compare(decision: Decision, answer: RouteAnswer, version: int) -> str:
    """`agreed`, `unknown`, or how they differ."""
    if any(obstacle.disposition is Disposition.UNKNOWN for obstacle in decision.obstacles):
        return "unknown"
    obstacles = [obstacle for obstacle in decision.obstacles if version == 4 or obstacle.kind != "sysctl"]
    if obstacles:
        first = obstacles[0]
        kind = (
            (first.route.type if first.route else first.rule.action if first.rule else "")
            if first.kind == "route"
            else first.kind
        )
        return "agreed" if answer.error in ERRORS[kind] else f"{answer} but {first}"
    if answer.error is not None:
        return f"{answer} but {decision.text}"
    if decision.kind == "local":
        return "agreed" if answer.type in ("local", "anycast", "broadcast") else f"{answer} but local"
    ways = {(way.link, str(way.gateway) if way.gateway else None) for way in decision.ways}
    # The kernel names as gateway of a route on the link none at all.
    return "agreed" if (answer.out_link, answer.gateway) in ways else f"{answer} but {decision.text}"


def _shown(namespace: NetworkNamespace, version: int, found: Counter[str]) -> str:
    assert not isinstance(namespace.rules, Unread)
    assert not isinstance(namespace.routes, Unread)
    assert not isinstance(namespace.sysctls, Unread)
    rules = [describe_rule(rule) for rule in namespace.rules if rule.family == version]
    routes = [
        f"{describe_route(route)} {route.next_hops}"
        for route in namespace.routes
        if route.family == version and (route.table != 255 or route.type == "local")
    ]
    switches = [f"{k}={v}" for k, v in namespace.sysctls.items() if f"ipv{version}/conf" in k and v != "0"]
    return "\n".join([*rules, *routes, *switches, *(f"{count} x {text}" for text, count in found.items())])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("seed", range(40))
def test_the_router_answers_as_the_kernel(name: str, version: int, seed: int) -> None:
    choose = random.Random(seed * 10 + version)
    build(name, choose, version)
    with inside(name):
        namespace: NetworkNamespace = read_namespace(Deadline(60))
        assert not isinstance(namespace.links, Unread)
        assert not isinstance(namespace.sysctls, Unread)
        asked = questions(choose, version)
        answers = ask_routes(asked, namespace.links, namespace.sysctls)
    router = Router(replace(namespace, route_answers=()))
    found = Counter(
        compare(decide(router, q), answer, version) for q, answer in zip(asked, answers, strict=True)
    )
    agreed, unknown = found.pop("agreed", 0), found.pop("unknown", 0)
    assert not found, _shown(namespace, version, found)
    assert agreed + unknown == len(asked)
    assert unknown == 0
    told = Router(replace(namespace, route_answers=answers))
    assert [shown for q in asked if (shown := decide(told, q).disagreement)] == []
