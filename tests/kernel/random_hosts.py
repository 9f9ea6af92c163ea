"""Random hosts with two uplinks: rules, routes, policy rules and switches at once, and what makes the kernel tell."""

from collections.abc import Callable
from random import Random

from tests.kernel.walk_lab import (
    BRIDGE,
    CONTAINER,
    CONTAINER6,
    PORT,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    UPLINK,
    Lab,
)

SECOND = "eth1"
SECOND_ROUTER, SECOND_ROUTER6 = "192.0.2.1", "fd00:52::1"
OTHER_SERVER, OTHER_SERVER6 = "203.0.113.20", "fd00:203::20"
DESTINATIONS = (SERVER, OTHER_SERVER, SERVER6, OTHER_SERVER6)
"""Two servers behind the uplinks, by either IP version."""

_LINKS = (BRIDGE, UPLINK, SECOND)
_HOOKS = ("prerouting", "prerouting", "forward", "forward", "postrouting", "input", "output")
_PRIORITIES = (-310, -290, -160, -140, -10, 0, 0, 10, 110)


def make(here: Lab, random: Random) -> set[str]:
    """Changes a healthy host; returns the kinds of what it changed."""
    _add_second_uplink(here)
    changed = set()
    for kind, (often, change) in _KINDS.items():
        if random.random() < often:
            change(here, random)
            changed.add(kind)
    return changed or {"nothing"}


def _add_second_uplink(here: Lab) -> None:
    here.wire("net", SECOND, SECOND)
    here.run(
        "host",
        f"ip address add 192.0.2.2/24 dev {SECOND}",
        f"ip address add fd00:52::2/64 dev {SECOND} nodad",
    )
    here.run(
        "net",
        f"ip address add {SECOND_ROUTER}/24 dev {SECOND}",
        f"ip address add {SECOND_ROUTER6}/64 dev {SECOND} nodad",
        f"ip link set {SECOND} up",
        f"ip address add {OTHER_SERVER}/32 dev lo",
        f"ip address add {OTHER_SERVER6}/128 dev lo nodad",
        # Answers go back by the link that the kernel chooses.
        "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0",
    )


def _rules(here: Lab, random: Random) -> None:
    for number in range(random.randint(1, 3)):
        family = random.choice(("ip", "ip6", "inet", "inet", "bridge"))
        hook = random.choice(_HOOKS)
        policy = "drop" if random.random() < 0.1 and hook not in ("input", "output") else "accept"
        lines = [_rule(random, family, hook) for _ in range(random.randint(1, 5))]
        if policy == "drop":
            # A table without neighbour discovery says nothing of what is asked here.
            lines.insert(0, "meta l4proto ipv6-icmp counter accept")
        chain = f"type filter hook {hook} priority {random.choice(_PRIORITIES)}; policy {policy};"
        here.rules(
            "host", f"table {family} r{number} {{\n chain c {{\n  {chain}\n" + "\n".join(lines) + "\n }\n}\n"
        )


def _rule(random: Random, family: str, hook: str) -> str:
    version = random.choice((4, 6)) if family in ("inet", "bridge") else 6 if family == "ip6" else 4
    words = [_match(random, family, hook, version) for _ in range(random.randint(0, 2))]
    verdicts = ["accept", "accept", "drop", "drop", "return", "", "meta mark set 1", "meta mark set 2"]
    if family != "bridge" and hook in ("forward", "input", "output"):
        verdicts.append("reject")
    # Nothing but the datagrams is dropped: what neighbours ask of each other is compared elsewhere.
    return f"  {' '.join(words)} meta l4proto udp counter {random.choice(verdicts)}"


def _match(random: Random, family: str, hook: str, version: int) -> str:
    inward = (PORT, "veth9") if family == "bridge" else _LINKS
    offered = [
        f"udp dport {random.choice((4433, 53))}",
        f"meta mark {random.choice((0, 1, 2))}",
        "udp sport >= 32768",
    ]
    if hook != "output":
        offered.append(f"iifname {random.choice(inward)}")
    if hook in ("forward", "output", "postrouting"):
        offered.append(f"oifname {random.choice(inward)}")
    if version == 4:
        offered += [
            f"ip daddr {random.choice((SERVER, OTHER_SERVER, CONTAINER, '203.0.113.0/24', '198.51.100.2'))}",
            f"ip saddr {random.choice((SERVER, CONTAINER, '172.17.0.0/16', '192.0.2.2'))}",
        ]
    else:
        offered += [
            f"ip6 daddr {random.choice((SERVER6, OTHER_SERVER6, CONTAINER6, 'fd00:203::/64'))}",
            f"ip6 saddr {random.choice((SERVER6, CONTAINER6, 'fd00:17::/64'))}",
        ]
    if family != "bridge":
        offered += [
            f"ct state {random.choice(('new', 'established', 'established,related', 'invalid', 'untracked'))}",
            f"ct direction {random.choice(('original', 'reply'))}",
            f"ct status {random.choice(('snat', 'dnat', 'seen-reply'))}",
        ]
        if hook in ("prerouting", "input", "forward"):
            offered.append(f"fib saddr . iif oif {random.choice(('exists', 'missing'))}")
        if hook == "prerouting":
            offered.append(f"fib daddr type {random.choice(('local', 'unicast'))}")
    return random.choice(offered)


def _nat(here: Lab, random: Random) -> None:
    version = random.choice((4, 6))
    family, container = ("ip", CONTAINER) if version == 4 else ("ip6", CONTAINER6)
    own, foreign = ("198.51.100.2", "198.51.100.77") if version == 4 else ("fd00:51::2", "fd00:51::77")
    server, other = (SERVER, OTHER_SERVER) if version == 4 else (SERVER6, OTHER_SERVER6)
    post = f"insert rule {family} nat post {family} saddr {container} oifname {random.choice((UPLINK, SECOND))} counter"
    lines = random.choice(
        (
            (f"delete table {family} nat",),
            (f"{post} accept",),
            (f"{post} snat to {own}",),
            (f"{post} snat to {foreign}",),
            (f"{post} return",),
            (
                f"add chain {family} nat pre {{ type nat hook prerouting priority -100; }}",
                f"add rule {family} nat pre {family} daddr {server} counter dnat to {other}",
            ),
            (
                f"add table {family} early",
                f"add chain {family} early c {{ type filter hook prerouting priority -300; }}",
                f"add rule {family} early c iifname {random.choice((BRIDGE, UPLINK))} meta l4proto udp counter notrack",
            ),
        )
    )
    here.rules("host", "\n".join(lines) + "\n")


def _routes(here: Lab, random: Random) -> None:
    for _ in range(random.randint(1, 3)):
        version = random.choice((4, 4, 6))
        routers = {
            UPLINK: ROUTER if version == 4 else ROUTER6,
            SECOND: SECOND_ROUTER if version == 4 else SECOND_ROUTER6,
        }
        servers = (
            (SERVER, OTHER_SERVER, "203.0.113.0/24")
            if version == 4
            else (SERVER6, OTHER_SERVER6, "fd00:203::/64")
        )
        link = random.choice((UPLINK, SECOND, SECOND))
        way = f"via {routers[link]} dev {link}"
        source = random.choice(("172.17.0.0/16", CONTAINER) if version == 4 else ("fd00:17::/64", CONTAINER6))
        who = random.choice(
            (f"from {source}", f"iif {BRIDGE}", "fwmark 1", "fwmark 2", f"to {servers[0]}", "ipproto udp")
        )
        action = random.choice(
            ("lookup 100", "lookup 100", "lookup main suppress_prefixlength 0", "blackhole", "prohibit")
        )
        lines = random.choice(
            (
                (f"route replace {servers[2]} {way}",),
                (f"route replace {random.choice(servers)} {way}",),
                (
                    f"route replace {random.choice(('blackhole', 'unreachable', 'prohibit'))} {random.choice(servers)}",
                ),
                (
                    f"route replace default {way} table 100",
                    f"rule add {who} {action} priority {random.randint(90, 99)}",
                ),
                (
                    f"route replace default {way} table 100",
                    f"rule add {who} {action} priority {random.randint(90, 99)}",
                ),
                (f"route replace throw {servers[0]} table 100", f"rule add {who} lookup 100 priority 80"),
                ("route delete default",),
                (f"route replace default {way}",),
            )
        )
        here.run("host", *(f"ip -{version} {line} || true" for line in lines))


def _switches(here: Lab, random: Random) -> None:
    for _ in range(random.randint(1, 3)):
        link = random.choice(_LINKS)
        key, values = random.choice(
            (
                (f"ipv4/conf/{link}/forwarding", (0, 1)),
                ("ipv4/ip_forward", (0, 1)),
                (f"ipv4/conf/{link}/rp_filter", (0, 1, 2)),
                ("ipv4/conf/all/rp_filter", (0, 1, 2)),
                (f"ipv4/conf/{link}/src_valid_mark", (0, 1)),
                ("ipv4/conf/all/src_valid_mark", (0, 1)),
                (f"ipv4/conf/{link}/accept_local", (0, 1)),
                (f"ipv6/conf/{link}/forwarding", (0, 1)),
                ("ipv6/conf/all/forwarding", (0, 1)),
                ("bridge/bridge-nf-call-iptables", (0, 1)),
                ("bridge/bridge-nf-call-ip6tables", (0, 1)),
            )
        )
        here.sysctl(key, random.choice(values))


def _container(here: Lab, random: Random) -> None:
    chain = "table inet own {{\n chain c {{\n  type filter hook {} priority 0;\n  {} meta l4proto udp counter drop\n }}\n}}\n"
    change = random.choice(
        (
            lambda: here.run("box", "ip route delete default"),
            lambda: here.run("box", f"ip route add blackhole {SERVER}"),
            lambda: here.run("box", f"ip rule add to {SERVER} prohibit"),
            lambda: here.run("box", f"ip -6 route add unreachable {OTHER_SERVER6}"),
            lambda: here.rules("box", chain.format("output", f"ip daddr {SERVER}")),
            lambda: here.rules("box", chain.format("input", "udp sport 4433")),
        )
    )
    change()


def _links(here: Lab, random: Random) -> None:
    line = random.choice(
        (
            f"ip link set {BRIDGE} down",
            f"ip link set {PORT} nomaster",
            f"ip link set {PORT} down",
            f"ip link set {SECOND} down",
        )
    )
    here.run("host", line)


_KINDS: dict[str, tuple[float, Callable[[Lab, Random], None]]] = {
    "rules": (0.6, _rules),
    "NAT": (0.25, _nat),
    "routes": (0.5, _routes),
    "sysctls": (0.4, _switches),
    "container": (0.15, _container),
    "links": (0.05, _links),
}
"""How often each is changed."""
