"""Whole walks through random hosts end where the kernel ends them: rules, NAT, routes, policy rules and sysctls at once.

`DOCKERDIAG_KERNEL_WALKS` is how many cases are made, `DOCKERDIAG_KERNEL_SEED` the first seed.
"""

import os
from itertools import count

import pytest

from tests.kernel.summary import Recorder
from tests.kernel.tally import Tally
from tests.kernel.walk_comparison import compare_walks

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

CASES = int(os.environ.get("DOCKERDIAG_KERNEL_WALKS", "240"))
FIRST_SEED = int(os.environ.get("DOCKERDIAG_KERNEL_SEED", "0"))
CHUNKS = 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_walks_agree_with_the_kernel(record_agreement: Recorder, chunk: int) -> None:
    tally = Tally()
    compare_walks(f"ddq{os.getpid()}", count(FIRST_SEED + chunk, CHUNKS), tally, CASES // CHUNKS)
    record_agreement(tally)
    assert tally.disagreements == []
    assert tally.results["unknown"] <= 0.01 * tally.cases
