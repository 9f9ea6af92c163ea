"""What no single match shows: policies, sets that are full, ports by chance. Each agrees with the kernel, or is in doubt."""

from dataclasses import dataclass

import pytest

from tests.kernel.comparison import Trial, compare
from tests.kernel.flows import flow
from tests.kernel.kernel import Kernel, RuleTexts
from tests.kernel.tally import Result, Tally
from tests.kernel.test_every_match import FLOWS

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Case:
    """Rules, the packet, and what comes of the comparison."""

    name: str
    texts: RuleTexts
    way: str = "tcp"
    result: Result = "agreed"


def chain(
    *rules: str, kind: str = "filter", hook: str = "forward", policy: str = "accept", **words: str
) -> str:
    """An nft table with one base chain; words: `family`, `priority`, `beside` (what else is in the table)."""
    lines = "\n    ".join(rules)
    return f"""
table {words.get("family", "ip")} asked {{
  {words.get("beside", "")}
  chain c {{
    type {kind} hook {hook} priority {words.get("priority", "0")}; policy {policy};
    {lines}
  }}
}}
"""


TRACKED = """
table inet tracked {
  chain c {
    type filter hook forward priority 10; policy accept;
    ct state invalid counter
  }
}
"""
SEEN = "set seen {{ type ipv4_addr; flags dynamic{flags}; size {size}; elements = {{ {elements} }} }}"


def nat(*rules: str, hook: str = "postrouting", policy: str = "accept", **words: str) -> RuleTexts:
    """A NAT chain, and a rule beside it that has flows tracked."""
    priority = {"postrouting": "100", "prerouting": "-100"}[hook]
    text = chain(*rules, kind="nat", hook=hook, policy=policy, priority=priority, **words)
    return RuleTexts(nft=TRACKED + text)


def full(rule: str, size: int, elements: str, flags: str = "") -> RuleTexts:
    """A rule about a set, before a policy that drops."""
    beside = SEEN.format(flags=flags, size=size, elements=elements)
    return RuleTexts(nft=chain(rule, policy="drop", beside=beside))


def saved(variant: str, table: str, *lines: str) -> RuleTexts:
    """Rules of iptables."""
    return RuleTexts(nft=TRACKED, **{f"iptables_{variant}": "\n".join((f"*{table}", *lines, "COMMIT\n"))})


BOTH = ("nft", "legacy")
CASES = (
    Case("a NAT chain's policy drops", nat("ip daddr 192.0.2.1 accept", policy="drop")),
    Case("return is left to a NAT chain's policy", nat("counter return", policy="drop", hook="prerouting")),
    Case(
        "return from a NAT chain's callee",
        nat("jump d", policy="drop", beside="chain d {\n return\n }"),
    ),
    Case("return to a NAT chain's accept", nat("return", "masquerade")),
    *(
        Case(
            f"iptables-{variant} return is left to a NAT chain's policy",
            saved(variant, "nat", ":PREROUTING DROP [0:0]", "-A PREROUTING -j RETURN"),
        )
        for variant in BOTH
    ),
    Case(
        "a set with room takes an element",
        full("ip daddr 203.0.113.10 add @seen { ip daddr } accept", 2, "192.0.2.1"),
    ),
    Case(
        "a full set has an element",
        full("ip daddr 203.0.113.10 add @seen { ip daddr } accept", 1, "203.0.113.10"),
    ),
    Case("a full set", full("add @seen { ip daddr } accept", 1, "192.0.2.1"), result="unknown"),
    Case("a full set, to update", full("update @seen { ip daddr } accept", 1, "192.0.2.1"), result="unknown"),
    Case(
        "a set that was filled by a rule before",
        full("add @seen { ip saddr }\nadd @seen { ip daddr } accept", 2, "192.0.2.1"),
        result="unknown",
    ),
    Case("deleting from a full set", full("delete @seen { ip daddr } accept", 1, "192.0.2.1", ",timeout")),
    Case("a random source port", nat("snat to 198.51.100.2 random")),
    Case("a fully random source port", nat("snat ip to 198.51.100.2 fully-random", family="inet")),
    Case("a random port of masquerading", nat("masquerade random")),
    Case("no random destination port", nat("dnat to 203.0.113.10 random", hook="prerouting")),
    *(
        Case(f"iptables-{variant} {options}", saved(variant, "nat", f"-A {chain_name} -p tcp -j {options}"))
        for variant in BOTH
        for chain_name, options in (
            ("POSTROUTING", "SNAT --to-source 198.51.100.2 --random"),
            ("POSTROUTING", "SNAT --to-source 198.51.100.2 --random-fully"),
            ("POSTROUTING", "SNAT --to-source 198.51.100.2:700-710 --random"),
            ("POSTROUTING", "MASQUERADE --random"),
            ("PREROUTING", "DNAT --to-destination 203.0.113.10 --random"),
        )
    ),
    *(
        Case(
            f"iptables-{variant} marks by a set",
            saved(
                variant,
                "mangle",
                "-A PREROUTING -j SET --map-set ddk-marked dst --map-mark",
                "-A PREROUTING -m mark --mark 0x7 -j DROP",
            ),
            result="unknown",
        )
        for variant in BOTH
    ),
    Case(
        "another packet type",
        RuleTexts(nft=chain("meta pkttype set broadcast", hook="prerouting", priority="-150")),
        result="unknown",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whole_tables(kernel: Kernel, case: Case) -> None:
    tally = Tally()
    compare(kernel, [Trial(case.name, "written", case.texts, (flow(*FLOWS[case.way]),))], tally)
    assert tally.refused == []
    assert tally.disagreements == []
    assert set(tally.results) == {case.result}
