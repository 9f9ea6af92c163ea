"""The index of a long chain leaves out no rule that may match, and most that cannot."""

from ipaddress import ip_address
from random import Random

import pytest

from dockerdiag.packet import rules
from dockerdiag.packet.indexing import ANY_KEY, Index, RuleKey, prefix
from tests.kernel.random_iptables import random_rules
from tests.packet.crossing import at, legacy, outgoing


class TestPrefix:
    @pytest.mark.parametrize(
        ("address", "length", "expected"),
        [
            ("10.1.2.3", None, (4, 32, 0x0A010203)),
            ("10.1.2.3", "", (4, 32, 0x0A010203)),
            ("10.1.0.0", "16", (4, 16, 0x0A01)),
            ("0.0.0.0", 0, (4, 0, 0)),
            ("fd00::", 8, (6, 8, 0xFD)),
            ("10.1.0.0", "255.255.0.255", None),
            ("10.1.0.0", 33, None),
            ("a set's name", None, None),
        ],
    )
    def test_prefix(self, address: str, length: str | int | None, expected: object) -> None:
        assert prefix(address, length) == expected


class TestIndex:
    KEYS: tuple[RuleKey, ...] = (
        ("br0", None, None, None),
        ANY_KEY,
        (None, None, prefix("10.1.0.0", 16), None),
        ("br1", None, prefix("10.1.0.2"), None),
        (None, "eth0", prefix("10.1.0.2"), prefix("203.0.113.0", 24)),
        (None, None, prefix("fd00::", 8), None),
        (None, "eth0", None, prefix("0.0.0.0", 0)),
    )

    def test_positions_come_in_order_without_those_that_ask_for_something_else(self) -> None:
        found = Index(self.KEYS).positions("br0", "eth0", ip_address("10.1.0.2"), ip_address("203.0.113.10"))
        assert list(found) == [0, 1, 2, 4, 6]

    def test_prefixes_of_the_other_ip_version_are_left_out(self) -> None:
        found = Index(self.KEYS).positions("br1", "eth0", ip_address("fd00::2"), ip_address("2001:db8::1"))
        assert list(found) == [1, 5]


@pytest.mark.parametrize("seed", range(60))
def test_a_chain_judges_alike_with_and_without_its_index(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = random_rules(Random(seed), 4)
    packet = outgoing(destination=Random(seed).choice(("203.0.113.10", "10.1.0.2", "192.168.7.9")))
    crossings = []
    for shortest in (0, 10_000):
        monkeypatch.setattr(rules, "_INDEX_FROM", shortest)
        crossings.append(
            [at(legacy(text), packet, hook) for hook in ("prerouting", "forward", "postrouting")]
        )
    assert crossings[0] == crossings[1]
