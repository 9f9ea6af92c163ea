"""What netfilter does on paper is what the kernel does: verdict, dropping rule, and rewritten addresses.

A case is one packet through one rule set, predicted and then sent. `DOCKERDIAG_KERNEL_CASES` is how many are made from
seeds, `DOCKERDIAG_KERNEL_SEED` the first seed. `DOCKERDIAG_KERNEL_ROOT` is the root folder of another distribution, whose
nft and iptables-nft then load and list the rules. Every family's share is printed at the end of the run.
"""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest

from dockerdiag.packet import netfilter
from dockerdiag.packet.rules import Chain, Table
from tests.kernel.comparison import compare
from tests.kernel.kernel import Kernel
from tests.kernel.summary import Recorder
from tests.kernel.tally import Result, Tally
from tests.kernel.trials import GOLDEN, golden_trials, trials

pytestmark = pytest.mark.kernel

CASES = int(os.environ.get("DOCKERDIAG_KERNEL_CASES", "3000"))
FIRST_SEED = int(os.environ.get("DOCKERDIAG_KERNEL_SEED", "0"))
CHUNKS = 3
"""Parts of the run, which workers share; each is large enough to tell a family's share of unknown cases."""

DOCUMENTED = {
    "how much of a limit is used up": r"^(limit|ct count): |match (limit|recent|hashlimit|connlimit): ",
    "what an earlier rule put into a set or took from it": r"^a rule before this one changes the (ip)?set ",
    "whether a full set has an element by then": r"^the set \w+ is full",
    "chance, a counter, a hash": r"chance or a counter decides|a hash decides",
    "a program": r"^queue: |NFQUEUE",
    "bytes of the packet that a walk does not make up": (
        r"^the packet's bytes that th |^the field (raw payload|\w+ of the IP header)|match string: "
    ),
    "the process, for what a host or container sends, and for answers to it at input": (
        r"^match (owner|cgroup): |^the sending process|^whose socket has it"
    ),
    "a proxy that takes the packet": r"^(tproxy|synproxy): ",
    "one of several addresses": r"which element of the rule's map applies",
    "a mark, an address or a port that one of these rules gave": (
        r"sets the packet's mark to a value|^the connection's mark|after masquerading is not known|^the port may be any"
    ),
    "the order of equal priorities": r"have the same priority|has the priority of connection tracking itself",
    "whether bridged frames are tracked": r"^whether bridged frames are tracked",
    "what a NAT chain drops where no rule has connections tracked": r"^no rule has connections of IPv. tracked",
    "whether a table is dormant": r"^nft does not tell whether table \w+ is dormant",
    "what could not be read": r"^the nftables listing cannot be read",
}
"""Rows of what docs/packet.md says is unknown by design, and the reasons that they stand for."""
_PACKET_PAGE = Path(__file__).resolve().parents[2] / "docs" / "packet.md"


def unlisted(doubts: Iterable[str]) -> Iterator[str]:
    """The reasons that the page does not list."""
    page = _PACKET_PAGE.read_text(encoding="utf-8")
    listed = [pattern for row, pattern in DOCUMENTED.items() if f"| {row}" in page]
    for doubt in doubts:
        if not any(re.search(pattern, doubt) for pattern in listed):
            yield doubt


def test_the_page_has_every_row() -> None:
    page = _PACKET_PAGE.read_text(encoding="utf-8")
    assert [row for row in DOCUMENTED if f"| {row}" not in page] == []


def test_a_family_that_is_too_often_unknown_is_told() -> None:
    tally = Tally()
    for number in range(1000):
        result: Result = "unknown" if number % 100 == 0 else "agreed"
        tally.count(result, [("table", "inet"), *([("table", "small")] if number < 400 else [])])
    assert tally.too_often_unknown() == []
    tally.count("unknown", [("table", "inet"), ("table", "small")])
    assert tally.too_often_unknown() == [("table", "inet"), ("table", "small")]
    assert list(unlisted(["the weather is not known", "queue: a program in user space decides"])) == [
        "the weather is not known"
    ]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_predictions_agree_with_the_kernel(kernel: Kernel, record_agreement: Recorder, chunk: int) -> None:
    tally = Tally()
    enough = CASES // CHUNKS + (chunk < CASES % CHUNKS)
    compare(kernel, trials(count(FIRST_SEED + chunk, CHUNKS)), tally, enough)
    record_agreement(tally)
    assert tally.disagreements == []
    assert len(tally.refused) <= 0.02 * tally.rule_sets
    assert tally.too_often_unknown() == []
    assert list(unlisted(tally.doubts)) == []


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the engine's own rule sets are not beside this checkout")
def test_predictions_agree_on_the_rule_sets_of_an_engine(kernel: Kernel, record_agreement: Recorder) -> None:
    tally = Tally()
    compare(kernel, golden_trials(), tally)
    record_agreement(tally)
    assert tally.disagreements == []
    assert tally.results["unknown"] == 0
    assert tally.refused == []


def test_comparison_notices_a_wrong_judge(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge to whom one chain's accept is final over all chains of the hook is found out."""
    pass_chain = netfilter._pass_chain

    def pass_chain_until_accepted(passing: netfilter._Passing, table: Table, chain: Chain) -> None:
        if not any(passage.kind == "accept" for passage in passing.passages):
            pass_chain(passing, table, chain)

    monkeypatch.setattr(netfilter, "_pass_chain", pass_chain_until_accepted)
    tally = Tally()
    for trial in trials(count()):
        compare(kernel, [trial], tally)
        if tally.disagreements:
            break
        if tally.cases >= 200:
            pytest.fail("the wrong judge was not found out")
    assert tally.cases <= 200
