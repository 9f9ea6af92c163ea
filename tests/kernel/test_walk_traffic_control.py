"""Filters of traffic control: told as unknown once they have dropped packets, unless they only keep to a rate."""

import os

import pytest

from dockerdiag.report import Disposition
from tests.kernel.test_walk_agreement import predict
from tests.kernel.test_walk_uplinks import making
from tests.kernel.walk_lab import BRIDGE, SERVER, UPLINK, Lab, lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

_ALL = "protocol ip prio 1 u32 match u32 0 0"
_TO_IFB = f"tc filter add dev {UPLINK} parent ffff: {_ALL} action mirred egress redirect dev ifb0"


def _ingress(here: Lab, *lines: str) -> None:
    making(*lines)(here)


@pytest.mark.parametrize(
    ("link", "lines"),
    [
        (
            UPLINK,
            ("ip link add ifb0 type ifb", f"tc qdisc add dev {UPLINK} ingress", _TO_IFB),
        ),
        (
            UPLINK,
            (
                f"tc qdisc add dev {UPLINK} ingress",
                f"tc filter add dev {UPLINK} parent ffff: {_ALL} action drop",
            ),
        ),
        (
            UPLINK,
            (
                f"tc qdisc add dev {UPLINK} clsact",
                f"tc filter add dev {UPLINK} egress protocol ip flower dst_ip {SERVER} action drop",
            ),
        ),
        (
            BRIDGE,
            (
                f"tc qdisc add dev {BRIDGE} clsact",
                f"tc filter add dev {BRIDGE} ingress protocol ip matchall action drop",
            ),
        ),
    ],
    ids=["given to a link that is down", "ingress", "egress", "on the bridge"],
)
def test_filters_that_have_dropped_packets_leave_it_open(link: str, lines: tuple[str, ...]) -> None:
    with lab(f"ddt{os.getpid()}") as here:
        _ingress(here, *lines)
        before = predict(here, SERVER)
        answered = here.probe(SERVER)
        journey = predict(here, SERVER)
    assert before.disposition is Disposition.DELIVERED
    assert not answered[1]
    assert journey.disposition is Disposition.UNKNOWN
    assert journey.halts[0].at == f"filters of {link}"


@pytest.mark.parametrize(
    "lines",
    [
        ("ip link add ifb0 type ifb", "ip link set ifb0 up", f"tc qdisc add dev {UPLINK} ingress", _TO_IFB),
        (
            "ip link add ifb0 type ifb",
            "ip link set ifb0 up",
            "tc qdisc add dev ifb0 root tbf rate 8kbit burst 1600 limit 1600",
            f"tc qdisc add dev {UPLINK} ingress",
            _TO_IFB,
        ),
        (
            f"tc qdisc add dev {UPLINK} ingress",
            f"tc filter add dev {UPLINK} parent ffff: {_ALL} police rate 8kbit burst 2k drop flowid :1",
        ),
    ],
    ids=["shaped", "shaped and full", "policed"],
)
def test_what_keeps_to_a_rate_is_no_doubt(lines: tuple[str, ...]) -> None:
    with lab(f"ddt{os.getpid()}") as here:
        _ingress(here, *lines)
        here.run("net", "ping -q -c 20 -i 0.01 -s 1000 -W 1 198.51.100.2 || true")
        read = here.snapshot().network.links
        journey = predict(here, SERVER)
    assert isinstance(read, tuple)
    assert [one.filter_drops for one in read if one.name == UPLINK] in ([None], [0])
    assert journey.disposition is Disposition.DELIVERED
