"""The trials by origin: one seed makes one trial, the same on every machine."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.kernel import docker_like, firewall_like, random_iptables, random_nft
from tests.kernel.comparison import Trial
from tests.kernel.flows import random_flows
from tests.kernel.kernel import RuleTexts

Make = Callable[[Random], RuleTexts]


def _random_iptables_nft(random: Random) -> RuleTexts:
    return RuleTexts(
        iptables_nft=random_iptables.random_rules(random, 4),
        ip6tables_nft=random_iptables.random_rules(random, 6),
    )


def _random_iptables_legacy(random: Random) -> RuleTexts:
    return RuleTexts(
        iptables_legacy=random_iptables.random_rules(random, 4),
        ip6tables_legacy=random_iptables.random_rules(random, 6),
    )


def _random_nft(random: Random) -> RuleTexts:
    kinds = ("ip", "ip6", "inet", "inet", "bridge", "netdev")
    text, hooks = random_nft.random_tables(
        random, tuple(random.choice(kinds) for _ in range(random.randint(1, 4)))
    )
    return RuleTexts(nft=text, netdev_hooks=hooks)


def _layers_below(random: Random) -> RuleTexts:
    families = tuple(random.choice(("bridge", "netdev")) for _ in range(random.randint(1, 3)))
    text, hooks = random_nft.random_tables(random, families)
    return RuleTexts(nft=text, netdev_hooks=hooks)


def _mix(random: Random) -> RuleTexts:
    nft = _random_nft(random) if random.random() < 0.7 else RuleTexts()
    pick = random.random
    return RuleTexts(
        nft=nft.nft,
        netdev_hooks=nft.netdev_hooks,
        iptables_nft=random_iptables.random_rules(random, 4) if pick() < 0.5 else "",
        ip6tables_nft=random_iptables.random_rules(random, 6) if pick() < 0.3 else "",
        iptables_legacy=random_iptables.random_rules(random, 4) if pick() < 0.4 else "",
        ip6tables_legacy=random_iptables.random_rules(random, 6) if pick() < 0.2 else "",
    )


def _docker_iptables_nft(random: Random) -> RuleTexts:
    return RuleTexts(
        iptables_nft=docker_like.docker_rules(random, 4), ip6tables_nft=docker_like.docker_rules(random, 6)
    )


def _docker_iptables_legacy(random: Random) -> RuleTexts:
    return RuleTexts(
        iptables_legacy=docker_like.docker_rules(random, 4),
        ip6tables_legacy=docker_like.docker_rules(random, 6),
    )


def _docker_nft(random: Random) -> RuleTexts:
    forward = random.choice(
        ("", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
    )
    if random.random() < 0.6:
        forward = ""
    text = docker_like.docker_tables(random, 4) + docker_like.docker_tables(random, 6)
    return RuleTexts(nft=text, iptables_nft=forward)


def _docker_beside_firewall(random: Random) -> RuleTexts:
    docker = _docker_iptables_nft(random) if random.random() < 0.5 else _docker_nft(random)
    tables = docker.nft
    if random.random() < 0.6:
        tables += firewall_like.firewalld_table(random)
    if random.random() < 0.5:
        tables += firewall_like.kill_switch_table(random)
    legacy, legacy6 = "", ""
    if random.random() < 0.4:
        legacy, legacy6 = firewall_like.ufw_rules(random, 4), firewall_like.ufw_rules(random, 6)
    return RuleTexts(
        nft=tables,
        iptables_nft=docker.iptables_nft,
        ip6tables_nft=docker.ip6tables_nft,
        iptables_legacy=legacy,
        ip6tables_legacy=legacy6,
    )


def _ufw(random: Random) -> RuleTexts:
    four, six = firewall_like.ufw_rules(random, 4), firewall_like.ufw_rules(random, 6)
    if random.random() < 0.3:
        return RuleTexts(iptables_legacy=four, ip6tables_legacy=six)
    return RuleTexts(iptables_nft=four, ip6tables_nft=six)


def _firewalld(random: Random) -> RuleTexts:
    return RuleTexts(nft=firewall_like.firewalld_table(random))


def _kill_switch(random: Random) -> RuleTexts:
    return RuleTexts(nft=firewall_like.kill_switch_table(random))


def _kube(random: Random) -> RuleTexts:
    if random.random() < 0.3:
        return RuleTexts(iptables_legacy=firewall_like.kube_rules(random))
    return RuleTexts(iptables_nft=firewall_like.kube_rules(random))


ORIGINS: dict[str, tuple[int, Make]] = {
    "docker, iptables-nft": (4, _docker_iptables_nft),
    "docker, iptables-legacy": (2, _docker_iptables_legacy),
    "docker, nftables": (3, _docker_nft),
    "docker beside firewalls": (3, _docker_beside_firewall),
    "ufw": (1, _ufw),
    "firewalld": (1, _firewalld),
    "kill switch": (1, _kill_switch),
    "kube-proxy": (1, _kube),
    "random iptables-nft": (3, _random_iptables_nft),
    "random iptables-legacy": (2, _random_iptables_legacy),
    "random nftables": (4, _random_nft),
    "random bridge and netdev": (2, _layers_below),
    "random mixes": (3, _mix),
}
"""How often each is made, and how."""


def make_trial(seed: int, flows: int = 4) -> Trial:
    """The trial of one seed."""
    random = Random(seed)
    weights = [weight for weight, _ in ORIGINS.values()]
    origin = random.choices(list(ORIGINS), weights)[0]
    texts = replace(ORIGINS[origin][1](random), bridge_netfilter=random.random() < 0.3)
    return Trial(f"seed {seed}", origin, texts, random_flows(random, flows))


def trials(seeds: Iterable[int]) -> Iterator[Trial]:
    """The trials of some seeds."""
    return (make_trial(seed) for seed in seeds)


GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden" / "engine-29.7.2"
_BRIDGER = GOLDEN / "daemon" / "libnetwork" / "drivers" / "bridge" / "internal"
_COMPLETE = {
    "raw": "PREROUTING OUTPUT",
    "filter": "INPUT FORWARD OUTPUT",
    "nat": "PREROUTING INPUT OUTPUT POSTROUTING",
}


def golden_trials() -> Iterator[Trial]:
    """The rule sets of an engine's own tests, moved to the addresses of these namespaces."""
    for path in sorted(_BRIDGER.glob("*/testdata/*/*.golden")):
        name = path.stem
        version = 6 if name.endswith(("ip6tables", "ip6")) else 4
        text = path.read_text(encoding="utf-8")
        for old, new in (("br-dummy", "br0"), ("192.168.0.", "10.1.0."), ("192.168.123.0", "198.51.100.9"),
                         ("fd49:efd7:54aa::", "fd00:1::"), ("fd34:d0d4:672f::123", "fd00:9::9")):  # fmt: skip
            text = text.replace(old, new)
        # In the goldens the container has the first IPv6 address; here the bridge has it.
        text = text.replace("fd00:1::1", "fd00:1::2")
        random = Random(name)
        flows = random_flows(random, 4, (version,))
        if name.endswith(("__ip", "__ip6")):
            text = text.replace("priority dstnat", "priority -100")
            yield Trial(name, "engine 29.7.2, nftables", RuleTexts(nft=text), flows)
            continue
        if random.random() < 0.4:
            texts = RuleTexts(iptables_legacy=text) if version == 4 else RuleTexts(ip6tables_legacy=text)
        else:
            texts = RuleTexts(iptables_nft=text) if version == 4 else RuleTexts(ip6tables_nft=text)
        yield Trial(name, "engine 29.7.2, iptables", texts, flows)
