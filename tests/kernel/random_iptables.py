"""Random iptables rule sets that say something about the packets of these namespaces."""

from random import Random

Words = list[str]

_HOOKED = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
_IN = ("PREROUTING", "INPUT", "FORWARD")
_OUT = ("FORWARD", "OUTPUT", "POSTROUTING")

_ADDRESSES = {
    4: ("10.1.0.2/32", "10.1.0.0/24", "10.0.0.0/8", "10.2.0.0/24", "203.0.113.10/32", "203.0.113.0/28",
        "198.51.100.2/32", "198.51.100.0/24", "10.1.0.1/32", "10.0.0.2/255.0.0.255", "192.168.7.0/24", "0.0.0.0/1"),
    6: ("fd00:1::2/128", "fd00:1::/64", "fd00::/16", "fd00:2::/64", "fd00:ffff::10/128", "fd00:9::2/128",
        "fd00:1::1/128", "fd00::2/ffff::ffff", "2001:db8::/32", "fc00::/7"),
}  # fmt: skip
_RANGES = {
    4: ("10.1.0.1-10.1.0.9", "203.0.113.1-203.0.113.200", "198.51.100.2-198.51.100.2", "1.0.0.0-2.0.0.0"),
    6: ("fd00:1::1-fd00:1::9", "fd00:ffff::-fd00:ffff::ff", "fd00:9::2-fd00:9::2"),
}
_PORTS = ("443", "80", "53", "22", "8080", "4789", "20:100", "1024:65535", "440:", ":443", "33000:60000")


def not_or(random: Random, words: Words, chance: float = 0.25) -> Words:
    """`words`, sometimes negated."""
    return ["!", *words] if random.random() < chance else words


def link_words(random: Random, chain: str) -> Words:
    """`-i` and `-o` where the chain has them; user chains may be reached from anywhere."""
    words: Words = []
    user = chain not in _HOOKED["mangle"]
    if (chain in _IN or user) and random.random() < 0.5:
        words += not_or(random, ["-i", random.choice(("br0", "br1", "eth0", "br+", "e+", "port0", "lo"))])
    if (chain in _OUT or user) and random.random() < 0.5:
        words += not_or(random, ["-o", random.choice(("br0", "br1", "eth0", "br+", "e+", "port0"))])
    return words


def protocol_words(random: Random, version: int) -> Words:
    """A protocol with what its match can ask."""
    protocol = random.choice(("tcp", "tcp", "udp", "icmp"))
    if protocol == "icmp":
        name, option = ("icmp", "--icmp-type") if version == 4 else ("ipv6-icmp", "--icmpv6-type")
        if random.random() < 0.3:
            return not_or(random, ["-p", name])
        kind = random.choice(("8", "0", "3", "8/0", "any") if version == 4 else ("128", "129", "1", "128/0"))
        module = "icmp" if version == 4 else "icmp6"
        negation = ["!"] if random.random() < 0.2 and kind != "any" else []
        return ["-p", name, "-m", module, *negation, option, kind]
    words = ["-p", protocol]
    roll = random.random()
    if roll < 0.2:
        return not_or(random, words, 0.4)
    if roll < 0.65:
        return [
            *words,
            "-m",
            protocol,
            *not_or(random, [random.choice(("--dport", "--dport", "--sport")), random.choice(_PORTS)]),
        ]
    if roll < 0.85:
        ports = ",".join(random.sample(("443", "80", "53", "22", "8080", "1000:40000"), random.randint(1, 4)))
        option = random.choice(("--dports", "--sports", "--ports"))
        return [*words, "-m", "multiport", *not_or(random, [option, ports])]
    if protocol == "tcp":
        flags = random.choice(
            ("--syn", "--tcp-flags SYN,ACK SYN", "--tcp-flags FIN,SYN,RST,ACK SYN", "--tcp-flags ALL SYN,ACK")
        )
        return [*words, "-m", "tcp", *not_or(random, flags.split())]
    return words


def _conntrack(random: Random, version: int) -> Words:
    states = ",".join(
        random.sample(("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"), random.randint(1, 3))
    )
    roll = random.random()
    if roll < 0.5:
        return ["-m", "conntrack", *not_or(random, ["--ctstate", states])]
    if roll < 0.6:
        return ["-m", "state", *not_or(random, ["--state", states.replace("UNTRACKED", "NEW")])]
    option = random.choice(
        (
            ["--ctdir", random.choice(("ORIGINAL", "REPLY"))],
            not_or(random, ["--ctstate", random.choice(("DNAT", "SNAT", "DNAT,NEW"))]),
            not_or(random, ["--ctorigdst", random.choice(_ADDRESSES[version])]),
            not_or(random, ["--ctorigsrc", random.choice(_ADDRESSES[version])]),
            not_or(random, ["--ctreplsrc", random.choice(_ADDRESSES[version])]),
            not_or(random, ["--ctrepldst", random.choice(_ADDRESSES[version])]),
            not_or(random, ["--ctorigdstport", random.choice(("443", "8080", "50:100"))]),
            not_or(random, ["--ctproto", random.choice(("6", "17"))]),
            not_or(random, ["--ctstatus", random.choice(("SEEN_REPLY", "CONFIRMED", "EXPECTED", "NONE"))]),
            ["--ctstate", "NEW", *not_or(random, ["--ctorigdst", random.choice(_ADDRESSES[version])])],
        )
    )
    return ["-m", "conntrack", *option]


def _kind(random: Random, version: int) -> Words:
    option = random.choice(("--dst-type", "--src-type"))
    types = random.choice(("LOCAL", "UNICAST", "LOCAL,UNICAST", "MULTICAST"))
    if version == 4:
        types = random.choice((types, "BROADCAST", "LOCAL,BROADCAST"))
    return ["-m", "addrtype", *not_or(random, [option, types])]


def _set(random: Random, version: int) -> Words:
    if version == 6:
        name, flags = "ddk-net6", random.choice(("src", "dst"))
    else:
        name, flags = random.choice(
            (
                ("ddk-net", random.choice(("src", "dst"))),
                ("ddk-ip", random.choice(("src", "dst"))),
                ("ddk-port", random.choice(("dst,dst", "src,src"))),
                ("ddk-link", "src,src"),
                *_RARER_SETS,
            )
        )
    words = ["-m", "set", *not_or(random, ["--match-set", name, flags])]
    return [*words, "--return-nomatch"] if random.random() < 0.1 else words


_RARER_SETS = (
    ("ddk-masked", "dst"),
    ("ddk-bits", "src"),
    ("ddk-block", "src"),
    ("ddk-except", "dst,dst"),
    ("ddk-except", "dst"),
    ("ddk-links", "src,src"),
    ("ddk-links", "dst,dst"),
    ("ddk-physical", "src,src"),
    ("ddk-number", "dst"),
    ("ddk-list", "src,src"),
)
_NEVER_MET = (
    ["-m", "connlimit", "--connlimit-above", "100"],
    ["-m", "hashlimit", "--hashlimit-above", "100/second", "--hashlimit-name", "random"],
    ["-m", "string", "--string", "GET", "--algo", "bm"],
)
"""Limits that are not exceeded and content that is not there, in rules that count: none has met a packet."""
_DOUBTFUL = (
    ["-m", "statistic", "--mode", "random", "--probability", "0.5"],
    ["-m", "recent", "--name", "random", "--rcheck"],
    ["-m", "hashlimit", "--hashlimit-upto", "1/min", "--hashlimit-mode", "srcip", "--hashlimit-name", "few"],
    ["-m", "connlimit", "--connlimit-upto", "5"],
    ["-m", "set", "--match-set", "ddk-seen", "dst"],
)


def _rarer(random: Random, version: int, chain: str) -> Words:
    roll = random.random()
    if roll < 0.02:
        return random.choice(_DOUBTFUL[: None if version == 4 else 4])
    if roll < 0.3:
        return ["-m", "recent", "--name", "random", *not_or(random, ["--set"])]
    if roll < 0.5 and version == 4:
        return ["-m", "set", *not_or(random, ["--match-set", "ddk-seen", random.choice(("src", "dst"))])]
    if roll < 0.6 and chain in ("OUTPUT", "POSTROUTING"):
        return ["-m", "owner", *not_or(random, ["--uid-owner", random.choice(("0", "1000"))])]
    return random.choice(_NEVER_MET)


def _mark(random: Random, _: int) -> Words:
    module = random.choice(("mark", "mark", "connmark"))
    return ["-m", module, *not_or(random, ["--mark", random.choice(("0x1", "0x10/0xf0", "0x0", "0x3/0x3"))])]


def _simple(random: Random, version: int) -> Words:
    time_to_live = [
        "-m",
        "ttl",
        random.choice(("--ttl-lt", "--ttl-eq", "--ttl-gt")),
        random.choice(("63", "64", "10")),
    ]
    if version == 6:
        time_to_live = [
            "-m",
            "hl",
            random.choice(("--hl-lt", "--hl-eq", "--hl-gt")),
            random.choice(("63", "64")),
        ]
    return random.choice(
        (
            ["-m", "comment", "--comment", random.choice(('"it\'s \\"quoted\\""', "plain", "-x"))],
            ["-m", "length", *not_or(random, ["--length", random.choice(("40", "32:60", "100:", "60"))])],
            time_to_live,
            ["-m", "pkttype", *not_or(random, ["--pkt-type", random.choice(("unicast", "broadcast", "multicast"))])],
            ["-m", "physdev", *not_or(random, ["--physdev-in", "port0"])],
            ["-m", "physdev", *not_or(random, ["--physdev-is-bridged"])],
            ["-m", "iprange", *not_or(random, ["--src-range", random.choice(_RANGES[version])])],
            ["-m", "iprange", *not_or(random, ["--dst-range", random.choice(_RANGES[version])])],
        )
    )  # fmt: skip


def _matches(random: Random, version: int, chain: str, table: str) -> Words:
    words: Words = []
    if random.random() < 0.35:
        words += not_or(random, ["-s", random.choice(_ADDRESSES[version])])
    if random.random() < 0.3:
        words += not_or(random, ["-d", random.choice(_ADDRESSES[version])])
    words += link_words(random, chain)
    if random.random() < 0.35:
        words += protocol_words(random, version)
    for chance, make in ((0.25, _conntrack), (0.12, _kind), (0.1, _set), (0.12, _mark), (0.2, _simple)):
        if random.random() < chance:
            words += make(random, version)
    if table in ("raw", "mangle") and chain == "PREROUTING" and random.random() < 0.1:
        words += ["-m", "rpfilter", *random.choice(([], ["--loose"], ["--invert"], ["--validmark"]))]
    if chain in ("PREROUTING", "INPUT", "FORWARD") and random.random() < 0.04:
        words += ["-m", "mac", *not_or(random, ["--mac-source", "02:00:00:00:01:02"])]
    if chain in ("PREROUTING", "INPUT", "FORWARD") and random.random() < 0.04:
        words += ["-m", "devgroup", *not_or(random, ["--src-group", random.choice(("0x0", "0x1"))])]
    if random.random() < 0.05:
        words += _rarer(random, version, chain)
    if chain == "FORWARD" and random.random() < 0.04:
        words += ["-m", "policy", "--dir", "in", "--pol", "none"]
    return words


def _target(random: Random, version: int, table: str, chain: str, users: tuple[str, ...]) -> Words:
    jumps: list[Words] = [[random.choice(("-j", "-j", "-g")), user] for user in users]
    options: list[tuple[int, Words]] = [(2, ["-j", "RETURN"]), (1, []), *((3, jump) for jump in jumps)]
    if table == "nat":
        options += [(4, words) for words in _nat_targets(random, version, chain)]
        options.append((2, ["-j", "ACCEPT"]))
    else:
        options += [(5, ["-j", "ACCEPT"]), (3, ["-j", "DROP"])]
    if table == "filter":
        options.append((2, ["-j", "REJECT"]))
        options.append((1, ["-j", "LOG", "--log-prefix", '"-x y "']))
    if table == "mangle":
        if version == 4 and random.random() < 0.03:
            options.append(
                (5, ["-j", "SET", "--add-set", "ddk-seen", random.choice(("src", "dst")), "--exist"])
            )
        options += [
            (
                5,
                [
                    "-j",
                    "MARK",
                    *random.choice(
                        ("--set-xmark 0x1/0xffffffff", "--set-xmark 0x10/0xf0", "--or-mark 0x3")
                    ).split(),
                ],
            ),
            (
                2,
                [
                    "-j",
                    "CONNMARK",
                    *random.choice(("--save-mark", "--restore-mark", "--set-xmark 0x1/0x3")).split(),
                ],
            ),
        ]
    if table == "raw":
        options.append((2, ["-j", "CT", "--notrack"]))
    weights = [weight for weight, _ in options]
    return random.choices([words for _, words in options], weights)[0]


def _nat_targets(random: Random, version: int, chain: str) -> list[Words]:
    targets: list[Words] = []
    if chain == "POSTROUTING":
        targets.append(["-j", "MASQUERADE"])
        source = random.choice(
            ("198.51.100.7", "203.0.113.99") if version == 4 else ("fd00:9::7", "fd00:8::9")
        )
        targets.append(["-j", "SNAT", "--to-source", source])
        if random.random() < 0.15:
            for target in targets:
                target.append(random.choice(("--random", "--random-fully")))
    if chain in ("PREROUTING", "OUTPUT"):
        if version == 4:
            destination = random.choice(("10.1.0.2", "203.0.113.10", "10.2.0.2"))
        else:
            destination = random.choice(("fd00:1::2", "fd00:ffff::10", "fd00:2::2"))
        targets.append(["-j", "DNAT", "--to-destination", destination])
    return targets


def _with_port(words: Words) -> bool:
    return (
        "-p" in words
        and words[words.index("-p") + 1] in ("tcp", "udp")
        and words[words.index("-p") - 1] != "!"
    )


def random_rule(random: Random, version: int, table: str, chain: str, users: tuple[str, ...] = ()) -> str:
    """One rule of `chain` as iptables-restore takes it."""
    words = _matches(random, version, chain, table)
    target = _target(random, version, table, chain, users)
    if target[:2] == ["-j", "DNAT"] and _with_port(words) and random.random() < 0.5:
        target[3] = f"{target[3]}:80" if version == 4 else f"[{target[3]}]:80"
    return " ".join(["-A", chain, *words, *target])


def random_rules(random: Random, version: int) -> str:
    """A whole rule set."""
    lines: list[str] = []
    for table, chains in _HOOKED.items():
        if random.random() < (0.1 if table == "filter" else 0.45):
            continue
        lines.append(f"*{table}")
        for chain in chains:
            drops = table in ("filter", "mangle") and random.random() < (0.3 if table == "filter" else 0.03)
            lines.append(f":{chain} {'DROP' if drops else 'ACCEPT'} [0:0]")
        users = tuple(f"{table}-user{number}" for number in range(random.randint(0, 3)))
        lines += [f":{user} - [0:0]" for user in users]
        for chain in chains:
            for _ in range(random.randint(0, 6)):
                lines.append(random_rule(random, version, table, chain, users))
        for position, user in enumerate(users):
            for _ in range(random.randint(1, 4)):
                lines.append(random_rule(random, version, table, user, users[position + 1 :]))
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"
