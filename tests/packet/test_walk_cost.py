"""One walk costs the same on a host with few networks and on one with many."""

import sys
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from dockerdiag.dataclass import replace
from dockerdiag.packet.fib import Query
from dockerdiag.packet.plan import errands
from dockerdiag.packet.walk import Walker
from dockerdiag.packet.world import World
from dockerdiag.snapshot.model import Firewall, NextHop, Route, RoutingRule
from tests.bench.host import snapshot
from tests.bench.rules import Size, iptables_rules


def calls_of_a_walk(networks: int) -> int:
    """How many functions the last container's walk calls, once what walks have in common is known."""
    size = Size(networks)
    walker = Walker(snapshot(size, Firewall(nft="", iptables_legacy=iptables_rules(size))))
    first, *_, last = errands(walker.world)
    assert walker.walk(first.flow).disposition == "delivered"
    return calls_of(lambda: walker.walk(last.flow))


def calls_of(function: Callable[[], object]) -> int:
    """How many functions it calls."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:  # noqa: ARG001 - sys.setprofile's signature
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_networks_that_a_packet_does_not_meet_cost_nothing() -> None:
    few, many = calls_of_a_walk(10), calls_of_a_walk(100)
    assert few > 500
    assert many < 1.1 * few


@pytest.mark.parametrize("answered", [False, True], ids=["empty tables", "tables that lead on"])
def test_policy_rules_that_may_match_cost_no_power_of_their_number(answered: bool) -> None:
    """Each may be taken or passed, and those behind it are asked either way."""

    def calls_of_a_lookup(number: int) -> int:
        tables = range(100, 100 + number)
        rules = tuple(
            RoutingRule(4, table, "lookup", table, mark=1 << n, mask=1 << n) for n, table in enumerate(tables)
        )
        routes = tuple(
            Route(4, table, "0.0.0.0/0", "unicast", (NextHop(2, f"198.51.100.{table}"),))
            for table in (tables if answered else tables[-1:])
        )
        one = snapshot(Size(1), Firewall(nft=""))
        fib = World(replace(one, network=replace(one.network, rules=rules, routes=routes))).host.router.fib
        asked = Query(IPv4Address("203.0.113.10"), IPv4Address("172.17.0.2"), mark=None)
        assert fib.lookup(asked).outcome == "unknown"
        return calls_of(lambda: fib.lookup(asked))

    assert calls_of_a_lookup(12) < 8 * calls_of_a_lookup(6)
