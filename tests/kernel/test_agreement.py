"""What netfilter does on paper is what the kernel does: verdict, dropping rule, and rewritten addresses.

A case is one packet through one rule set, predicted and then sent. `DOCKERDIAG_KERNEL_CASES` is how many are made from
seeds, `DOCKERDIAG_KERNEL_SEED` the first seed. `DOCKERDIAG_KERNEL_ROOT` is the root folder of another distribution, whose
nft and iptables-nft then load and list the rules. Every family's share is printed at the end of the run.
"""

import os
from itertools import count

import pytest

from dockerdiag.packet import netfilter
from dockerdiag.packet.rules import Chain, Table
from tests.kernel.comparison import compare
from tests.kernel.kernel import Kernel
from tests.kernel.summary import Recorder
from tests.kernel.tally import Tally
from tests.kernel.trials import GOLDEN, golden_trials, trials

pytestmark = pytest.mark.kernel

CASES = int(os.environ.get("DOCKERDIAG_KERNEL_CASES", "3000"))
FIRST_SEED = int(os.environ.get("DOCKERDIAG_KERNEL_SEED", "0"))
CHUNKS = 6
"""Parts of the run, which workers share."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_predictions_agree_with_the_kernel(kernel: Kernel, record_agreement: Recorder, chunk: int) -> None:
    tally = Tally()
    enough = CASES // CHUNKS + (chunk < CASES % CHUNKS)
    compare(kernel, trials(count(FIRST_SEED + chunk, CHUNKS)), tally, enough)
    record_agreement(tally)
    assert tally.disagreements == []
    assert len(tally.refused) <= 0.02 * tally.rule_sets
    assert tally.results["unknown"] <= 0.02 * tally.cases


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
