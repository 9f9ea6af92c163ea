"""The judge itself: what it lets pass and what it does not. No lab is needed."""

import json
from typing import Any

import pytest

from tests.lab import judge
from tests.lab.host import Ran
from tests.lab.scenario import Cause, Fault, Scenario

HEALTHY = Scenario(name="healthy")
BROKEN = Fault(name="broken", cause=Cause("ip-forwarding", "host:*", ("net.ipv4.ip_forward",)))


def finding(**changes: Any) -> dict[str, Any]:
    remedy = {"summary": "", "now": ["true"], "lasting": [], "verify": [], "undo": [], "risk": ""}
    return {
        "code": "ip-forward-off",
        "status": "fail",
        "subject": "host:lab",
        "summary": "",
        "expected": None,
        "evidence": [{"source": "net.ipv4.ip_forward", "text": "0"}],
        "remedies": [remedy],
        **changes,
    }


def ran(code: int, verdict: str, *findings: dict[str, Any], check: str = "ip-forwarding") -> Ran:
    result = {"check": check, "status": "fail" if findings else "pass", "reason": None, "findings": findings}
    cause = {"check": check, **findings[0]} if findings else None
    report = {"verdict": verdict, "cause": cause, "results": [result], "walks": [], "unread": []}
    return Ran("dockerdiag", code, json.dumps(report), "")


def test_a_right_answer_passes() -> None:
    judge.assert_expected(ran(0, "ok"), HEALTHY)
    report = judge.assert_expected(ran(2, "broken", finding()), BROKEN)
    assert judge.first_remedy(report)["now"] == ["true"]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (ran(0, "ok"), "verdict and exit"),
        (ran(0, "broken", finding()), "verdict and exit"),
        (ran(2, "broken"), "no cause"),
        (ran(2, "broken", finding(), check="masquerade"), "is blamed"),
        (ran(2, "broken", finding(subject="link:eth0")), "about link:eth0"),
        (ran(2, "broken", finding(evidence=[])), "the evidence lacks"),
        (Ran("dockerdiag", 2, "no JSON", "Traceback"), "printed no JSON"),
    ],
)
def test_a_wrong_answer_about_a_broken_host_does_not(answer: Ran, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        judge.assert_expected(answer, BROKEN)


def test_an_alarm_on_a_healthy_host_does_not_pass() -> None:
    with pytest.raises(AssertionError, match="alarms on a healthy host"):
        judge.assert_expected(ran(0, "ok", finding(status="warn")), HEALTHY)


def test_a_cause_without_a_remedy_does_not_pass() -> None:
    report = judge.assert_expected(ran(2, "broken", finding(remedies=[])), BROKEN)
    with pytest.raises(AssertionError, match="no remedy"):
        judge.first_remedy(report)
