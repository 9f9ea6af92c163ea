"""The walk against the kernel: each case breaks one thing, and what is predicted must be what packets then meet."""

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from dockerdiag.packet.walk import Flow, Journey, Source, walk
from dockerdiag.report import Disposition
from dockerdiag_checks.rule_commands import let_pass
from tests.kernel.walk_lab import (
    BRIDGE,
    CONTAINER,
    GATEWAY,
    GATEWAY6,
    HOST,
    PORT,
    ROUTER,
    SERVER,
    SERVER6,
    SERVICE,
    UPLINK,
    Lab,
    lab,
)

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]


@dataclass(frozen=True)
class Case:
    """One thing that is changed, and what names it. Without `at` the packet is delivered all the same."""

    name: str
    change: Callable[[Lab], object]
    at: str | None = None
    direction: str = "out"
    disposition: Disposition = Disposition.DROPPED
    destination: str = SERVER
    arrives: bool = False
    """It gets out although something on the way out is named: the host answers ARP on any link, and forwards."""


def host(*lines: str) -> Callable[[Lab], object]:
    return lambda here: here.run("host", *lines)


def box(*lines: str) -> Callable[[Lab], object]:
    return lambda here: here.run("box", *lines)


def sysctl(key: str, value: object) -> Callable[[Lab], object]:
    return lambda here: here.sysctl(key, value)


def rules(role: str, text: str) -> Callable[[Lab], object]:
    return lambda here: here.rules(role, text)


def both(*changes: Callable[[Lab], object]) -> Callable[[Lab], object]:
    return lambda here: [change(here) for change in changes]


def forward(hook: str, rule: str, family: str = "ip", priority: int = 0) -> Callable[[Lab], object]:
    chain = f"type filter hook {hook} priority {priority};"
    return rules("host", f"table {family} t {{\n chain c {{\n {chain}\n {rule}\n }}\n}}\n")


def drop_in(family: str, hook: str, rule: str = "drop", role: str = "host") -> Callable[[Lab], object]:
    chain = f"type filter hook {hook} priority 0;"
    return rules(role, f"table {family} t {{\n chain c {{\n {chain}\n {rule}\n }}\n}}\n")


def marking_output(kind: str, table: str = "m", rule: str = "meta mark set 7") -> Callable[[Lab], object]:
    priority = -150 if table == "m" else -140
    chain = f"type {kind} hook output priority {priority};"
    return rules("box", f"table ip {table} {{\n chain c {{\n {chain}\n {rule}\n }}\n}}\n")


_ADD_RULE = """
import socket, struct, sys
words = b""
for word in sys.argv[1:]:
    number, content = word.split("=")
    data = bytes.fromhex(content)
    words += struct.pack("=HH", 4 + len(data), int(number)) + data + bytes(-len(data) % 4)
# A blackhole of priority 10.
body = bytes((2, 0, 0, 0, 0, 0, 0, 6)) + bytes(4) + struct.pack("=HHI", 8, 6, 10) + words
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
    s.send(struct.pack("=IHHII", 16 + len(body), 32, 0x605, 1, 0) + body)
    sys.exit(-struct.unpack_from("=i", s.recv(4096), 16)[0])
"""


def raw_rule(**attributes: bytes) -> Callable[[Lab], object]:
    """A policy rule with attributes that iproute2 may not know: their numbers with an `a` in front."""
    words = " ".join(f"{name[1:]}={content.hex()}" for name, content in attributes.items())
    return host(f"{sys.executable} -S -c '{_ADD_RULE}' {words}")


def second_uplink(here: Lab) -> None:
    here.wire("net", "eth1", "eth1")
    here.run("host", "ip address add 192.0.2.2/24 dev eth1")
    here.run("net", "ip address add 192.0.2.1/24 dev eth1", "ip link set eth1 up")


def by_second_uplink(here: Lab) -> None:
    second_uplink(here)
    here.rules(
        "host",
        f"""table ip m {{
        chain c {{
            type filter hook prerouting priority -150;
            iifname {BRIDGE} meta mark set 7
        }}
    }}
    """,
    )
    here.run(
        "host", "ip route add default via 192.0.2.1 table 100", "ip rule add fwmark 7 lookup 100 priority 100"
    )


def udp_by_second_uplink(change: Callable[[Lab], object]) -> Callable[[Lab], object]:
    """Datagrams are looked up in a table that leads out by another link than they come in by."""

    def apply(here: Lab) -> None:
        second_uplink(here)
        here.run(
            "host",
            "ip address add fd00:52::2/64 dev eth1 nodad",
            "ip route add default via 192.0.2.1 table 100",
            "ip -6 route add default via fd00:52::1 table 100",
            "ip rule add ipproto udp lookup 100 priority 100",
            "ip -6 rule add ipproto udp lookup 100 priority 100",
        )
        here.run("net", "ip address add fd00:52::1/64 dev eth1 nodad")
        change(here)

    return apply


NO_ROUTE, REJECTED, UNANSWERED = Disposition.NO_ROUTE, Disposition.REJECTED, Disposition.NOT_ANSWERED

CASES = [
    Case("healthy", lambda _: None),
    Case("healthy IPv6", lambda _: None, destination=SERVER6),
    # forwarding
    *(
        Case(
            f"without bridge netfilter, {name}", both(sysctl("bridge/bridge-nf-call-iptables", 0), change), at
        )
        for name, change, at in (
            ("healthy", lambda _: None, None),
            (
                "raw drop",
                forward("prerouting", "ip daddr 203.0.113.10 drop", priority=-300),
                "nft ip t c handle 2",
            ),
            (
                "bridge input",
                forward("input", "ip daddr 203.0.113.10 drop", "bridge"),
                "nft bridge t c handle 2",
            ),
        )
    ),
    # ARP is routed, too: the gateway's own answer would leave by the second uplink
    *(
        Case(
            f"a table for the subnet alone, rp_filter {strictness}",
            both(
                second_uplink,
                host(
                    "ip route add default via 192.0.2.1 table 100",
                    "ip rule add from 172.17.0.0/16 lookup 100",
                ),
                sysctl(f"ipv4/conf/{BRIDGE}/rp_filter", strictness),
            ),
            at,
        )
        for strictness, at in ((1, f"net.ipv4.conf.{BRIDGE}.rp_filter"), (2, None))
    ),
    # reverse paths where a policy rule asks for the protocol
    Case(
        "fib of a protocol",
        udp_by_second_uplink(
            forward("prerouting", f"iifname {BRIDGE} fib saddr . iif oif missing drop", "inet", 10)
        ),
        "nft inet t c handle 2",
    ),
    Case(
        "fib of a protocol, IPv6",
        udp_by_second_uplink(
            forward(
                "prerouting",
                f"iifname {BRIDGE} meta l4proto udp fib saddr . iif oif missing drop",
                "inet",
                10,
            )
        ),
        "nft inet t c handle 2",
        destination=SERVER6,
    ),
    *(
        Case(
            f"{program} -m rpfilter where a rule asks for the protocol",
            udp_by_second_uplink(
                host(f"{program} -t raw -A PREROUTING -i {BRIDGE} -p udp -m rpfilter --invert -j DROP")
            ),
            at,
            *more,
            destination=to,
        )
        for program, to, at, *more in (
            # The filter lets the request pass; its answer is looked up there as well, and goes out again.
            ("iptables", SERVER, "route default table 100 dev eth1", "reply", NO_ROUTE),
            ("ip6tables", SERVER6, "iptables-nft ip6 raw PREROUTING rule 1"),
        )
    ),
    Case("ip_forward off", sysctl("ipv4/ip_forward", 0), "net.ipv4.ip_forward"),
    Case(
        "bridge does not forward",
        sysctl(f"ipv4/conf/{BRIDGE}/forwarding", 0),
        f"net.ipv4.conf.{BRIDGE}.forwarding",
    ),
    Case(
        "uplink does not forward",
        sysctl(f"ipv4/conf/{UPLINK}/forwarding", 0),
        f"net.ipv4.conf.{UPLINK}.forwarding",
        "reply",
    ),
    Case("another link does not forward", sysctl("ipv4/conf/lo/forwarding", 0)),
    Case(
        "ip_forward off, links on",
        both(
            sysctl("ipv4/ip_forward", 0),
            sysctl(f"ipv4/conf/{BRIDGE}/forwarding", 1),
            sysctl(f"ipv4/conf/{UPLINK}/forwarding", 1),
        ),
    ),
    Case(
        "IPv6 forwarding off",
        sysctl("ipv6/conf/all/forwarding", 0),
        "net.ipv6.conf.all.forwarding",
        destination=SERVER6,
    ),
    Case("IPv6 link does not forward", sysctl(f"ipv6/conf/{BRIDGE}/forwarding", 0), destination=SERVER6),
    # routes of the host
    Case("no default route", host("ip route del default"), f"no route to {SERVER}", disposition=NO_ROUTE),
    Case(
        "blackhole",
        host("ip route add blackhole 203.0.113.0/24"),
        "route blackhole 203.0.113.0/24 table main",
    ),
    Case(
        "unreachable",
        host("ip route add unreachable 203.0.113.0/24"),
        "route unreachable 203.0.113.0/24 table main",
        disposition=REJECTED,
    ),
    Case(
        "prohibit",
        host("ip route add prohibit 203.0.113.0/24"),
        "route prohibit 203.0.113.0/24 table main",
        disposition=REJECTED,
    ),
    Case(
        "IPv6 blackhole",
        host("ip -6 route add blackhole fd00:203::/64"),
        "route blackhole fd00:203::/64 table main metric 1024",
        destination=SERVER6,
    ),
    Case("throw", host("ip route add throw 203.0.113.0/24 table 100", "ip rule add lookup 100 priority 10")),
    Case("empty table", host("ip rule add from 172.17.0.0/16 lookup 100 priority 10")),
    Case(
        "blackhole in another table",
        host(
            "ip route add blackhole default table 100",
            "ip rule add from 172.17.0.0/16 lookup 100 priority 10",
        ),
        "route blackhole default table 100",
    ),
    Case(
        "unreachable rule",
        host(f"ip rule add iif {BRIDGE} unreachable priority 10"),
        f"rule 10: from all iif {BRIDGE} unreachable",
        disposition=REJECTED,
    ),
    Case("rule for the host's own", host("ip rule add iif lo prohibit priority 10")),
    Case(
        "rule for root",
        host("ip rule add uidrange 0-0 blackhole priority 10"),
        "rule 10: from all uidrange 0 blackhole",
    ),
    Case(
        "IPv6 rule for root",
        host("ip -6 rule add uidrange 0-0 blackhole priority 10"),
        "rule 10: from all uidrange 0 blackhole",
        destination=SERVER6,
    ),
    Case("rule for a user", host("ip rule add uidrange 1000-1000 blackhole priority 10")),
    Case(
        "rule by port",
        host(f"ip rule add ipproto udp dport {SERVICE} prohibit priority 10"),
        disposition=REJECTED,
        at=f"rule 10: from all ipproto 17 dport {SERVICE} prohibit",
    ),
    Case("rule by another port", host("ip rule add ipproto udp dport 53 prohibit priority 10")),
    Case(
        "rule by a port, as new kernels tell it",
        raw_rule(a22=b"\x11", a24=struct.pack("=HH", SERVICE, SERVICE), a29=b"\xff\xff"),
        f"rule 10: from all ipproto 17 dport {SERVICE} blackhole",
    ),
    Case("rule by TOS", host("ip rule add tos 0x10 blackhole priority 10")),
    Case("TOS rewritten", forward("prerouting", f"iifname {BRIDGE} ip dscp set 4", priority=-150)),
    Case("rule for TCP", host("ip rule add ipproto tcp prohibit priority 10")),
    Case(
        "rule by mark",
        both(
            forward("prerouting", f"iifname {BRIDGE} meta mark set 0x7", priority=-150),
            host("ip rule add fwmark 0x3/0x3 prohibit priority 10"),
        ),
        "rule 10: from all fwmark 0x3/0x3 prohibit",
        disposition=REJECTED,
    ),
    Case(
        "inverted rule",
        host("ip rule add not fwmark 0xca6c blackhole priority 10"),
        "rule 10: not from all fwmark 0xca6c blackhole",
    ),
    Case(
        "wg-quick",
        both(
            second_uplink,
            host(
                "ip route add default via 192.0.2.1 table 51820",
                "ip rule add not fwmark 0xca6c lookup 51820 priority 32764",
                "ip rule add lookup main suppress_prefixlength 0 priority 32763",
            ),
        ),
    ),
    Case(
        "goto",
        host(
            "ip rule add goto 50 priority 10",
            "ip rule add prohibit priority 20",
            "ip rule add lookup main priority 50",
        ),
    ),
    Case(
        "more specific route elsewhere",
        both(second_uplink, host("ip route add 172.17.0.0/24 via 192.0.2.1 dev eth1")),
        "route 172.17.0.0/24 table main dev eth1",
        "reply",
        NO_ROUTE,
    ),
    Case("metric", both(second_uplink, host("ip route add default via 192.0.2.1 metric 5"))),
    Case(
        "second uplink, strict, the rule for the answers too",
        both(
            second_uplink,
            host(
                "ip route add default via 192.0.2.1 table 100",
                f"ip rule add iif {BRIDGE} lookup 100 priority 100",
            ),
            sysctl("ipv4/conf/all/rp_filter", 1),
        ),
    ),
    Case(
        "second uplink, strict, marks count",
        both(
            by_second_uplink, sysctl("ipv4/conf/all/rp_filter", 1), sysctl("ipv4/conf/all/src_valid_mark", 1)
        ),
        "net.ipv4.conf.all.rp_filter",
    ),
    Case("second uplink, loose", both(by_second_uplink, sysctl("ipv4/conf/eth1/rp_filter", 2))),
    Case(
        "second uplink, strict",
        both(by_second_uplink, sysctl("ipv4/conf/eth1/rp_filter", 1)),
        "net.ipv4.conf.eth1.rp_filter",
        "reply",
    ),
    Case(
        "second uplink, strict everywhere",
        both(by_second_uplink, sysctl("ipv4/conf/all/rp_filter", 1)),
        "net.ipv4.conf.all.rp_filter",
        "reply",
    ),
    Case(
        "strict bridge, container's subnet elsewhere",
        both(
            second_uplink,
            host("ip route add 172.17.0.0/24 dev eth1"),
            sysctl(f"ipv4/conf/{BRIDGE}/rp_filter", 1),
        ),
        f"net.ipv4.conf.{BRIDGE}.rp_filter",
    ),
    Case("strict and symmetric", sysctl("ipv4/conf/all/rp_filter", 1)),
    Case(
        "container uses the host's address",
        box(f"ip address add {HOST}/32 dev eth0", f"ip route replace default via {GATEWAY} src {HOST}"),
        f"address {HOST}",
    ),
    # links
    Case("bridge down", host(f"ip link set {BRIDGE} down"), f"link {BRIDGE}"),
    Case("veth down", host(f"ip link set {PORT} down"), f"link {PORT}"),
    Case("veth not enslaved", host(f"ip link set {PORT} nomaster"), f"link {PORT}", arrives=True),
    Case(
        "veth on another bridge",
        host("ip link add other type bridge", "ip link set other up", f"ip link set {PORT} master other"),
        f"link {PORT}",
        arrives=True,
    ),
    Case("port disabled", host(f"bridge link set dev {PORT} state 0"), f"link {PORT}"),
    Case(
        "bridge without address",
        host(f"ip address del {GATEWAY}/16 dev {BRIDGE}"),
        f"address {GATEWAY} of {BRIDGE}",
    ),
    Case("bridge gone", host(f"ip link del {BRIDGE}"), f"link {BRIDGE}"),
    Case("bridge without ARP", host(f"ip link set {BRIDGE} arp off"), f"link {BRIDGE}"),
    Case(
        "ARP not answered", sysctl(f"ipv4/conf/{BRIDGE}/arp_ignore", 8), f"net.ipv4.conf.{BRIDGE}.arp_ignore"
    ),
    Case("ARP restrained", sysctl("ipv4/conf/all/arp_ignore", 2)),
    Case("isolated port alone", host(f"bridge link set dev {PORT} isolated on")),
    Case("uplink down", host(f"ip link set {UPLINK} down"), f"no route to {SERVER}", disposition=NO_ROUTE),
    Case(
        "next hop that rules ask for",
        forward("forward", f"rt ip nexthop {ROUTER} drop"),
        "nft ip t c handle 2",
    ),
    Case(
        "next hop of the answer",
        forward("forward", f"rt ip nexthop {CONTAINER} drop"),
        "nft ip t c handle 2",
        "reply",
    ),
    Case("time to live as sent", forward("forward", "ip ttl < 63 counter drop")),
    Case("what no opening packet is long", forward("forward", "meta length > 65535 drop")),
    Case(
        "service class of the request",
        forward("prerouting", f"iifname {BRIDGE} ip dscp != cs0 drop", priority=-150),
    ),
    Case("a link's kind", forward("forward", 'meta iifkind "bridge" drop'), "nft ip t c handle 2"),
    Case(
        "nobody takes from a queue",
        host("iptables-nft -A FORWARD -j NFQUEUE --queue-num 3"),
        "iptables-nft ip filter FORWARD rule 1",
    ),
    Case(
        "no transparent proxy",
        host(f"iptables-nft -t mangle -A PREROUTING -i {BRIDGE} -p udp -j TPROXY --on-port 9"),
        "iptables-nft ip mangle PREROUTING rule 1",
    ),
    Case("uplink without ARP", host(f"ip link set {UPLINK} arp off"), f"link {UPLINK}"),
    Case("container's loopback down", box("ip link set lo down"), "link lo", destination=CONTAINER),
    Case("container's link without ARP", box("ip link set eth0 arp off"), "link eth0"),
    Case(
        "uplink without address",
        host(f"ip address flush dev {UPLINK}", f"ip route add default dev {UPLINK}"),
        f"address of {UPLINK}",
        disposition=UNANSWERED,
        arrives=True,
    ),
    Case(
        "uplink's address for its own link alone",
        host(
            f"ip address flush dev {UPLINK}",
            f"ip address add {HOST}/24 dev {UPLINK} scope link",
            f"ip route add default via {ROUTER}",
        ),
        f"address of {UPLINK}",
        disposition=UNANSWERED,
        arrives=True,
    ),
    Case(
        "translated to a bridge's address",
        host(f"nft insert rule ip nat post oifname {UPLINK} snat to {GATEWAY}"),
        "nft ip nat post handle 3",
        disposition=UNANSWERED,
        arrives=True,
    ),
    Case(
        "wrong neighbour of the container",
        host(f"ip neigh replace {CONTAINER} lladdr 02:00:00:00:00:99 dev {BRIDGE} nud permanent"),
        f"neighbour {CONTAINER} dev {BRIDGE}",
        "reply",
    ),
    Case(
        "wrong neighbour of the gateway",
        box(f"ip neigh replace {GATEWAY} lladdr 02:00:00:00:00:99 dev eth0 nud permanent"),
        f"neighbour {GATEWAY} dev eth0",
    ),
    Case(
        "uplink's neighbour is the host itself",
        lambda here: here.run(
            "host",
            f"ip neigh replace {ROUTER} lladdr $(ip -br link show {UPLINK} | awk '{{print $3}}') dev {UPLINK} nud permanent",
        ),
        f"neighbour {ROUTER} dev {UPLINK}",
    ),
    Case(
        "uplink's neighbour fixed",
        both(
            lambda here: here.probe(),
            host(f"ip neigh change {ROUTER} dev {UPLINK} nud permanent"),
        ),
    ),
    # how neighbours are found
    *(
        Case(f"ARP: {name}", change, "nft arp t c handle 2" if stops else None)
        for name, change, stops in (
            ("dropped by the host", drop_in("arp", "input"), True),
            ("answers dropped by the host", drop_in("arp", "output", "arp operation reply drop"), True),
            ("answers dropped by the container", drop_in("arp", "input", role="box"), True),
            ("questions dropped by the container", drop_in("arp", "output", role="box"), True),
            ("by the sender", drop_in("arp", "input", f"arp saddr ip {CONTAINER} drop"), True),
            ("by another sender", drop_in("arp", "input", "arp saddr ip 172.17.0.9 drop"), False),
            ("by the link", drop_in("arp", "input", f'iifname "{BRIDGE}" drop'), True),
            ("from the uplink", drop_in("arp", "input", f'iifname "{UPLINK}" drop'), True),
            ("other hardware", drop_in("arp", "input", "arp htype != 1 drop"), False),
            (
                "dropped, neighbours fixed",
                both(
                    lambda here: here.probe(),
                    host(
                        f"ip neigh change {ROUTER} dev {UPLINK} nud permanent",
                        f"ip neigh change {CONTAINER} dev {BRIDGE} nud permanent",
                    ),
                    box(f"ip neigh change {GATEWAY} dev eth0 nud permanent"),
                    drop_in("arp", "input"),
                ),
                False,
            ),
            (
                "dropped, neighbours known",
                both(lambda here: here.probe(), drop_in("arp", "input")),
                False,
            ),
        )
    ),
    *(
        Case(f"ARP on the bridge: {name}", drop_in("bridge", hook, rule), at)
        for name, hook, rule, at in (
            ("dropped", "prerouting", "ether type arp drop", "nft bridge t c handle 2"),
            ("questions dropped", "input", "arp operation request drop", "nft bridge t c handle 2"),
            ("answers dropped", "output", "meta protocol arp drop", "nft bridge t c handle 2"),
            ("forwarded none", "forward", "ether type arp drop", None),
            ("no IP", "prerouting", "ip saddr 172.17.0.9 drop", None),
            (
                "map",
                "prerouting",
                "meta protocol vmap { ip : accept, arp : drop }",
                "nft bridge t c handle 3",
            ),
        )
    ),
    Case(
        "ARP dropped at the port's ingress",
        rules(
            "host",
            f"table netdev n {{\n chain c {{\n type filter hook ingress device {PORT} priority 0;\n"
            " meta protocol arp drop\n }\n}\n",
        ),
        "nft netdev n c handle 2",
    ),
    *(
        Case(f"neighbour discovery: {name}", change, at, destination=SERVER6)
        for name, change, at in (
            ("dropped by the host", drop_in("ip6", "input"), "nft ip6 t c handle 2"),
            (
                "from the uplink",
                drop_in("ip6", "input", f"iifname {UPLINK} drop"),
                "nft ip6 t c handle 2",
            ),
            ("answers dropped by the host", drop_in("inet", "output"), "nft inet t c handle 2"),
            (
                "dropped by the container",
                drop_in("ip6", "input", "meta l4proto ipv6-icmp drop", role="box"),
                "nft ip6 t c handle 2",
            ),
            (
                "questions dropped by the container",
                drop_in("ip6", "output", "icmpv6 type nd-neighbor-solicit drop", role="box"),
                "nft ip6 t c handle 2",
            ),
            (
                "dropped on the bridge",
                drop_in("bridge", "prerouting", "icmpv6 type nd-neighbor-solicit drop"),
                "nft bridge t c handle 2",
            ),
            (
                "group dropped",
                drop_in("ip6", "prerouting", "ip6 daddr ff02::/16 drop"),
                "nft ip6 t c handle 2",
            ),
            (
                "let in",
                drop_in(
                    "ip6",
                    "input",
                    "ct state established,related accept\n ct state invalid drop\n icmpv6 type {"
                    " nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"
                    " ip6 hoplimit 255 accept\n drop",
                ),
                None,
            ),
            ("untracked", drop_in("ip6", "input", "ct state untracked accept\n drop"), None),
            (
                "let in by iptables",
                host(
                    "ip6tables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                    "ip6tables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP",
                    "ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type neighbor-solicitation -m hl --hl-eq 255 -j ACCEPT",
                    "ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type neighbor-advertisement -m hl --hl-eq 255 -j ACCEPT",
                    "ip6tables-nft -P INPUT DROP",
                ),
                None,
            ),
            (
                "strict reverse path",
                rules(
                    "host",
                    "table inet t {\n chain c {\n type filter hook prerouting priority -290;\n"
                    " fib saddr . iif oif missing drop\n }\n}\n",
                ),
                None,
            ),
            (
                "dropped, neighbours known",
                both(lambda here: here.probe(SERVER6), drop_in("ip6", "input")),
                None,
            ),
        )
    ),
    # the container's own namespace
    Case(
        "container without default route",
        box("ip route del default"),
        f"no route to {SERVER}",
        disposition=NO_ROUTE,
    ),
    Case("container's link down", box("ip link set eth0 down"), "link eth0", disposition=NO_ROUTE),
    Case(
        "container blackhole",
        box("ip route add blackhole 203.0.113.0/24"),
        "route blackhole 203.0.113.0/24 table main",
    ),
    Case(
        "output drop in the container",
        rules(
            "box",
            "table inet kill {\n chain out {\n type filter hook output priority 0; policy drop;\n }\n}\n",
        ),
        "nft inet kill out (policy drop)",
    ),
    Case(
        "input drop in the container",
        rules(
            "box", "table ip kill {\n chain in {\n type filter hook input priority 0; policy drop;\n }\n}\n"
        ),
        "nft ip kill in (policy drop)",
        "reply",
    ),
    Case(
        "container without IPv6 default route",
        box(f"ip -6 route del default via {GATEWAY6}"),
        f"no route to {SERVER6}",
        disposition=NO_ROUTE,
        destination=SERVER6,
    ),
    *(
        Case(
            f"output marks: {name}",
            both(change, box("ip rule add fwmark 7 blackhole priority 10")),
            "rule 10: from all fwmark 0x7 blackhole" if rerouted else None,
        )
        for name, change, rerouted in (
            ("filter chain", marking_output("filter"), False),
            ("route chain", marking_output("route"), True),
            ("iptables filter", box("iptables-nft -A OUTPUT -j MARK --set-mark 7"), False),
            ("iptables mangle", box("iptables-nft -t mangle -A OUTPUT -j MARK --set-mark 7"), True),
            ("iptables-legacy filter", box("iptables-legacy -A OUTPUT -j MARK --set-mark 7"), False),
            ("iptables-legacy mangle", box("iptables-legacy -t mangle -A OUTPUT -j MARK --set-mark 7"), True),
            (
                "marked before a route chain that changes nothing",
                both(marking_output("filter"), marking_output("route", "r", "accept")),
                False,
            ),
            (
                "marked before a route chain that marks more",
                both(marking_output("filter"), marking_output("route", "r", "meta mark set mark or 8")),
                False,
            ),
            (
                "marked before its destination is translated",
                both(
                    marking_output("filter"),
                    rules(
                        "box",
                        "table ip n {\n chain c {\n type nat hook output priority -100;\n"
                        f" ip daddr 192.0.2.9 dnat to {SERVER}\n }}\n}}\n",
                    ),
                ),
                False,
            ),
        )
    ),
    Case(
        "marked before its destination is translated, and it is",
        both(
            marking_output("filter"),
            rules(
                "box",
                "table ip n {\n chain c {\n type nat hook output priority -100;\n"
                f" ip daddr 192.0.2.9 dnat to {SERVER}\n }}\n}}\n",
            ),
            box("ip rule add fwmark 7 blackhole priority 10"),
        ),
        "rule 10: from all fwmark 0x7 blackhole",
        destination="192.0.2.9",
    ),
    # groups of links
    *(
        Case(f"group of links: {name}", both(host(f"ip link set {BRIDGE} group 7"), change), at)
        for name, change, at in (
            ("nft", forward("forward", "iifgroup 7 drop"), "nft ip t c handle 2"),
            ("nft, another", forward("forward", "iifgroup 8 drop"), None),
            ("nft, the default", forward("forward", "oifgroup default drop"), "nft ip t c handle 2"),
            (
                "iptables",
                host("iptables-nft -A FORWARD -m devgroup --src-group 7 -j DROP"),
                "iptables-nft ip filter FORWARD rule 1",
            ),
            (
                "iptables, not",
                host("iptables-legacy -A FORWARD -m devgroup ! --src-group 0x7 -i docker0 -j DROP"),
                None,
            ),
            (
                "suppressed by a policy rule",
                host(
                    f"ip link set {UPLINK} group 9",
                    "ip rule add lookup main suppress_ifgroup 9 priority 10",
                    "ip rule add blackhole priority 20",
                ),
                "rule 20: from all blackhole",
            ),
            (
                "another is suppressed",
                host(
                    "ip rule add lookup main suppress_ifgroup 9 priority 10",
                    "ip rule add blackhole priority 20",
                ),
                None,
            ),
        )
    ),
    # rules of the host
    *(
        Case(
            f"source ports {ports}, dropped to {dropped}",
            both(
                box(f"echo '{ports}' > /proc/sys/net/ipv4/ip_local_port_range"),
                forward("forward", f"iifname {BRIDGE} udp sport {dropped} drop"),
            ),
            at,
        )
        for ports, dropped, at in (
            ("1100 1110", "1024-32767", "nft ip t c handle 2"),
            ("1100 1110", "32768-60999", None),
            ("32768 60999", "1024-32767", None),
        )
    ),
    Case("forward drop", forward("forward", f"oifname {UPLINK} drop"), "nft ip t c handle 2"),
    Case(
        "forward drop of replies",
        forward("forward", f"iifname {UPLINK} drop", "inet"),
        "nft inet t c handle 2",
        "reply",
    ),
    Case("reject", forward("forward", "reject"), "nft ip t c handle 2", disposition=REJECTED),
    Case(
        "raw drop", forward("prerouting", "ip daddr 203.0.113.10 drop", priority=-300), "nft ip t c handle 2"
    ),
    # the time to live
    Case(
        "time to live used up before routing",
        forward("prerouting", f"iifname {BRIDGE} ip ttl set 1", priority=-150),
        "nft ip t c handle 2",
    ),
    Case(
        "time to live used up as sent",
        box("echo 1 > /proc/sys/net/ipv4/ip_default_ttl"),
        "net.ipv4.ip_default_ttl",
    ),
    Case("time to live of 3 as sent is enough", box("echo 3 > /proc/sys/net/ipv4/ip_default_ttl")),
    Case(
        "time to live used up by iptables",
        host(f"iptables-nft -t mangle -A PREROUTING -i {BRIDGE} -j TTL --ttl-set 1"),
        "iptables-nft ip mangle PREROUTING rule 1",
    ),
    Case(
        "hop limit used up",
        forward("prerouting", f"iifname {BRIDGE} ip6 hoplimit set 1", "ip6", priority=-150),
        "nft ip6 t c handle 2",
        destination=SERVER6,
    ),
    Case(
        "time to live of answers used up",
        forward("prerouting", f"iifname {UPLINK} ip ttl set 1", priority=-150),
        "nft ip t c handle 2",
        "reply",
    ),
    Case(
        "time to live of 2 is enough", forward("prerouting", f"iifname {UPLINK} ip ttl set 2", priority=-150)
    ),
    Case(
        "the host has the sender's address too",
        host(f"ip address add {CONTAINER}/32 dev lo"),
        f"address {CONTAINER}",
    ),
    Case(
        "the host has the sender's address too, and takes packets from it",
        both(host(f"ip address add {CONTAINER}/32 dev lo"), sysctl(f"ipv4/conf/{BRIDGE}/accept_local", 1)),
        f"address {CONTAINER}",
        "reply",
    ),
    Case("time to live of answers set late", forward("forward", f"iifname {UPLINK} ip ttl set 1")),
    Case("time to live set high", host("iptables-nft -t mangle -A PREROUTING -j TTL --ttl-set 65")),
    # the order of the bridge's own chains and br_netfilter's
    *(
        Case(
            f"bridge chain {when} br_netfilter's",
            both(
                sysctl("bridge/bridge-nf-call-iptables", 1),
                forward("prerouting", "ip daddr 203.0.113.10 drop", priority=-300),
                rules(
                    "host",
                    f"table bridge b {{\n chain c {{\n type filter hook prerouting priority {priority};\n"
                    " meta protocol ip udp dport 4433 counter drop\n }\n}\n",
                ),
            ),
            at,
        )
        for when, priority, at in (
            ("before", -1, "nft bridge b c handle 2"),
            ("at", 0, "nft bridge b c handle 2"),
            ("after", 1, "nft ip t c handle 2"),
        )
    ),
    Case("input does not matter", forward("input", "drop")),
    Case(
        "a dormant table does not matter",
        rules(
            "host",
            "table ip t {\n flags dormant;\n chain c {\n type filter hook forward priority 0; policy drop;\n }\n}\n",
        ),
    ),
    Case(
        "what is forwarded is in no control group",
        both(
            forward("forward", "meta cgroup 7 drop\n meta cgroup != 7 drop"),
            host("iptables-nft -t mangle -A POSTROUTING -m cgroup ! --cgroup 7 -j DROP"),
            host("iptables-nft -t nat -I POSTROUTING -m cgroup --cgroup 7 -j ACCEPT"),
        ),
    ),
    Case(
        "docker's raw rule spares answers",
        forward("prerouting", f"ip daddr {CONTAINER} iifname != {BRIDGE} drop", priority=-300),
    ),
    Case(
        "bridge family",
        forward("prerouting", f"iifname {PORT} ether type ip drop", "bridge", -300),
        "nft bridge t c handle 2",
    ),
    Case("bridge input", forward("input", "ip daddr 203.0.113.10 drop", "bridge"), "nft bridge t c handle 2"),
    Case(
        "bridge output",
        forward("output", f"ip daddr {CONTAINER} drop", "bridge"),
        "nft bridge t c handle 2",
        "reply",
    ),
    Case("bridge forward does not matter", forward("forward", "drop", "bridge")),
    *(
        Case(
            f"ingress of {link}",
            rules(
                "host",
                f"table netdev n {{\n chain c {{\n type filter hook ingress device {link} priority 0;\n"
                f" ip protocol udp drop\n }}\n}}\n",
            ),
            "nft netdev n c handle 2",
            direction,
        )
        for link, direction in ((PORT, "out"), (BRIDGE, "out"), (UPLINK, "reply"))
    ),
    # translation
    Case(
        "not translated",
        host("nft delete table ip nat"),
        f"source {CONTAINER} not translated",
        disposition=UNANSWERED,
    ),
    Case(
        "accept before masquerade",
        rules(
            "host",
            "table ip a {\n chain p {\n type nat hook postrouting priority 99;\n"
            f" ip saddr {CONTAINER} accept\n }}\n}}\n",
        ),
    ),
    Case(
        "accept before masquerade in its chain",
        host(f"nft insert rule ip nat post ip saddr {CONTAINER} accept"),
        "nft ip nat post handle 3",
        disposition=UNANSWERED,
    ),
    Case(
        "foreign source",
        host(f"nft insert rule ip nat post oifname {UPLINK} snat to 192.0.2.77"),
        "nft ip nat post handle 3",
        disposition=UNANSWERED,
    ),
    Case(
        "notrack",
        forward("prerouting", f"iifname {BRIDGE} notrack", priority=-300),
        "nft ip t c handle 2",
        disposition=UNANSWERED,
    ),
    Case(
        "notrack of answers",
        forward("prerouting", f"iifname {UPLINK} notrack", priority=-300),
        "nft ip t c handle 2",
        "reply",
        UNANSWERED,
    ),
    Case(
        "not translated, strict uplink",
        both(host("nft delete table ip nat"), sysctl(f"ipv4/conf/{UPLINK}/rp_filter", 1)),
        f"source {CONTAINER} not translated",
        disposition=UNANSWERED,
    ),
]


def predict(here: Lab, destination: str, container: int = 0) -> Journey:
    snapshot = here.snapshot()
    return walk(snapshot, Flow(Source(here.containers[container]), ip_address(destination), "udp", SERVICE))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_walk_foretells_what_the_kernel_does(case: Case) -> None:
    compare(case)


def compare(case: Case) -> None:
    """Has the kernel judge what is foretold of one case."""
    with lab(f"ddw{os.getpid()}") as here:
        case.change(here)
        journey = predict(here, case.destination)
        arrived, answered = here.probe(case.destination)
    shown = [f"{hop.direction} {hop.place}: {hop.text}" for hop in journey.hops]
    assert answered == (journey.disposition is Disposition.DELIVERED), (journey.halts, shown)
    stopped_on_the_way_out = bool(journey.halts) and journey.halts[0].direction == "out"
    unanswered = bool(journey.halts) and journey.halts[0].kind == "unanswered"
    assert arrived == (unanswered or case.arrives or not stopped_on_the_way_out), (journey.halts, shown)
    if case.at is None:
        assert journey.disposition is Disposition.DELIVERED, shown
        return
    assert (journey.disposition, journey.halts[0].direction, journey.halts[0].at) == (
        case.disposition,
        case.direction,
        case.at,
    ), shown


@pytest.mark.parametrize(
    ("change", "destination"),
    [
        (drop_in("ip6", "input"), SERVER6),
        (drop_in("inet", "output", "icmpv6 type != echo-request drop"), SERVER6),
        (host("ip6tables-nft -P INPUT DROP"), SERVER6),
        (host("ip6tables-legacy -A INPUT -p icmpv6 -j DROP"), SERVER6),
        (drop_in("arp", "input"), SERVER),
        (drop_in("bridge", "prerouting", "ether type arp drop"), SERVER),
    ],
)
def test_an_accept_for_neighbours_questions_mends_what_stops_them(
    change: Callable[[Lab], object], destination: str
) -> None:
    with lab(f"ddw{os.getpid()}") as here:
        change(here)
        journey = predict(here, destination)
        accepts = let_pass(journey.halts, ())
        here.run("host", *(accept.do for accept in accepts))
        mended = predict(here, destination)
        answered = here.probe(destination)
    assert journey.disposition is Disposition.DROPPED
    assert journey.halts[0].packet.asks_neighbours
    assert mended.disposition is Disposition.DELIVERED, mended.halts
    assert answered == (True, True)


_DSCP_4 = forward("prerouting", f"iifname {BRIDGE} ip dscp set 4", priority=-150)
_TOS_RULE = host("ip rule add tos 0x10 blackhole priority 10")


@pytest.mark.parametrize(
    ("change", "answers", "reason"),
    [
        (both(_DSCP_4, _TOS_RULE), False, "a rule rewrites the packet's TOS"),
        (
            both(_TOS_RULE, host("iptables-nft -t mangle -A PREROUTING -j DSCP --set-dscp 4")),
            False,
            "a rule rewrites the packet's TOS",
        ),
        (
            both(_TOS_RULE, host("iptables-legacy -t mangle -A PREROUTING -j TOS --set-tos 0x8")),
            True,
            "a rule rewrites the packet's TOS",
        ),
        (
            both(_DSCP_4, host("ip route add blackhole 203.0.113.0/24 tos 0x10")),
            False,
            "the route `blackhole 203.0.113.0/24 table main` asks for a TOS, and a rule rewrites the packet's",
        ),
        (
            host(f"ip route add 203.0.113.0/24 encap ip id 3 dst {ROUTER} dev {UPLINK} via {ROUTER}"),
            True,
            "the route `203.0.113.0/24 table main` puts packets into ip",
        ),
        (
            host(
                f"ip address add 198.51.100.3/24 dev {UPLINK}",
                f"nft insert rule ip nat post oifname {UPLINK} snat to 198.51.100.2-198.51.100.3",
            ),
            True,
            "its source becomes one of several addresses",
        ),
        # The kernel looks for the socket of an answer before it asks the rules at input.
        (drop_in("ip", "input", "meta skuid 0 drop", "box"), False, "whose socket has it is not known"),
        (drop_in("ip", "input", "meta cgroup != 7 drop", "box"), False, "whose socket has it is not known"),
        (raw_rule(a25=b"\x0a"), True, "what it asks for (dscp) is not known to this program"),
        (
            raw_rule(a22=b"\x11", a24=struct.pack("=HH", 0x1150, 0x1150), a29=b"\xf0\xff"),
            False,
            "what it asks for (dport) is not known to this program",
        ),
    ],
)
def test_what_decides_and_is_not_known_is_named(
    change: Callable[[Lab], object], answers: bool, reason: str
) -> None:
    with lab(f"ddw{os.getpid()}") as here:
        change(here)
        journey = predict(here, SERVER)
        answered = here.probe()[1]
    assert journey.disposition is Disposition.UNKNOWN, journey.halts
    assert reason in journey.halts[0].reason
    assert answered is answers
