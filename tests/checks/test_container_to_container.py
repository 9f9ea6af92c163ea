import pytest

from dockerdiag.report import Status, Verdict
from tests.checks.hosts import cause_of, judged, links, sysctls, told

POLICY, REJECT = "bridged-frames-meet-policy-trixie", "bridged-frames-meet-reject-trixie"
WITHOUT_ICC = "neighbours-without-icc-trixie"


@pytest.mark.parametrize("recorded", [POLICY, REJECT])
def test_rules_that_catch_bridged_frames_are_named(recorded: str) -> None:
    report = judged(recorded=recorded)
    assert cause_of(report) == ("container-to-container", "bridge-nf-drops-icc", "network:duo")
    assert report.cause is not None
    accept, switch = report.cause.remedies[0], report.cause.remedies[-1]
    assert "duo0" in accept.now[0]
    assert switch.now == ("sysctl -w net.bridge.bridge-nf-call-iptables=0",)
    assert switch.undo[0] == "sysctl -w net.bridge.bridge-nf-call-iptables=1"


@pytest.mark.parametrize("recorded", [POLICY, REJECT])
def test_frames_that_no_rule_sees_pass(recorded: str) -> None:
    report = judged(sysctls({"net/bridge/bridge-nf-call-iptables": "0"}), recorded=recorded)
    assert report.verdict is Verdict.OK
    assert "bridge-nf-drops-icc" not in told(report)


def test_without_icc_is_a_note() -> None:
    report = judged(recorded=WITHOUT_ICC)
    assert report.verdict is Verdict.OK
    assert told(report, Status.NOTE)["icc-disabled"].subject == "network:bridge"


def test_icc_that_cannot_be_kept_from_containers_is_a_note() -> None:
    report = judged(sysctls({"net/bridge/bridge-nf-call-iptables": "0"}), recorded=WITHOUT_ICC)
    assert report.verdict is Verdict.OK
    assert "icc-not-enforced" in told(report, Status.NOTE)


def test_a_bridge_that_shows_its_frames_by_itself_does_so_whatever_the_switch_says() -> None:
    report = judged(links("duo0", bridge_nf_call_iptables=True), recorded=POLICY)
    assert report.cause is not None
    assert not any("bridge-nf-call" in line for remedy in report.cause.remedies for line in remedy.now)
