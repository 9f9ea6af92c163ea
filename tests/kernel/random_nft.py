"""Random nftables rule sets of every family."""

from random import Random

from dockerdiag.snapshot.model import NetdevHook

_HOOKS = {
    "ip": ("prerouting", "input", "forward", "output", "postrouting"),
    "ip6": ("prerouting", "input", "forward", "output", "postrouting"),
    "inet": ("prerouting", "input", "forward", "output", "postrouting"),
    "bridge": ("prerouting", "input", "forward", "output", "postrouting"),
    "netdev": ("ingress", "egress"),
}
_PRIORITIES = ("-300", "-250", "-150", "-10", "0", "0", "10", "50", "150", "filter", "mangle")
_BRIDGE_PRIORITIES = ("-300", "-200", "0", "100")

_V4 = (
    "10.1.0.2",
    "10.1.0.0/24",
    "10.0.0.0/8",
    "203.0.113.10",
    "203.0.113.0-203.0.113.99",
    "198.51.100.2",
    "192.0.2.1",
)
_V6 = ("fd00:1::2", "fd00:1::/64", "fd00::/16", "fd00:ffff::10", "fd00:9::2", "2001:db8::1")
_DECLARATIONS = """
  set nets4 { type ipv4_addr; flags interval; elements = { 10.1.0.0/24, 203.0.113.8-203.0.113.11, 192.0.2.1 } }
  set hosts4 { type ipv4_addr; elements = { 10.1.0.2, 198.51.100.2 } }
  set nets6 { type ipv6_addr; flags interval; elements = { fd00:1::/64, fd00:ffff::10 } }
  set services { type inet_proto . inet_service; elements = { tcp . 443, udp . 53, tcp . 80 } }
  set pairs { type ipv4_addr . inet_service; flags interval; elements = { 203.0.113.0/24 . 400-500, 10.1.0.2 . 80 } }
  map marks { type ipv4_addr : mark; elements = { 10.1.0.2 : 0x1, 203.0.113.10 : 0x10 } }
  set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
  set full { type ipv4_addr; flags dynamic; size 1; elements = { 10.1.0.2 } }
  counter counted { }
"""
_REWRITING = (
    "ip dscp set cs1",
    "ip ecn set 1",
    "ip6 dscp set cs1",
    "ip6 flowlabel set 1",
    "tcp option maxseg size set 1400",
    "meta priority set 1:1",
    'counter name ip daddr map { 203.0.113.10 : "counted", 10.1.0.2 : "counted" }',
    "meta priority set ip saddr map { 10.1.0.2 : 1:1 }",
    "add @full { ip saddr }",
    "delete @full { ip daddr }",
)
"""Statements that go on, in every family, where the packet has what they ask for."""
_DOUBTFUL = (
    "numgen random mod 2 0",
    "jhash ip saddr mod 2 0",
    "ip dscp cs1",
    "limit rate 1/minute",
    "ct count 100",
    "update @seen { ip daddr } ip daddr @seen",
    "add @full { ip daddr }",
    "th dport 53",
)
_TAKEN = ("queue num 7 bypass", "tproxy to :9", "synproxy mss 1460 wscale 7", "flow add @fast")
"""What another may take the packet by; the flowtable takes none of a flow's first two. Not every kernel has them all."""


def _pick(random: Random, *options: str) -> str:
    return random.choice(options)


def _links(random: Random, hook: str, layer: str) -> str:
    names = (
        ("port0", "port1", "port2", "port*") if layer == "bridge" else ("br0", "br1", "eth0", "br*", "port0")
    )
    keys = []
    if hook in ("prerouting", "input", "forward", "ingress") or (layer == "inet" and random.random() < 0.3):
        keys.append("iifname")
    if hook in ("forward", "output", "postrouting", "egress"):
        keys.append("oifname")
    if not keys:
        keys = ["iifname", "oifname"]
    key = random.choice(keys)
    roll = random.random()
    if roll < 0.6:
        return f'{key} {_pick(random, "", "!= ")}"{random.choice(names)}"'
    chosen = ", ".join(f'"{name}"' for name in random.sample(("br0", "eth0", "port0", "lo"), 2))
    return f"{key} {_pick(random, '', '!= ')}{{ {chosen} }}"


def _addresses(random: Random, family: str) -> str:
    version = {"ip": 4, "ip6": 6}.get(family) or random.choice((4, 6))
    header, pool = ("ip", _V4) if version == 4 else ("ip6", _V6)
    field = _pick(random, "saddr", "daddr")
    roll = random.random()
    negation = _pick(random, "", "", "!= ")
    if roll < 0.5:
        return f"{header} {field} {negation}{random.choice(pool)}"
    if roll < 0.7:
        return (
            f"{header} {field} {negation}@{random.choice(('nets4', 'hosts4')) if version == 4 else 'nets6'}"
        )
    if roll < 0.85:
        pair = ("10.1.0.2", "203.0.113.0/24") if version == 4 else ("fd00:1::2", "fd00:ffff::/64")
        return f"{header} {field} {negation}{{ {', '.join(pair)} }}"
    if version == 4:
        return _pick(
            random,
            f"ip {field} . tcp dport @pairs",
            f"ip {field} & 255.255.0.0 == 10.1.0.0",
            "ip saddr . ip daddr { 10.1.0.2 . 203.0.113.10, 10.1.0.2 . 10.2.0.0/24 }",
        )
    return f"ip6 {field} and ffff:ffff:: == fd00:1::"


def _transport(random: Random) -> str:
    return _pick(
        random,
        "tcp dport 443", "tcp dport { 80, 443 }", "tcp dport != 443", "udp dport 53", "th dport 53", "tcp sport 443",
        "tcp dport 400-500", "meta l4proto tcp", "meta l4proto { tcp, udp }", "meta l4proto != udp",
        "meta l4proto . th dport @services", "tcp flags syn", "tcp flags & (fin|syn|rst|ack) == syn",
        "tcp flags != syn", "tcp flags & (syn|ack) == (syn|ack)", "icmp type echo-request", "icmpv6 type echo-request",
        "icmp type { echo-reply, echo-request }", "icmp type != echo-reply", "udp sport > 1024", "tcp dport < 100",
        "tcp dport >= 443", "meta length < 50", "ip ttl 64", "ip ttl < 64", "ip6 hoplimit 64", "ip protocol tcp",
        "ip6 nexthdr udp", "meta nfproto ipv4", "meta nfproto ipv6", "meta protocol ip", "ip frag-off & 0x1fff != 0",
        "ip version 4", "udp length > 1", "meta protocol != ip6", "th sport 2048", "th sport != 53",
    )  # fmt: skip


def _connection(random: Random) -> str:
    return _pick(
        random,
        "ct state established,related", "ct state new", "ct state { new, untracked }", "ct state invalid",
        "ct state != new", "ct state != established,related", "tcp flags ! syn",
        "ct state != established", "ct direction original",
        "ct direction reply", "ct status dnat", "ct status snat", "ct status seen-reply", "ct mark 0x1",
        "ct mark != 0x1",
        "ct mark & 0xf == 0x0", "ct original ip saddr 10.1.0.0/24", "ct original ip daddr 203.0.113.10",
        "ct reply ip saddr 203.0.113.10", "ct state untracked", "tcp flags != syn,ack",
        "ct status & (snat | dnat) != 0",
        "ct state new,established,untracked",
    )  # fmt: skip


def _meta(random: Random, hook: str) -> str:
    options = [
        "meta mark 0x1",
        "meta mark != 0x1",
        "meta mark & 0xf0 == 0x10",
        "meta mark { 0x0, 0x10 }",
        "iifgroup 0",
    ]
    if hook == "prerouting":
        options += [
            "fib daddr type local",
            "fib daddr type != local",
            "fib saddr . iif oif missing",
            "fib saddr . iif oif exists",
            "fib daddr type { local, broadcast }",
            "fib daddr . iif type local",
            "fib saddr . mark . iif oif missing",
            "fib saddr . iif oif eq 0",
            "fib daddr . iif oif != 0",
            "oif eq 0",
        ]
    if hook in ("input", "forward", "prerouting"):
        options += [
            "meta pkttype host",
            "meta pkttype != broadcast",
            "meta skuid != 0",
            "ether saddr 02:00:00:00:01:02",
        ]
    if hook in ("forward", "postrouting"):
        options += [
            # nft does not print it in front of other IP matches; what the host sends has no Ethernet header yet.
            "ether type ip" if hook == "forward" else "meta protocol ip",
            "fib saddr type local",
            'fib daddr oifname "eth0"' if hook == "forward" else "meta mark 0x3",
        ]
    return random.choice(options)


def _match(random: Random, family: str, hook: str) -> str:
    layer = {"bridge": "bridge", "netdev": "netdev"}.get(family, "inet")
    roll = random.random()
    if roll < 0.25:
        return _links(random, hook, layer)
    if roll < 0.5:
        return _addresses(random, family)
    if roll < 0.75 or layer != "inet":
        text = _transport(random)
        return text if _fits(text, family) else "meta l4proto udp"
    if roll < 0.9:
        text = _connection(random)
        return text if _fits(text, family) else "ct state new"
    return _meta(random, hook)


def _fits(text: str, family: str) -> bool:
    if family == "ip":
        return not any(word in text for word in ("ip6", "icmpv6", "ipv6", "meta protocol", "nfproto"))
    if family == "ip6":
        return not any(word in text for word in ("ip ", "icmp ", "ipv4", "meta protocol", "nfproto"))
    return True


def _verdict(random: Random, family: str, hook: str, users: tuple[str, ...]) -> str:
    roll = random.random()
    inet = family in ("ip", "ip6", "inet")
    if users and roll < 0.2:
        return f"{_pick(random, 'jump', 'jump', 'goto')} {random.choice(users)}"
    if roll < 0.5:
        return "counter accept"
    if roll < 0.68:
        return "counter drop"
    if roll < 0.74 and inet and hook in ("input", "forward"):
        return _pick(
            random,
            "reject",
            "reject",
            "reject with icmpx admin-prohibited",
            "meta l4proto tcp reject with tcp reset",
        )
    if roll < 0.82:
        value = "0x1", "0x10", "meta mark | 0x3", "meta mark & 0xfffffff0", "ct mark"
        return f"meta mark set {random.choice(value if inet else value[:4])}"
    if roll < 0.86 and inet:
        return _pick(random, "ct mark set 0x1", "ct mark set meta mark")
    if roll < 0.89:
        return "return"
    if roll < 0.92 and family == "ip":
        return "meta mark set ip saddr map @marks counter"
    return _pick(
        random, "counter", "continue", 'log prefix "x"' if inet else "counter", 'counter comment "a remark"'
    )


def _map_rule(random: Random, family: str, hook: str, users: tuple[str, ...]) -> str:
    options = ["accept", "drop", "continue", "return", *(f"jump {user}" for user in users)]
    one, two, three = (random.choice(options) for _ in range(3))
    link = "iifname" if hook in ("prerouting", "input", "forward", "ingress") else "oifname"
    rules = [
        f"tcp dport vmap {{ 443 : {one}, 80-100 : {two} }}",
        f"meta l4proto vmap {{ tcp : {one}, udp : {two}, icmp : {three} }}",
        f'{link} vmap {{ "br0" : {one}, "eth0" : {two} }}',
    ]
    if family in ("ip", "ip6", "inet"):
        rules.append(f"ct state vmap {{ new : {one}, established : {two}, related : accept }}")
    if hook == "forward":
        rules.append(f'iifname . oifname vmap {{ "br0" . "eth0" : {one}, "eth0" . "br0" : {two} }}')
    return random.choice(rules)


def random_rule(random: Random, family: str, hook: str, users: tuple[str, ...]) -> str:
    """One rule of a filter chain."""
    if random.random() < 0.12:
        return _map_rule(random, family, hook, users)
    matches = [_match(random, family, hook) for _ in range(random.choices((0, 1, 2, 3), (1, 5, 4, 2))[0])]
    if random.random() < 0.08:
        matches.insert(0, f"meta mark set {_pick(random, '0x1', '0x10')}")
    if random.random() < 0.08:
        matches.append(_rarer(random, family, hook))
    return " ".join([*matches, _verdict(random, family, hook, users)])


def _rarer(random: Random, family: str, hook: str) -> str:
    """What few rule sets have; doubts are few, so that few cases are unknown."""
    roll = random.random()
    if roll < 0.03:
        return random.choice(_DOUBTFUL[:-2] if family in ("ip6", "inet") else _DOUBTFUL)
    if roll < 0.06 and hook in ("prerouting", "forward"):
        return random.choice(_TAKEN)
    if roll < 0.16 and hook != "nowhere":
        # What the request puts in, the answer asks for.
        field = random.choice(("saddr", "daddr"))
        return f'iifname "{random.choice(("br0", "br1", "wg0"))}" update @seen {{ ip {field} }}'
    if roll < 0.2:
        return f"ip {random.choice(('saddr', 'daddr'))} @seen"
    text = random.choice(_REWRITING)
    return text if _fits(text, family) else "meta priority set 1:1"


def _nat_rule(random: Random, family: str, hook: str) -> str:
    version = {"ip": "ip", "ip6": "ip6"}.get(family) or _pick(random, "ip", "ip6")
    matches = [_match(random, "ip" if version == "ip" else "ip6", hook) for _ in range(random.randint(0, 2))]
    if family == "inet":
        matches.insert(0, f"meta nfproto {'ipv4' if version == 'ip' else 'ipv6'}")
    word = f" {version}" if family == "inet" else ""
    four = version == "ip"
    if hook == "postrouting":
        source = (
            _pick(random, "198.51.100.7", "203.0.113.99") if four else _pick(random, "fd00:9::7", "fd00:8::9")
        )
        action = _pick(random, "masquerade", "masquerade", f"snat{word} to {source}", "accept", "return")
        if action.startswith(("snat", "masq")) and random.random() < 0.15:
            action += f" {_pick(random, 'random', 'fully-random', 'persistent')}"
        if four and action.startswith("snat") and random.random() < 0.3:
            action = f"snat{word} to ip saddr map {{ 10.1.0.2 : 198.51.100.9, 10.2.0.2 : 198.51.100.8 }}"
    else:
        target = (
            _pick(random, "10.1.0.2", "203.0.113.10", "10.2.0.2")
            if four
            else _pick(random, "fd00:1::2", "fd00:ffff::10")
        )
        action = _pick(random, f"dnat{word} to {target}", f"dnat{word} to {target}", "accept", "redirect")
        if four and random.random() < 0.2:
            action = f"dnat{word} to ip daddr map {{ 198.51.100.2 : 10.1.0.2, 203.0.113.10 : 10.2.0.2 }}"
        elif random.random() < 0.25:
            matches.append("tcp dport 8080")
            bracketed = target if four else f"[{target}]"
            action = f"dnat{word} to {bracketed}:80"
        elif action == "redirect":
            matches.append("tcp dport 8080")
            action = "redirect to :80"
    return " ".join([*matches, "counter", action])


def _chain(random: Random, family: str, hook: str, number: int, users: tuple[str, ...]) -> list[str]:
    kind = (
        "nat"
        if family in ("ip", "ip6", "inet")
        and hook in ("prerouting", "output", "postrouting")
        and random.random() < 0.4
        else "filter"
    )
    priority = random.choice(_BRIDGE_PRIORITIES if family in ("bridge", "netdev") else _PRIORITIES)
    if kind == "nat":
        priority = {"prerouting": "dstnat", "output": "-100", "postrouting": "srcnat"}[hook]
        if random.random() < 0.3:
            priority += f" {_pick(random, '+', '-')} {random.randint(1, 60)}"
    devices = ""
    if family == "netdev":
        devices = _pick(
            random, ' device "port0"', ' device "eth0"', ' devices = { "port0", "eth0" }', ' device "br0"'
        )
    policy = "drop" if random.random() < (0.12 if kind == "filter" else 0.02) else "accept"
    lines = [
        f"chain {hook}{number} {{",
        f"type {kind} hook {hook}{devices} priority {priority}; policy {policy};",
    ]
    for _ in range(random.randint(0, 5)):
        rule = _nat_rule(random, family, hook) if kind == "nat" else random_rule(random, family, hook, users)
        lines.append(rule)
    early = kind == "filter" and hook in ("prerouting", "output") and priority in ("-300", "-250")
    if early and family in ("ip", "ip6", "inet") and random.random() < 0.3:
        lines.append(f"{_addresses(random, family)} notrack")
    return [*lines, "}"]


def random_tables(random: Random, families: tuple[str, ...]) -> tuple[str, tuple[NetdevHook, ...]]:
    """Some tables of these families, and the devices of their netdev chains."""
    lines: list[str] = []
    hooks: list[NetdevHook] = []
    for number, family in enumerate(families):
        table = f"random{number}"
        dormant = " flags dormant;" if random.random() < 0.008 else ""
        lines.append(f"table {family} {table} {{{dormant}")
        lines += _DECLARATIONS.splitlines()
        if family in ("ip", "ip6", "inet") and random.random() < 0.03:
            lines.append("flowtable fast { hook ingress priority 0; devices = { eth0 }; }")
        users = tuple(f"user{position}" for position in range(random.randint(0, 2)))
        chosen = [random.choice(_HOOKS[family]) for _ in range(random.randint(1, 3))]
        # What user chains ask must make sense wherever they are jumped to from.
        for position, user in reversed(list(enumerate(users))):
            lines.append(f"chain {user} {{")
            for _ in range(random.randint(1, 4)):
                rule = random_rule(random, family, "nowhere", users[position + 1 :])
                lines.append(rule)
            lines.append("}")
        for position, hook in enumerate(chosen):
            chain = _chain(random, family, hook, position, users)
            lines += chain
            if family == "netdev":
                devices = tuple(name for name in ("port0", "eth0", "br0") if f'"{name}"' in chain[1])
                hooks.append(NetdevHook("netdev", table, f"{hook}{position}", devices))
        lines.append("}")
    return "\n".join(lines) + "\n", tuple(hooks)
