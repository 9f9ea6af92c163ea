from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Report, Status
from dockerdiag_reports.junit import FORMAT
from tests.recorded import Recorded, name_of, recorded
from tests.reports.hostile import texts
from tests.reports.samples import (
    BROKEN,
    DELIVERED,
    FORWARD_DROP,
    OK,
    SAMPLES,
    STOPPED,
    UNKNOWN,
    hostile,
    result,
)

CHILDREN = {
    "testsuites": ("testsuite",),
    "testsuite": ("properties", "testcase", "system-out"),
    "properties": ("property",),
    "testcase": ("skipped", "error", "failure", "system-out"),
}
"""In the order that the usual schema of JUnit's XML wants them."""
REQUIRED = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped"},
    "testsuite": {"name", "hostname", "timestamp", "tests", "failures", "errors", "skipped"},
    "property": {"name", "value"},
    "testcase": {"name", "classname"},
    "skipped": {"message"},
    "error": {"message", "type"},
    "failure": {"message", "type"},
}
OPTIONAL = {"testsuites": {"time"}}


def parsed(report: Report, groups: Mapping[str, str] = MappingProxyType({})) -> Element:
    """The suites, after the structure of JUnit's XML was held to."""
    text = FORMAT.render(report, RenderOptions(groups=groups))
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        known = CHILDREN.get(element.tag, ())
        places = [known.index(child.tag) for child in element]
        assert places == sorted(places)
        required = REQUIRED.get(element.tag, set())
        assert required <= set(element.attrib) <= required | OPTIONAL.get(element.tag, set())
        if known:
            assert not (element.text or "").strip()
        if element.tag == "testcase":
            assert sum(child.tag != "system-out" for child in element) <= 1
    for holder in (root, *root):
        cases = list(holder.iter("testcase"))
        assert int(holder.attrib["tests"]) == len(cases)
        assert int(holder.attrib["failures"]) == len(
            [one for one in cases if one.find("failure") is not None]
        )
        assert int(holder.attrib["errors"]) == len([one for one in cases if one.find("error") is not None])
        assert int(holder.attrib["skipped"]) == len([one for one in cases if one.find("skipped") is not None])
    return root


def test_a_group_of_checks_is_a_suite() -> None:
    groups = {one.check: "Engine" if "-" in one.check else "Packets" for one in BROKEN.results}
    groups.pop("docker-options")
    root = parsed(BROKEN, groups)
    assert [suite.attrib["name"] for suite in root] == ["Engine", "Packets", "dockerdiag"]
    assert {case.attrib["classname"] for case in root[1] if case.tag == "testcase"} == {"dockerdiag.Packets"}
    assert outcomes(root) == outcomes(parsed(BROKEN))
    assert [list(outcomes(suite)) for suite in root][2] == ["docker-options"]


def outcomes(suite: Element) -> dict[str, str]:
    return {case.attrib["name"]: next((child.tag for child in case), "") for case in suite.iter("testcase")}


@pytest.mark.parametrize("name", SAMPLES)
def test_it_has_the_structure(name: str) -> None:
    parsed(SAMPLES[name])


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_recorded_hosts_have_the_structure(one: Recorded) -> None:
    parsed(one.report())


@settings(deadline=None, max_examples=60)
@given(texts)
def test_a_hostile_host_changes_no_structure(planted: str) -> None:
    # A fact of the host that cleans to nothing is left out, so properties are not compared.
    tags = [each.tag for each in parsed(hostile(planted)).iter() if each.tag != "property"]
    assert tags == [each.tag for each in parsed(hostile("x")).iter() if each.tag != "property"]


def test_what_becomes_of_each_status() -> None:
    suite = parsed(BROKEN)
    assert outcomes(suite) | {"forward-policy": "failure", "docker-options": "failure"} == outcomes(suite)
    assert suite.find(".//testcase/failure").attrib["type"] == "fail.forward-drop"
    assert outcomes(parsed(UNKNOWN))["ip-forwarding"] == "error"
    assert outcomes(parsed(OK))["packet-path"] == "skipped"
    assert outcomes(parsed(OK))["masquerade"] == "system-out"


def test_what_is_expected_fails_no_test() -> None:
    expected = replace(FORWARD_DROP, expected="closed on purpose")
    suite = parsed(replace(OK, results=(result("forward-policy", expected, status=Status.FAIL),)))
    assert outcomes(suite) == {"forward-policy": "system-out"}
    assert "closed on purpose" in suite.findtext(".//testcase/system-out")


def test_a_failure_tells_evidence_and_commands() -> None:
    text = parsed(BROKEN).findtext(".//testcase/failure")
    assert "-P FORWARD DROP" in text
    assert FORWARD_DROP.remedies[0].now[0] in text


def test_a_trace_has_a_case_for_each_packet() -> None:
    suite = parsed(
        replace(BROKEN, cause=None, results=(), walks=(STOPPED, replace(DELIVERED, to="192.0.2.1:53/udp")))
    )
    assert list(outcomes(suite).values()) == ["failure", ""]
    assert "out drop forward" in suite.findtext(".//testcase/failure")


def test_the_duration_is_told_where_it_is_known() -> None:
    text = FORMAT.render(OK, RenderOptions(duration=1.5))
    assert 'time="1.500"' in text
    assert "time=" not in FORMAT.render(OK, RenderOptions()).replace("timestamp=", "")


def recorded_host(name: str) -> Element:
    return parsed(next(one for one in recorded() if name_of(one) == name).report())


def test_a_remedy_is_told_with_what_it_opens_and_what_makes_it_last() -> None:
    (failure,) = recorded_host("bridge-forwarding-off-trixie").iter("failure")
    told = (failure.text or "").split("\n")
    assert "    sysctl -w net.ipv4.conf.docker0.forwarding=1" in told
    assert told[told.index("lasting:") + 1].startswith("    mkdir -p /etc/sysctl.d && printf ")
    assert any(line.startswith("risk: ") for line in told)


def test_what_follows_from_the_cause_has_no_remedy_of_its_own() -> None:
    cause, consequence = recorded_host("daemon-json-iptables-false-bookworm").iter("failure")
    assert "\nfix: " in (cause.text or "")
    assert (consequence.text or "").endswith("\nfollows from: iptables-off on engine:lab")
    assert "\nfix: " not in (consequence.text or "")
