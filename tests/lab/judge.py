"""Holds a report of dockerdiag against what a scenario expects of it."""

import time
from fnmatch import fnmatchcase
from typing import Any

from dockerdiag.diagnosis import DOUBT
from tests.lab.drive import PATIENCE
from tests.lab.host import LabHost, Ran
from tests.lab.scenario import Cause, Json, Scenario

ALARMS = ("fail", "warn", "unknown")
CHANGING = ("look again", DOUBT.partition(", ")[2])
"""What a report says of a host that was still changing when it was read."""
REMEDY_LISTS = ("now", "lasting", "verify", "undo")


def ask(host: LabHost, scenario: Scenario) -> Ran:
    """`sudo` says who asked; the report is as full as root's. Asked again while the host is still changing."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ran = host.dockerdiag("-f", "json", *scenario.arguments, user=scenario.user, sudo=scenario.sudo)
        if not any(words in ran.stdout for words in CHANGING) or time.monotonic() > deadline:
            return ran
        time.sleep(0.3)


def assert_expected(ran: Ran, scenario: Scenario) -> Json:
    report: Json = ran.json()
    said, wanted = (report["verdict"], ran.code), (scenario.verdict, scenario.exit_code)
    assert said == wanted, f"verdict and exit are {said}, not {wanted}\n{outline(report)}\n{ran.stderr}"
    if scenario.verdict == "ok":
        assert_no_alarm(report)
    if scenario.cause:
        assert_cause(report, scenario.cause)
    return report


def assert_ok(ran: Ran, when: str) -> None:
    report: Json = ran.json()
    said = (report["verdict"], ran.code)
    assert said == ("ok", 0), f"{when}: {said}\n{outline(report)}\n{ran.stderr}"
    assert_no_alarm(report)


def assert_no_alarm(report: Json) -> None:
    alarms = [
        f"{result['check']}: {finding['status']} {finding['code']} {finding['subject']}"
        for result in report["results"]
        for finding in result["findings"]
        if finding["status"] in ALARMS and not finding["expected"]
    ]
    alarms += [
        f"{result['check']}: {result['status']} {result['reason']}"
        for result in report["results"]
        if result["status"] in ALARMS
    ]
    assert not alarms, f"alarms on a healthy host: {alarms}\n{outline(report)}"
    assert report["cause"] is None, f"a healthy host has no cause: {report['cause']}"


def assert_cause(report: Json, expected: Cause) -> None:
    cause = report["cause"]
    summary = outline(report)
    assert cause, f"no cause is named\n{summary}"
    assert fnmatchcase(cause["check"], expected.check), f"{cause['check']} is blamed\n{summary}"
    assert any(fnmatchcase(cause["subject"], pattern) for pattern in expected.subjects), (
        f"about {cause['subject']}, not {expected.subject}\n{summary}"
    )
    evidence = "\n".join(f"{each['source']}: {each['text']}" for each in cause["evidence"])
    missing = [part for part in expected.evidence if part not in evidence]
    assert not missing, f"the evidence lacks {missing}:\n{evidence}\n{summary}"


def assert_told(report: Json, expected: Cause) -> None:
    """Some finding of that check alarms about that subject, cause or not."""
    alarms = [
        finding["subject"]
        for result in report["results"]
        if fnmatchcase(result["check"], expected.check)
        for finding in result["findings"]
        if finding["status"] in ALARMS
    ]
    told = any(fnmatchcase(subject, pattern) for subject in alarms for pattern in expected.subjects)
    assert told, f"{expected.check} does not tell of {expected.subject}\n{outline(report)}"


def first_remedy(report: Json) -> Json:
    cause = report["cause"]
    assert cause, f"no cause, so nothing to mend\n{outline(report)}"
    assert cause["remedies"], f"the cause has no remedy\n{outline(report)}"
    remedy: Json = cause["remedies"][0]
    for name in REMEDY_LISTS:
        assert isinstance(remedy[name], list), f"a remedy's {name} is no list: {remedy}"
    assert remedy["now"], f"the remedy says nothing to do now: {remedy}"
    return remedy


def outline(report: Json) -> str:
    """The report in a few lines, for the one who reads a failed test."""
    lines = [f"verdict {report.get('verdict')}"]
    for result in report.get("results", []):
        lines.append(f"  {result['check']}: {result['status']} {result['reason'] or ''}")
        lines.extend(finding_lines(finding) for finding in result["findings"] if finding["status"] != "pass")
    lines.extend(
        f"  walk {walk['containers']} to {walk['to']}: {walk['disposition']} at {walk['at']}"
        for walk in report.get("walks", [])
    )
    lines.extend(f"  unread {each['part']}: {each['reason']}" for each in report.get("unread", []))
    return "\n".join(lines)


def finding_lines(finding: dict[str, Any]) -> str:
    head = f"    {finding['status']} {finding['code']} {finding['subject']}: {finding['summary']}"
    evidence = [f"      {each['source']}: {each['text']}" for each in finding["evidence"]]
    remedies = [f"      now: {line}" for remedy in finding["remedies"][:1] for line in remedy["now"]]
    return "\n".join([head, *evidence, *remedies])
