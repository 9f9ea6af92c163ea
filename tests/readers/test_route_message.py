"""Routes are decoded as pyroute2 decodes them, from a kernel that holds every form of them."""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dockerdiag.readers import rtnetlink
from dockerdiag.readers.bare_package import bare_package
from dockerdiag.readers.route_message import RouteMessage
from dockerdiag.readers.rtnetlink import Rtnetlink
from dockerdiag.readers.visit import enter
from tests.readers.conftest import Namespace

with bare_package("pyroute2"):
    from pyroute2.netlink.rtnl import RTM_NEWROUTE
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

FIXED = ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags")
LINKS = """
ip link set lo up
ip link add one type veth peer name two
ip addr add 192.0.2.1/24 dev one
ip addr add 2001:db8:1::1/64 dev one nodad
ip addr add 198.51.100.1/24 dev two
ip link set one up
ip link set two up
"""
ROUTES = """
ip route add default via 192.0.2.254
ip route add 203.0.113.0/24 via 192.0.2.253 metric 50 mtu lock 1400 table 1234
ip route add 203.0.113.0/24 via 192.0.2.253 tos 0x10
ip route add 10.0.0.0/8 nexthop via 192.0.2.2 weight 3 nexthop via 198.51.100.2 dev two weight 1 onlink
ip route add 10.1.0.0/16 via inet6 2001:db8:1::2 dev one
ip route add 10.2.0.0/16 src 192.0.2.1 dev one scope link proto 186
ip route add 10.3.0.0/16 encap ip id 7 dst 192.0.2.9 via 192.0.2.2 dev one
ip route add blackhole 10.4.0.0/16
ip route add prohibit 10.5.0.0/16 metric 4294967295
ip route add throw 10.6.0.0/16
ip route add unreachable 10.7.0.0/16
ip route add local 10.8.0.0/16 dev lo
ip -6 route add default via 2001:db8:1::fe metric 7
ip -6 route add 2001:db8:2::/48 from 2001:db8:1::/64 via 2001:db8:1::2 mtu 1280
ip -6 route add 2001:db8:3::/48 nexthop via 2001:db8:1::2 weight 2 nexthop via 2001:db8:1::3
ip -6 route add unreachable 2001:db8:4::/48
ip -6 route add 2001:db8:5::/48 via 2001:db8:1::2 table 4000000000 pref high
"""


@pytest.fixture(name="routed")
def _routed(namespace: Namespace) -> Namespace:
    namespace.run(LINKS)
    # Not every kernel has every form (encapsulation, subtrees).
    namespace.run("\n".join(f"{line} || true" for line in ROUTES.strip().splitlines()))
    return namespace


def every_route(space: Namespace) -> list[Any]:
    """What the kernel answers, by whatever decodes routes now."""
    found: list[Any] = []

    def visit() -> None:
        enter(space.pid, space.name)
        with Rtnetlink() as kernel:
            for family in (socket.AF_INET, socket.AF_INET6):
                found.extend(kernel.routes(family))
            asked = ("203.0.113.9", "10.0.0.9", "10.1.0.9", "2001:db8:3::9")
            found.extend(kernel.route(to, None, None, 0) for to in asked)

    with ThreadPoolExecutor(1) as thread:  # it alone moves, and ends
        thread.submit(visit).result()
    return found


def simple(message: Any) -> dict[str, Any]:
    """A message of pyroute2's, with its attributes by name, as far as they are known to `RouteMessage`."""
    attributes = dict(message["attrs"])
    found: dict[str, Any] = {
        name: value
        for name, value in attributes.items()
        if name.startswith("RTA_")
        and name
        in (
            "RTA_DST", "RTA_SRC", "RTA_IIF", "RTA_OIF", "RTA_GATEWAY", "RTA_PRIORITY", "RTA_PREFSRC", "RTA_TABLE",
            "RTA_ENCAP_TYPE",
        )
    }  # fmt: skip
    if "RTA_VIA" in attributes:
        found["RTA_VIA"] = {key: attributes["RTA_VIA"][key] for key in ("family", "addr")}
    if "RTA_METRICS" in attributes:
        mtu = attributes["RTA_METRICS"].get_attr("RTAX_MTU")
        found["RTA_METRICS"] = {} if mtu is None else {"RTAX_MTU": mtu}
    if "RTA_CACHEINFO" in attributes:
        error = attributes["RTA_CACHEINFO"]["rta_error"]
        found["RTA_CACHEINFO"] = {"rta_error": error - (1 << 32) if error > 1 << 31 else error}
    if "RTA_MULTIPATH" in attributes:
        found["RTA_MULTIPATH"] = [
            {"oif": hop["oif"], "hops": hop["hops"], "flags": hop["flags"], "attrs": simple(hop)["attrs"]}
            for hop in attributes["RTA_MULTIPATH"]
        ]
    fixed = {name: message[name] for name in FIXED if name in message}
    return {**fixed, "attrs": found}


def test_as_pyroute2_decodes_them(routed: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [{key: value for key, value in one.items() if key != "header"} for one in every_route(routed)]
    monkeypatch.setitem(rtnetlink._ANSWERS, RTM_NEWROUTE, rtmsg)
    theirs = [simple(one) for one in every_route(routed)]
    assert own == theirs
    names = {name for one in own for name in one["attrs"]}
    wanted = {
        "RTA_DST",
        "RTA_GATEWAY",
        "RTA_MULTIPATH",
        "RTA_METRICS",
        "RTA_VIA",
        "RTA_PREFSRC",
        "RTA_PRIORITY",
        "RTA_TABLE",
    }
    assert wanted <= names, f"the kernel told nothing of {wanted - names}"
    assert len(own) > 25


def test_an_answer_that_is_cut_short_ends_in_no_loop() -> None:
    header = (60).to_bytes(4, "little") + bytes(12)
    for broken in (b"\0\0\0\0", b"\x03\0\1\0", b"\xff\xff\x09\0\0\0\0\0", b"\x08\0\x09\0\1\0\0\0"):
        message = RouteMessage(header + bytes(12) + broken * 8)
        message.decode()
        assert set(message["attrs"]) <= {"RTA_MULTIPATH"}
