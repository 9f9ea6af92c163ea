import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Finding, Remedy, Report, Status
from dockerdiag_reports.layout import cells
from dockerdiag_reports.text import FORMAT
from tests.reports.hostile import texts
from tests.reports.samples import (
    BROKEN,
    DEGRADED,
    FORWARD_DROP,
    OK,
    SAMPLES,
    STOPPED,
    UNKNOWN,
    hop,
    hostile,
    result,
)

OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
SGR = re.compile(r"\x1b\[[\d;]*m")


def text(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    return FORMAT.render(report, RenderOptions(verbose=verbose, colour=colour, width=width))


def last_line(report: Report) -> str:
    return text(report).splitlines()[-1]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_verdict_is_the_last_line(name: str) -> None:
    report = SAMPLES[name]
    assert last_line(report).startswith(f"{report.verdict.value}: ")


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("width", [40, 80, 132])
@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "hostile"])
def test_all_but_commands_keeps_the_width(name: str, width: int, verbose: bool) -> None:
    report = SAMPLES[name]
    commands = {
        one
        for result in report.results
        for finding in result.findings
        for remedy in finding.remedies
        for one in (*remedy.now, *remedy.lasting, *remedy.verify, *remedy.undo)
    }
    for row in text(report, verbose=verbose, width=width).splitlines():
        assert cells(row) <= width or row.strip() in commands or row.startswith("  more  dockerdiag explain ")


def test_the_rule_stands_like_a_source_line() -> None:
    assert "  --> iptables-nft ip filter FORWARD policy\n   |  -P FORWARD DROP\n" in text(BROKEN)


def test_every_command_of_the_first_remedy_is_a_line_of_its_own() -> None:
    rows = [row.strip() for row in text(BROKEN).splitlines()]
    remedy = FORWARD_DROP.remedies[0]
    for command in (*remedy.now, *remedy.lasting, *remedy.verify, *remedy.undo):
        assert command in rows


def test_what_follows_from_the_cause_is_not_told_as_a_fault_of_its_own() -> None:
    assert "FAIL    walk-stopped" not in text(BROKEN)
    assert "  hence Its packet to 1.1.1.1:443/tcp is dropped at forward (walk-stopped" in text(BROKEN)
    assert "FAIL    walk-stopped" in text(BROKEN, verbose=True)


def test_what_is_in_order_is_one_counted_line_unless_asked() -> None:
    assert "6 checks passed, 1 check did not apply (-v shows all)." in text(OK)
    assert "No drop-in changes networking." not in text(OK)
    assert "No drop-in changes networking." in text(OK, verbose=True)


def test_the_broken_walk_is_shown_and_delivered_ones_only_if_asked() -> None:
    assert re.search(r"^>> out +DROP +forward", text(BROKEN), re.MULTILINE)
    assert "delivered\n   out" not in text(BROKEN)
    assert "delivered\n   out" in text(BROKEN, verbose=True)


def test_what_could_not_be_read_is_told_with_its_reason() -> None:
    assert "  kernel_log: /dev/kmsg: Operation not permitted\n" in text(BROKEN)
    assert "UNKNOWN ip-forwarding: a part that it needs could not be read" in text(UNKNOWN)


def test_checks_that_lack_the_same_part_are_told_together() -> None:
    reason = "engine: the socket does not exist"
    checks = ("masquerade", "iptables-flag")
    results = tuple(result(check, status=Status.UNKNOWN, reason=reason) for check in checks)
    shown = text(replace(UNKNOWN, results=results))
    assert f"UNKNOWN masquerade, iptables-flag: {reason}\n" in shown
    assert shown.endswith(f"\nunknown: {reason}\n")


def test_a_remedy_without_commands_for_now_shows_those_it_has() -> None:
    advice = replace(
        FORWARD_DROP,
        status=Status.UNKNOWN,
        remedies=(Remedy("See an example.", verify=("dockerdiag demo",)),),
    )
    shown = text(replace(UNKNOWN, results=(result("masquerade", advice, status=Status.UNKNOWN),)))
    assert "\n      dockerdiag demo\n" in shown


def test_a_verdict_that_does_not_end_the_walk_is_questioned() -> None:
    unsure = replace(STOPPED, hops=(hop("forward", "may be dropped", "drop"), *STOPPED.hops))
    assert "   out    drop?      forward " in text(replace(BROKEN, walks=(unsure,)))


def test_last_lines() -> None:
    assert last_line(OK) == "ok: nothing was found that keeps containers from the internet"
    assert last_line(BROKEN) == "broken: dropped at iptables-nft ip filter FORWARD policy; 1 more to look at"
    assert last_line(DEGRADED) == "degraded: ip-forward-not-lasting on host web01"
    assert (
        last_line(UNKNOWN) == "unknown: The rules cannot be read without root, so nobody can say what they do"
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_colour_changes_nothing_but_colour(name: str) -> None:
    report = SAMPLES[name]
    assert "\x1b" not in text(report)
    assert SGR.sub("", text(report, colour=True)) == text(report)
    assert "\x1b[" in text(report, colour=True)


@settings(deadline=None, max_examples=60)
@given(texts)
def test_a_hostile_host_cannot_drive_the_terminal_or_forge_the_verdict(planted: str) -> None:
    for verbose in (False, True):
        shown = text(hostile(planted), verbose=verbose)
        assert not OBEYED.search(shown)
        rows = shown.splitlines()
        assert rows[-1].startswith("broken: ")
        assert not [row for row in rows[:-1] if row.startswith(("ok: ", "verdict: "))]


def test_host_text_is_no_template_and_no_markup() -> None:
    shown = text(hostile("{{ 7*7 }} [red]x[/red]"), colour=True)
    assert "{{ 7*7 }}" in shown
    assert "49" not in shown
    assert "[red]x[/red]" in shown


def test_a_routed_network_is_told_where_all_is_in_order() -> None:
    summary = "Network bridge is routed, not translated: answers need a route on the next router"
    routed = Finding("network-routed", Status.NOTE, "network:bridge", summary)

    def told(*findings: Finding) -> bool:
        noted = result("masquerade", *findings, status=Status.NOTE)
        return summary in " ".join(text(replace(OK, results=(*OK.results, noted))).split())

    assert told(routed)
    assert not told()
    assert not told(replace(routed, subject="network:unused"))
