"""Rule sets of any size, as an engine and a policy writer beside it would make them.

Every container has addresses, published ports and policy rules of its own, so no two of them are alike.
"""

from dataclasses import dataclass

PORTS = 10
"""Published by each container."""


@dataclass(frozen=True, slots=True)
class Size:
    """A host with two containers on each network."""

    networks: int

    @property
    def containers(self) -> int:
        """How many there are."""
        return 2 * self.networks


def bridge(network: int) -> str:
    """The name of a network's bridge."""
    return f"br-{network:09x}"


def subnet(network: int) -> str:
    """A network's subnet."""
    return f"10.{network // 256}.{network % 256}.0/24"


def gateway(network: int) -> str:
    """The bridge's own address."""
    return f"10.{network // 256}.{network % 256}.1"


def address(container: int) -> str:
    """A container's address, the network being that of its number halved."""
    network = container // 2
    return f"10.{network // 256}.{network % 256}.{2 + container % 2}"


def _published(container: int) -> list[tuple[int, int]]:
    """Host port and container port of each published port."""
    first = 1024 + container * PORTS
    return [(first + number, 8000 + number) for number in range(PORTS)]


_POLICY = 14
"""Rules of each container's policy, in each direction."""


def iptables_rules(size: Size) -> str:
    """For iptables-restore: three chains and about fifty rules a container."""
    networks, containers = range(size.networks), range(size.containers)
    raw = ["*raw", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    raw += [f"-A PREROUTING -d {address(c)}/32 ! -i {bridge(c // 2)} -j DROP" for c in containers]
    nat = ["*nat", *(f":{hook} ACCEPT [0:0]" for hook in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"))]
    nat += [":DOCKER - [0:0]", *(f":PORTS-{c} - [0:0]" for c in containers)]
    nat += [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    ]
    nat += [f"-A POSTROUTING -s {subnet(n)} ! -o {bridge(n)} -j MASQUERADE" for n in networks]
    filters = ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    chains = ("DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-INTERNAL", "DOCKER-USER")
    filters += [f":{chain} - [0:0]" for chain in chains]
    filters += [f":POLICY-{way}-{c} - [0:0]" for way in ("IN", "OUT") for c in containers]
    filters += ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD"]
    filters += [
        f"-A DOCKER-FORWARD -j {chain}" for chain in ("DOCKER-CT", "DOCKER-INTERNAL", "DOCKER-BRIDGE")
    ]
    for n in networks:
        filters += [
            f"-A DOCKER-CT -o {bridge(n)} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A DOCKER-BRIDGE -o {bridge(n)} -j DOCKER",
            f"-A DOCKER-FORWARD -i {bridge(n)} -j ACCEPT",
        ]
    for c in containers:
        own, link = address(c), bridge(c // 2)
        host = f"-p tcp -m tcp --dport {1024 + c * PORTS}:{1023 + (c + 1) * PORTS}"
        nat.append(f"-A DOCKER ! -i {link} {host} -j PORTS-{c}")
        filters += [
            f"-A DOCKER-USER -s {own}/32 -j POLICY-OUT-{c}",
            f"-A DOCKER-USER -d {own}/32 -j POLICY-IN-{c}",
        ]
        for outer, inner in _published(c):
            nat.append(f"-A PORTS-{c} -p tcp -m tcp --dport {outer} -j DNAT --to-destination {own}:{inner}")
        filters += [
            f"-A POLICY-OUT-{c} -d 192.0.2.{n}/32 -p tcp -m tcp --dport {1000 + n} -j DROP"
            for n in range(_POLICY)
        ]
        filters += [
            f"-A POLICY-IN-{c} -s 198.51.100.{n}/32 -p tcp -m tcp --dport {8000 + n} -j DROP"
            for n in range(_POLICY)
        ]
        filters += [
            f"-A DOCKER -d {own}/32 ! -i {link} -o {link} -p tcp -m tcp --dport {inner} -j ACCEPT"
            for _, inner in _published(c)[:6]
        ]
    filters += [f"-A DOCKER ! -i {bridge(n)} -o {bridge(n)} -j DROP" for n in networks]
    return "\n".join((*raw, "COMMIT", *nat, "COMMIT", *filters, "COMMIT")) + "\n"


def _jumps(name: str, kind: str, elements: list[str]) -> list[str]:
    return [f"map {name} {{ type {kind} : verdict; elements = {{ {', '.join(elements)} }} }}"]


def nft_rules(size: Size) -> str:
    """For nft: four chains a network, one a container, and about fifty rules a container."""
    networks, containers = range(size.networks), range(size.containers)
    lines = ["table ip docker-bridges {"]
    for kind in ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out"):
        elements = [f'"{bridge(n)}" : jump {kind}__{bridge(n)}' for n in networks]
        lines += _jumps(f"{kind}-jumps", "ifname", elements)
    ports = []
    for n in networks:
        name, own = bridge(n), (2 * n, 2 * n + 1)
        lines += [f"chain filter-forward-in__{name} {{", "ct state established,related counter accept"]
        lines.append(f'iifname "{name}" counter accept comment "ICC"')
        for c in own:
            for outer, inner in _published(c):
                lines.append(f"ip daddr {address(c)} tcp dport {inner} counter accept")
                ports.append(f'iifname != "{name}" tcp dport {outer} counter dnat to {address(c)}:{inner}')
        lines += ['counter drop comment "UNPUBLISHED PORT DROP"', "}"]
        lines += [f"chain filter-forward-out__{name} {{", "ct state established,related counter accept"]
        lines += ['counter accept comment "OUTGOING"', "}"]
        lines += [f"chain nat-postrouting-in__{name} {{ }}", f"chain nat-postrouting-out__{name} {{"]
        lines += [f'oifname != "{name}" ip saddr {subnet(n)} counter masquerade comment "MASQUERADE"', "}"]
    lines += ["chain nat-prerouting-and-output {", *ports, "}"]
    lines += [
        "chain filter-FORWARD {", "type filter hook forward priority filter; policy accept;",
        "oifname vmap @filter-forward-in-jumps", "iifname vmap @filter-forward-out-jumps", "}",
        "chain nat-OUTPUT {", "type nat hook output priority -100; policy accept;",
        "ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output", "}",
        "chain nat-POSTROUTING {", "type nat hook postrouting priority srcnat; policy accept;",
        "iifname vmap @nat-postrouting-out-jumps", "oifname vmap @nat-postrouting-in-jumps", "}",
        "chain nat-PREROUTING {", "type nat hook prerouting priority dstnat; policy accept;",
        "fib daddr type local counter jump nat-prerouting-and-output", "}",
        "chain raw-PREROUTING {", "type filter hook prerouting priority raw; policy accept;",
    ]  # fmt: skip
    for c in containers:
        lines.append(
            f'ip daddr {address(c)} iifname != "{bridge(c // 2)}" counter drop comment "DROP DIRECT ACCESS"'
        )
    lines += ["}", "}", "table inet guard {"]
    for c in containers:
        drops = [f"ip daddr 192.0.2.{n} tcp dport {1000 + n} counter drop" for n in range(26)]
        lines += [f"chain policy__{c} {{", *drops, "}"]
    lines += _jumps("policies", "ipv4_addr", [f"{address(c)} : jump policy__{c}" for c in containers])
    lines += [
        "chain forward {", "type filter hook forward priority filter - 1; policy accept;", "ip saddr vmap @policies",
        "}", "}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
