"""What netfilter does on paper is what the kernel does: verdict, dropping rule, and rewritten addresses.

`DOCKERDIAG_KERNEL_CASES` is the number of rule sets (each with four flows and their replies), `DOCKERDIAG_KERNEL_SEED`
the first seed. `DOCKERDIAG_KERNEL_ROOT` is the root folder of another distribution, whose nft and iptables-nft then load
and list the rules. Every family's share is printed (`pytest -s`).
"""

import os

import pytest

from dockerdiag.packet import netfilter
from dockerdiag.packet.rules import Chain, Table
from tests.kernel.cases import GOLDEN, cases, golden_cases
from tests.kernel.comparison import Tally, compare
from tests.kernel.kernel import Kernel

pytestmark = pytest.mark.kernel

CASES = int(os.environ.get("DOCKERDIAG_KERNEL_CASES", "300"))
FIRST_SEED = int(os.environ.get("DOCKERDIAG_KERNEL_SEED", "0"))


def _show(tally: Tally) -> None:
    print()
    for line in tally.lines():
        print(line)
    for doubt, number in tally.doubts.most_common(10):
        print(f"unknown {number} times: {doubt}")


def test_predictions_agree_with_the_kernel(kernel: Kernel) -> None:
    tally = Tally()
    compare(kernel, cases(CASES, FIRST_SEED), tally)
    _show(tally)
    assert tally.disagreements == []
    assert tally.refused.total() <= 0.02 * CASES
    assert tally.agreed.total() > 2 * CASES


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the engine's own rule sets are not beside this checkout")
def test_predictions_agree_on_the_rule_sets_of_an_engine(kernel: Kernel) -> None:
    every = list(golden_cases())
    chosen = every if CASES >= 1000 else every[:: max(1, len(every) * 4 // CASES)]
    tally = Tally()
    compare(kernel, chosen, tally)
    _show(tally)
    assert tally.disagreements == []
    assert tally.unknown.total() == 0
    assert tally.refused.total() == 0


def test_comparison_notices_a_wrong_judge(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge to whom one chain's accept is final over all chains of the hook is found out."""
    pass_chain = netfilter._pass_chain

    def pass_chain_until_accepted(passing: netfilter._Passing, table: Table, chain: Chain) -> None:
        if not any(passage.kind == "accept" for passage in passing.passages):
            pass_chain(passing, table, chain)

    monkeypatch.setattr(netfilter, "_pass_chain", pass_chain_until_accepted)
    tally = Tally()
    for case in cases(200):
        compare(kernel, [case], tally)
        if tally.disagreements:
            return
    pytest.fail("the wrong judge was not found out")
