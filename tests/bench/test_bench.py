"""The benchmarks run, and tell their ratios at the end of the run: a busy machine is no defect, so none is judged."""

import os
from collections.abc import Callable

import pytest

from tests.bench import scale, whole
from tests.bench.rules import Size
from tests.bench.summary import MEASURED

Record = Callable[[str, object], None]


@pytest.mark.lab
def test_a_whole_run_on_a_small_host(record_property: Record) -> None:
    small = whole.HOSTS[0]
    costs = whole.measure(small, 1)
    assert all(one["wall"] > 0 and one["megabytes"] > 0 for name in "ABC" for one in costs[name])
    record_property(
        MEASURED, f"a whole run on a {small.name} host takes {whole.ratio(costs, 'C', 'A'):.2f} times as long"
    )
    record_property(
        MEASURED, f"  as collecting by hand (goal {small.ratio}), {costs['C'][0]['megabytes']:.0f} MB"
    )


@pytest.mark.kernel
@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
@pytest.mark.parametrize("backend", ["iptables-nft", "nftables"])
def test_parsing_and_walking_many_rules(backend: str, record_property: Record) -> None:
    result = scale.measure(backend, Size(50), 1)
    assert result.rules > 5000
    assert result.walks > 0
    record_property(
        MEASURED,
        f"{result.rules} rules by {backend}: parsing and walks take {(result.parse + result.walks) / result.printing:.2f},"
        f" walks alone {result.walks / result.printing:.2f} times as long as printing (goals 2.0, 1.0)",
    )
