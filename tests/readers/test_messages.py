"""What rtnetlink says is decoded as pyroute2 decodes it, from a kernel that holds every form of it."""

import socket
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dockerdiag.readers import routing, rtnetlink
from dockerdiag.readers.bare_package import bare_package
from dockerdiag.readers.messages import BridgeMessage, FilterMessage, RouteMessage, RuleMessage
from dockerdiag.readers.rtnetlink import Rtnetlink
from dockerdiag.readers.visit import enter
from dockerdiag.snapshot import BridgeVlans
from tests.readers.conftest import Namespace

with bare_package("pyroute2"):
    from pyroute2.netlink.rtnl.fibmsg import fibmsg
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

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


class Twice:
    """One message of the kernel's, decoded by both: a moment later it might say something else."""

    def __init__(self, own: Any, theirs: Any) -> None:
        self.own, self.theirs = own, theirs

    @classmethod
    def by(cls, own: Any, theirs: Any) -> "Callable[..., Twice]":
        """Decodes by these two classes."""
        return lambda data, *, offset: cls(own(data, offset=offset), theirs(data, offset=offset))

    def decode(self) -> None:
        self.own.decode()
        self.theirs.decode()

    def __getitem__(self, name: str) -> Any:
        return self.own[name]


def asked(
    space: Namespace,
    monkeypatch: pytest.MonkeyPatch,
    kind: int,
    theirs: Any,
    question: Callable[[Rtnetlink], Iterable[Any]],
) -> tuple[list[Any], list[Any]]:
    """What the kernel answers there, as it is decoded here and as pyroute2 does."""
    monkeypatch.setitem(rtnetlink._ANSWERS, kind, Twice.by(rtnetlink._ANSWERS[kind], theirs))

    def visit() -> list[Any]:
        enter(space.pid, space.name)
        with Rtnetlink() as kernel:
            return list(question(kernel))

    with ThreadPoolExecutor(1) as thread:  # it alone moves, and ends
        answers = thread.submit(visit).result()
    return [one.own for one in answers], [one.theirs for one in answers]


def routes(kernel: Rtnetlink) -> Iterable[Any]:
    for family in (socket.AF_INET, socket.AF_INET6):
        yield from kernel.routes(family)
    for to in ("203.0.113.9", "10.0.0.9", "10.1.0.9", "2001:db8:3::9"):
        yield kernel.route(to, None, None, 0)


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


def test_routes(routed: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, others = asked(routed, monkeypatch, rtnetlink.RTM_NEWROUTE, rtmsg, routes)
    own = [{key: one[key] for key in (*FIXED, "attrs")} for one in answers]
    assert own == [simple(one) for one in others]
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


KINDS = """
ip link add br0 type bridge stp_state 1 nf_call_iptables 1
ip link add br1 type bridge
ip link add three type veth peer name four
ip link set one master br0
ip link set three group 7 mtu 1400 master br1
bridge link set dev three hairpin on isolated on
ip link add v10 link two type vlan id 10
ip link add red type vrf table 4000000000
ip link set red up
ip link add mac0 link two type macvlan mode bridge
ip link add ipv0 link four type ipvlan mode l3
ip link add dum type dummy
ip link add bond0 type bond
ip link set dum master bond0
ip tunnel add tun1 mode ipip local 192.0.2.1 remote 192.0.2.9
ip link add gre6 type ip6gre local 2001:db8:1::1 remote 2001:db8:1::9
ip link add wg0 type wireguard
ip link add vx0 type vxlan id 7 dstport 4789
ip link set two arp off
tc qdisc add dev four root tbf rate 1mbit burst 10kb latency 1ms
ip addr add 192.0.2.9 peer 192.0.2.8/32 dev four
ip addr add 169.254.1.1/16 dev four scope link
ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev one nud permanent
ip neigh add 2001:db8:1::77 lladdr 02:00:00:00:00:78 dev one nud stale
ip neigh add proxy 192.0.2.78 dev one
ip rule add from 192.0.2.0/24 to 10.0.0.0/8 iif one oif two fwmark 0x1/0xff tos 0x10 table 77 priority 5
ip rule add not from 192.0.2.1 goto 32766 priority 6
ip rule add ipproto tcp sport 5-9 dport 443 uidrange 5-4294967294 table 1000000 priority 7
ip rule add l3mdev priority 8
ip rule add table main suppress_prefixlength 0 priority 9
ip rule add table main suppress_ifgroup 7 priority 10
ip rule add tun_id 4294967297 table 9 priority 11
ip rule add dscp 7 table 9 priority 12
ip rule add blackhole from 192.0.2.66 priority 13
ip rule add realms 3/4 table 8 priority 14
ip -6 rule add from 2001:db8::/32 prohibit priority 15
"""


@pytest.fixture(name="varied")
def _varied(routed: Namespace) -> Namespace:
    # Not every kernel, nor every iproute2, has every kind.
    routed.run("\n".join(f"{line} || true" for line in KINDS.strip().splitlines()))
    return routed


def as_text(value: Any) -> Any:
    """A range of numbers as pyroute2 gives it."""
    return ":".join(map(str, value)) if isinstance(value, tuple) else value


def plain(message: Any, own: Any) -> dict[str, Any]:
    """Of a message of pyroute2's what `own` has of the same."""
    found: dict[str, Any] = {
        name: message[name] for name in own if name not in ("header", "attrs", "unknown")
    }
    found["attrs"] = attributes = {}
    for name, value in own["attrs"].items():
        theirs = message.get_attr(name)
        if name in ("FRA_SPORT_MASK", "FRA_DPORT_MASK"):
            theirs = value  # younger than pyroute2
        if name == "IFLA_LINKINFO":
            theirs = information(theirs, value)
        elif name == "IFLA_OPERSTATE":
            theirs = theirs.lower()
        elif name == "TCA_STATS":
            theirs = {"drop": theirs["drop"]}
        attributes[name] = theirs
    return found


def information(theirs: Any, own: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind, data in (
        ("kind", "IFLA_INFO_KIND", "IFLA_INFO_DATA"),
        ("port_of", "IFLA_INFO_SLAVE_KIND", "IFLA_INFO_SLAVE_DATA"),
    ):
        if theirs.get_attr(kind) is not None:
            found[name] = theirs.get_attr(kind)
            within = theirs.get_attr(data)
            found[f"{name}_data"] = {one: within.get_attr(one) for one in own[f"{name}_data"]}
    return found


QUESTIONS = {
    "links": (rtnetlink.RTM_NEWLINK, ifinfmsg, lambda kernel: kernel.links()),
    "addresses": (rtnetlink.RTM_NEWADDR, ifaddrmsg, lambda kernel: kernel.addresses()),
    "rules": (
        rtnetlink.RTM_NEWRULE,
        fibmsg,
        lambda kernel: [*kernel.rules(socket.AF_INET), *kernel.rules(socket.AF_INET6)],
    ),
    "neighbours": (
        rtnetlink.RTM_NEWNEIGH,
        ndmsg,
        lambda kernel: [*kernel.neighbours(socket.AF_INET), *kernel.neighbours(socket.AF_INET6)],
    ),
    "queues": (rtnetlink.RTM_NEWQDISC, tcmsg, lambda kernel: kernel.queues()),
}
WANTED = {
    "links": {"IFLA_ADDRESS", "IFLA_MASTER", "IFLA_LINK", "IFLA_OPERSTATE", "IFLA_LINKINFO", "IFLA_CARRIER"},
    "addresses": {"IFA_ADDRESS", "IFA_LOCAL", "IFA_FLAGS"},
    "rules": {
        "FRA_SRC", "FRA_DST", "FRA_IIFNAME", "FRA_OIFNAME", "FRA_FWMARK", "FRA_FWMASK", "FRA_GOTO", "FRA_TABLE",
        "FRA_SPORT_RANGE", "FRA_DPORT_RANGE", "FRA_UID_RANGE", "FRA_IP_PROTO", "FRA_L3MDEV", "FRA_PRIORITY",
        "FRA_SUPPRESS_PREFIXLEN", "FRA_SUPPRESS_IFGROUP",
    },
    "neighbours": {"NDA_DST", "NDA_LLADDR"},
    "queues": {"TCA_STATS"},
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_all_else(varied: Namespace, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    kind, decoder, ask = QUESTIONS[question]
    own, theirs = asked(varied, monkeypatch, kind, decoder, ask)
    names = set()
    for ours, other in zip(own, theirs, strict=True):
        names |= set(ours["attrs"])
        expected = plain(other, ours)
        got = {key: value for key, value in ours.items() if key not in ("header", "unknown")}
        got["attrs"] = {name: as_text(value) for name, value in ours["attrs"].items()}
        assert got == expected
    assert WANTED[question] <= names, f"the kernel told nothing of {WANTED[question] - names}"


def test_what_a_rule_asks_for_beyond_what_is_known_is_told() -> None:
    content = b"\x05\0\xfa\0\1\0\0\0"
    header = (16 + 12 + len(content)).to_bytes(4, "little") + bytes(12)
    message = RuleMessage(header + bytes((socket.AF_INET,)) + bytes(11) + content)
    message.decode()
    assert message["unknown"] == (250,)


def test_the_mask_of_a_rules_ports_is_known() -> None:
    content = b"\x06\0\x1c\0\xff\0\0\0"
    header = (16 + 12 + len(content)).to_bytes(4, "little") + bytes(12)
    message = RuleMessage(header + bytes((socket.AF_INET,)) + bytes(11) + content)
    message.decode()
    assert (message["unknown"], message["attrs"]) == ((), {"FRA_SPORT_MASK": 0xFF})


def test_an_answer_that_is_cut_short_ends_in_no_loop() -> None:
    header = (60).to_bytes(4, "little") + bytes(12)
    for broken in (b"\0\0\0\0", b"\x03\0\1\0", b"\xff\xff\x09\0\0\0\0\0", b"\x08\0\x09\0\1\0\0\0"):
        message = RouteMessage(header + bytes(12) + broken * 8)
        message.decode()
        assert set(message["attrs"]) <= {"RTA_MULTIPATH"}


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def _message(fixed: int, content: bytes) -> bytes:
    return (16 + fixed + len(content)).to_bytes(4, "little") + bytes(12 + fixed) + content


def test_the_vlans_of_bridges_and_ports_are_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {3: [(6, 1), (8, 5), (16, 4094)], 4: [], 5: [(0, 7), (0, 9)]}
    messages = []
    for index, vlans in told.items():
        each = b"".join(_attribute(2, struct.pack("=HH", *one)) for one in vlans)
        message = BridgeMessage(_message(16, _attribute(26, each)))
        message.decode()
        messages.append({**message, "index": index})
    monkeypatch.setattr(Rtnetlink, "bridge_vlans", lambda _: iter(messages))
    with Rtnetlink() as kernel:
        found = routing._bridge_vlans(kernel)
    assert found == {
        3: BridgeVlans(((1, 1), (5, 4094)), 1),
        4: BridgeVlans(()),
        5: BridgeVlans(((7, 7), (9, 9))),
    }


@pytest.mark.parametrize(
    ("kind", "options", "actions"),
    [
        ("u32", _attribute(7, _attribute(1, _attribute(1, b"gact\0"))), {"gact"}),
        ("u32", _attribute(6, b""), {"police"}),
        (
            "flower",
            _attribute(
                3, _attribute(1, _attribute(1, b"police\0")) + _attribute(2, _attribute(1, b"gact\0"))
            ),
            {"police", "gact"},
        ),
        (
            "matchall",
            _attribute(
                2,
                _attribute(
                    1,
                    _attribute(1, b"mirred\0")
                    + _attribute(2, _attribute(2, bytes(24) + (9).to_bytes(4, "little"))),
                ),
            ),
            {"mirred 9"},
        ),
        ("bpf", _attribute(8, b"\1\0\0\0"), {"bpf"}),
        ("matchall", _attribute(2, _attribute(1, _attribute(1, b"mirred\0"))), {"mirred"}),
    ],
)
def test_what_a_filter_does_is_told_by_kind(kind: str, options: bytes, actions: set[str]) -> None:
    message = FilterMessage(_message(20, _attribute(1, kind.encode() + b"\0") + _attribute(2, options)))
    message.decode()
    assert message.actions() == actions
