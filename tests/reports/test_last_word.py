"""The last line is a sentence that says what and where, within the width."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerdiag.report import Cause, Disposition, Finding, Report, Status, Verdict
from dockerdiag_reports.last_word import last_word
from dockerdiag_reports.layout import cells
from dockerdiag_reports.outline import outline
from dockerdiag_reports.untrusted import clean
from tests.recorded import Recorded, name_of, recorded
from tests.reports.hostile import texts
from tests.reports.samples import (
    BROKEN,
    DEGRADED,
    DELIVERED,
    FORWARD_DROP,
    NOTHING,
    OK,
    STOPPED,
    UNKNOWN,
    hostile,
    result,
)

DROP_IN = "/etc/systemd/system/docker.service.d/docker-options.conf"


def said(report: Report, width: int = 72) -> str:
    return last_word(outline(report), width)


def caused_by(summary: str, subject: str = "engine:docker", count: int = 1) -> Report:
    finding = Finding("some-code", Status.FAIL, subject, summary, count)
    return replace(OK, verdict=Verdict.BROKEN, cause=Cause.of("packet-path", finding), walks=(STOPPED,))


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ("The kernel forwards no packets.", "The kernel forwards no packets"),
        (
            f"{DROP_IN} starts the engine with iptables=false: its containers' packets find no rules",
            "docker-options.conf starts the engine with iptables=false",
        ),
        (
            "The engine was told to make no rules (iptables=false), and nobody else makes those that it needs",
            "The engine was told to make no rules (iptables=false)",
        ),
        ("docker.service does not start: " + "long words " * 9, "docker.service does not start"),
        ("no clause ends " * 9, "some-code on engine docker"),
    ],
)
def test_a_long_summary_is_said_shorter_and_not_cut(summary: str, shown: str) -> None:
    assert said(caused_by(summary)) == shown


def test_the_place_is_told_where_the_summary_is_too_long() -> None:
    report = caused_by("no clause ends " * 9, "network:bridge")
    assert said(report) == "dropped at iptables-nft ip filter FORWARD policy (network bridge)"


def test_a_link_is_told_with_its_switch() -> None:
    walk = replace(STOPPED, at="net.ipv4.conf.eth0.forwarding")
    report = replace(caused_by("no clause ends " * 9, "link:eth0"), walks=(walk,))
    assert said(report) == "dropped at net.ipv4.conf.eth0.forwarding (link eth0)"
    assert said(replace(report, walks=(STOPPED,))) == "some-code on link eth0"


def test_a_file_is_named_without_its_folders() -> None:
    assert said(caused_by("no clause ends " * 9, f"file:{DROP_IN}", 3)) == (
        "some-code on file docker-options.conf, 3 containers"
    )


def test_other_faults_are_counted() -> None:
    assert said(BROKEN).endswith("; 1 more to look at")


def test_without_a_cause() -> None:
    assert said(OK) == "nothing was found that keeps containers from the internet"
    assert said(UNKNOWN) == "The rules cannot be read without root, so nobody can say what they do"
    assert said(NOTHING) == "0 checks could not judge; 0 parts could not be read"
    assert said(replace(DEGRADED, cause=None)) == "1 finding to look at"


def test_a_trace_says_how_its_packets_end() -> None:
    traced = replace(BROKEN, cause=None, results=(), walks=(STOPPED, STOPPED))
    assert (
        said(traced, 120)
        == "the packet to 1.1.1.1:443/tcp is dropped at iptables-nft ip filter FORWARD policy"
    )


def test_of_several_packets_the_stopped_one_is_named() -> None:
    traced = replace(
        BROKEN, cause=None, results=(), walks=(DELIVERED, replace(STOPPED, to="192.0.2.7:53/udp"))
    )
    assert said(traced).startswith("192.0.2.7:53/udp is dropped at")


def test_a_packet_without_an_answer() -> None:
    silent = replace(STOPPED, disposition=Disposition.NOT_ANSWERED, at="source 172.17.0.2 not translated")
    traced = replace(BROKEN, cause=None, results=(), walks=(silent,))
    assert (
        said(traced, 90) == "the packet to 1.1.1.1:443/tcp gets no answer (source 172.17.0.2 not translated)"
    )
    assert said(traced, 60) == "gets no answer (source 172.17.0.2 not translated)"


@given(texts, st.integers(min_value=30, max_value=240))
def test_it_keeps_the_width_whatever_the_host_says(planted: str, width: int) -> None:
    assert cells(last_word(outline(clean(hostile(planted))), width)) <= width


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_on_recorded_hosts_nothing_is_cut(one: Recorded) -> None:
    report = clean(one.report())
    shown = last_word(outline(report), 80 - len(report.verdict.value) - 2)
    assert "..." not in shown


def test_the_end_of_a_traced_packet_is_told_without_its_aim_where_both_do_not_fit() -> None:
    walk = replace(
        STOPPED,
        disposition=Disposition.NO_ROUTE,
        at="internal network a-name-that-takes-its-room",
        to="203.0.113.10:443/tcp",
    )
    report = replace(OK, verdict=Verdict.BROKEN, results=(), walks=(walk,))
    short = "finds no route at internal network a-name-that-takes-its-room"
    assert said(report) == short
    assert said(report, 85) == f"203.0.113.10:443/tcp {short}"
    assert said(report, 200) == f"the packet to 203.0.113.10:443/tcp {short}"


def test_a_route_that_is_not_there_is_told_once() -> None:
    walk = replace(STOPPED, disposition=Disposition.NO_ROUTE, at="no route to 203.0.113.10")
    report = replace(OK, verdict=Verdict.BROKEN, results=(), walks=(walk,))
    assert "finds no route to 203.0.113.10" in said(report)


def test_what_is_expected_is_said_where_all_else_is_in_order() -> None:
    expected = replace(FORWARD_DROP, expected="closed on purpose")
    report = replace(OK, results=(*OK.results, result("forward-policy", expected, status=Status.FAIL)))
    told = outline(clean(report))
    assert told.sentence.startswith("In order, but for 1 expected failure: ")
    assert last_word(told, 400).startswith("in order, but for 1 expected failure: ")
    assert last_word(told, 60).startswith("in order, but for 1 expected failure")
    assert "othing was found" not in told.sentence
