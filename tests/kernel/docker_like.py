"""Rule sets as engines of the several generations write them for two bridge networks, then damaged at random."""

from random import Random

from tests.kernel import random_iptables

_NETWORKS = {
    4: {"br0": ("10.1.0.0/24", "10.1.0.2/32"), "br1": ("10.2.0.0/24", "10.2.0.2/32")},
    6: {"br0": ("fd00:1::/64", "fd00:1::2/128"), "br1": ("fd00:2::/64", "fd00:2::2/128")},
}
_LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}


def _target(version: int, address: str, port: int) -> str:
    host = address.partition("/")[0]
    return f"{host}:{port}" if version == 4 else f"[{host}]:{port}"


def _nat(version: int, proxy: bool, skip: bool) -> tuple[list[str], list[str]]:
    networks = _NETWORKS[version]
    lines = ["-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
    loopback = f"! -d {_LOOPBACK[version]} " if proxy else ""
    lines.append(f"-A OUTPUT {loopback}-m addrtype --dst-type LOCAL -j DOCKER")
    for bridge, (subnet, _) in networks.items():
        if not proxy:
            lines.append(f"-A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE")
        lines.append(f"-A POSTROUTING -s {subnet} ! -o {bridge} -j MASQUERADE")
        if skip and proxy:
            lines.append(f"-A DOCKER -i {bridge} -j RETURN")
    address = networks["br0"][1]
    source = "! -i br0 " if proxy else ""
    lines.append(
        f"-A DOCKER {source}-p tcp -m tcp --dport 8080 -j DNAT --to-destination {_target(version, address, 80)}"
    )
    if not proxy:
        lines.append(f"-A POSTROUTING -s {address} -d {address} -p tcp -m tcp --dport 80 -j MASQUERADE")
    return ["DOCKER"], lines


def _first_generation(version: int) -> tuple[list[str], list[str]]:
    lines = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1"]
    for bridge in ("br1", "br0"):
        lines += [
            f"-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A FORWARD -o {bridge} -j DOCKER",
            f"-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT",
            f"-A FORWARD -i {bridge} -o {bridge} -j ACCEPT",
            f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2",
            f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP",
        ]
    address = _NETWORKS[version]["br0"][1]
    lines += [
        f"-A DOCKER -d {address} ! -i br0 -o br0 -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
        "-A DOCKER-ISOLATION-STAGE-2 -j RETURN",
        "-A DOCKER-USER -j RETURN",
    ]
    return ["DOCKER", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2", "DOCKER-USER"], lines


def _later_generation(version: int, isolation: bool, internal: bool) -> tuple[list[str], list[str]]:
    subnet, address = _NETWORKS[version]["br0"]
    barrier = "DOCKER-ISOLATION-STAGE-1" if isolation else "DOCKER-INTERNAL"
    lines = [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-FORWARD",
        f"-A DOCKER -d {address} ! -i br0 -o br0 -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A DOCKER-FORWARD -j DOCKER-CT",
        f"-A DOCKER-FORWARD -j {barrier}",
        "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
    ]
    for bridge in ("br0", "br1"):
        if internal and bridge == "br0":
            lines += [
                f"-A {barrier} ! -s {subnet} -o br0 -j DROP",
                f"-A {barrier} ! -d {subnet} -i br0 -j DROP",
                "-A DOCKER-FORWARD -i br0 -o br0 -j ACCEPT",
            ]
            continue
        lines += [
            f"-A DOCKER ! -i {bridge} -o {bridge} -j DROP",
            f"-A DOCKER-BRIDGE -o {bridge} -j DOCKER",
            f"-A DOCKER-CT -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A DOCKER-FORWARD -i {bridge} -j ACCEPT",
        ]
        if isolation:
            lines += [
                f"-A {barrier} -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2",
                f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP",
            ]
    chains = ["DOCKER", "DOCKER-FORWARD", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-USER", barrier]
    return chains + (["DOCKER-ISOLATION-STAGE-2"] if isolation else []), lines


def _table(name: str, hooks: tuple[str, ...], drops: bool, chains: list[str], lines: list[str]) -> list[str]:
    policies = [f":{hook} {'DROP' if drops and hook == 'FORWARD' else 'ACCEPT'} [0:0]" for hook in hooks]
    return [f"*{name}", *policies, *(f":{chain} - [0:0]" for chain in chains), *lines, "COMMIT"]


def _damage(random: Random, version: int, table: str, hooks: tuple[str, ...], lines: list[str]) -> list[str]:
    """Deletes, moves and adds rules: none, one, or some."""
    lines = list(lines)
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        roll = random.random()
        if roll < 0.5 and lines:
            del lines[random.randrange(len(lines))]
        elif roll < 0.65 and len(lines) > 1:
            line = lines.pop(random.randrange(len(lines)))
            lines.insert(random.randrange(len(lines) + 1), line)
        else:
            chain = random.choice((*hooks, "DOCKER-USER" if table == "filter" else "DOCKER"))
            lines.insert(
                random.randrange(len(lines) + 1), random_iptables.random_rule(random, version, table, chain)
            )
    return lines


def docker_rules(random: Random, version: int) -> str:
    """A rule set of one generation for iptables-restore."""
    generation = random.choice(("first", "third", "fourth", "fourth"))
    proxy = random.random() < 0.7
    hooks = {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
    if generation == "first":
        chains, lines = _first_generation(version)
    else:
        chains, lines = _later_generation(version, generation == "third", random.random() < 0.15)
    if "DOCKER-USER" not in chains:
        chains.append("DOCKER-USER")
    text = _table(
        "filter",
        hooks["filter"],
        random.random() < 0.7,
        chains,
        _damage(random, version, "filter", hooks["filter"], lines),
    )
    nat_chains, nat_lines = _nat(version, proxy, skip=generation != "fourth")
    text += _table(
        "nat", hooks["nat"], False, nat_chains, _damage(random, version, "nat", hooks["nat"], nat_lines)
    )
    if generation == "fourth":
        address = _NETWORKS[version]["br0"][1]
        text += _table(
            "raw", ("PREROUTING", "OUTPUT"), False, [], [f"-A PREROUTING -d {address} ! -i br0 -j DROP"]
        )
    return "\n".join(text) + "\n"


def docker_tables(random: Random, version: int) -> str:
    """The native tables of engine 29 and later."""
    family = "ip" if version == 4 else "ip6"
    networks = _NETWORKS[version]
    subnet, address = networks["br0"][0], networks["br0"][1].partition("/")[0]
    bridges = tuple(networks)
    lines = [f"table {family} docker-bridges {{"]
    for kind in ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out"):
        chosen = [bridge for bridge in bridges if random.random() < 0.93]
        elements = ", ".join(f'"{bridge}" : jump {kind}__{bridge}' for bridge in chosen)
        lines += [
            f"map {kind}-jumps {{",
            "type ifname : verdict",
            f"elements = {{ {elements} }}" if chosen else "",
            "}",
        ]
    policy = "drop" if random.random() < 0.05 else "accept"
    chains: dict[str, list[str]] = {
        "filter-FORWARD": [
            f"type filter hook forward priority filter; policy {policy};",
            "oifname vmap @filter-forward-in-jumps",
            "iifname vmap @filter-forward-out-jumps",
        ],
        "nat-OUTPUT": [
            "type nat hook output priority -100; policy accept;",
            f"{family} daddr != {_LOOPBACK[version]} fib daddr type local counter jump nat-prerouting-and-output",
        ],
        "nat-POSTROUTING": [
            "type nat hook postrouting priority srcnat; policy accept;",
            "iifname vmap @nat-postrouting-out-jumps",
            "oifname vmap @nat-postrouting-in-jumps",
        ],
        "nat-PREROUTING": [
            "type nat hook prerouting priority dstnat; policy accept;",
            "fib daddr type local counter jump nat-prerouting-and-output",
        ],
        "nat-prerouting-and-output": [
            f'iifname != "br0" tcp dport 8080 counter dnat to {_target(version, address, 80)} comment "DNAT"'
        ],
        "raw-PREROUTING": [
            "type filter hook prerouting priority raw; policy accept;",
            f'{family} daddr {address} iifname != "br0" counter drop comment "DROP DIRECT ACCESS"',
        ],
    }
    for bridge in bridges:
        chains[f"filter-forward-in__{bridge}"] = [
            "ct state established,related counter accept",
            f'iifname "{bridge}" counter accept comment "ICC"',
            *([f"{family} daddr {address} tcp dport 80 counter accept"] if bridge == "br0" else []),
            'counter drop comment "UNPUBLISHED PORT DROP"',
        ]
        chains[f"filter-forward-out__{bridge}"] = [
            "ct state established,related counter accept",
            'counter accept comment "OUTGOING"',
        ]
        chains[f"nat-postrouting-in__{bridge}"] = []
        chains[f"nat-postrouting-out__{bridge}"] = [
            f'oifname != "{bridge}" {family} saddr {networks[bridge][0]} counter masquerade comment "MASQUERADE"'
        ]
    if random.random() < 0.15:
        chains["filter-forward-out__br0"][1] = f'oifname != "br0" counter drop comment "INTERNAL {subnet}"'
    for name, rules in chains.items():
        kept = [rule for rule in rules if rule.startswith("type ") or random.random() < 0.95]
        lines += [f"chain {name} {{", *kept, "}"]
    return "\n".join([*lines, "}"]) + "\n"
