"""One walk costs the same on a host with few networks and on one with many."""

import sys

from dockerdiag.packet.plan import errands
from dockerdiag.packet.walk import Walker
from dockerdiag.snapshot.model import Firewall
from tests.bench.host import snapshot
from tests.bench.rules import Size, iptables_rules


def calls_of_a_walk(networks: int) -> int:
    """How many functions the last container's walk calls, once what walks have in common is known."""
    size = Size(networks)
    walker = Walker(snapshot(size, Firewall(nft="", iptables_legacy=iptables_rules(size))))
    first, *_, last = errands(walker.world)
    assert walker.walk(first.flow).disposition == "delivered"
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:  # noqa: ARG001 - sys.setprofile's signature
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        walker.walk(last.flow)
    finally:
        sys.setprofile(None)
    return calls


def test_networks_that_a_packet_does_not_meet_cost_nothing() -> None:
    few, many = calls_of_a_walk(10), calls_of_a_walk(100)
    assert few > 500
    assert many < 1.1 * few
