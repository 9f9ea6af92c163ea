"""An engine with the nftables backend on a host where an earlier one left the iptables policy DROP."""

from functools import partial

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Engine
from tests.checks.hosts import cause_of, host, judged
from tests.checks.native import with_nftables

DROPS = partial(with_nftables, policy="DROP")


def test_a_policy_that_an_earlier_engine_left() -> None:
    report = judged(DROPS)
    assert cause_of(report) == ("forward-policy", "leftover-forward-drop", "network:bridge")
    assert report.cause is not None
    assert report.cause.status is Status.FAIL
    assert report.cause.remedies[0].now[0] == "iptables-legacy -A FORWARD -i docker0 -o eth0 -j ACCEPT"
    assert report.cause.remedies[1].now == ("iptables-legacy -P FORWARD ACCEPT",)


def test_a_firewalls_policy_is_not_said_to_be_left_by_an_engine() -> None:
    report = judged(partial(DROPS, more="[9:540] -A FORWARD -j ufw-user-forward\n"))
    assert cause_of(report) == ("forward-policy", "policy-drops", "network:bridge")
    assert report.cause is not None
    assert "left by" not in report.cause.summary
    assert [remedy.now[0] for remedy in report.cause.remedies] == [
        "iptables-legacy -A FORWARD -i docker0 -o eth0 -j ACCEPT"
    ]


def test_without_it_the_native_rules_are_enough() -> None:
    assert isinstance(host(with_nftables).engine, Engine)
    report = judged(with_nftables)
    # Nothing turns forwarding on at the next boot with this backend: that alone is told.
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report)[:2] == ("ip-forwarding", "ip-forward-not-persisted")
