import re

import pytest
from hypothesis import given, settings

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Report
from dockerdiag_reports import checkmk, nagios
from dockerdiag_reports.monitoring import plain, tally
from tests.recorded import Recorded, name_of, recorded
from tests.reports.hostile import texts
from tests.reports.samples import BROKEN, FORWARD_DROP, OK, SAMPLES, UNKNOWN, hostile

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = rf"@?(?:(?:{NUMBER}|~):)?(?:{NUMBER})?"
DATUM = re.compile(
    rf"(?P<label>'[^'=|]+'|[^\s'=|]+)=(?:U|{NUMBER}(?:us|ms|s|%|[KMGT]?B|c)?)"
    rf"(?:;(?:{RANGE})?(?:;(?:{RANGE})?(?:;(?:{NUMBER})?(?:;(?:{NUMBER})?)?)?)?)?"
)
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f<>\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def shown(report: Report) -> str:
    return nagios.FORMAT.render(report, RenderOptions())


def local_check(report: Report) -> str:
    return checkmk.FORMAT.render(report, RenderOptions())


def assert_plugin_output(report: Report) -> None:
    first, *rest = shown(report).rstrip("\n").split("\n")
    text, bar, data = first.partition(" | ")
    assert bar
    state, _, why = text.partition(": ")
    assert STATES.index(state) == report.exit_code
    assert why
    assert "|" not in why
    assert not any("|" in line for line in rest), "a bar in the long output would begin more performance data"
    labels = []
    for datum in data.split(" "):
        matched = DATUM.fullmatch(datum)
        assert matched, datum
        labels.append(matched["label"])
    assert len(labels) == len({label[:19] for label in labels})
    assert not OBEYED.search(shown(report))


@pytest.mark.parametrize("name", SAMPLES)
def test_it_keeps_the_plugin_api(name: str) -> None:
    assert_plugin_output(SAMPLES[name])


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_recorded_hosts_keep_it_too(one: Recorded) -> None:
    assert_plugin_output(one.report())


@settings(deadline=None, max_examples=60)
@given(texts)
def test_a_hostile_host_cannot_add_performance_data_or_markup(planted: str) -> None:
    assert_plugin_output(hostile(planted))
    assert tally(hostile(planted)) == tally(hostile("x"))


def test_the_first_line_fits_an_old_nrpe_packet() -> None:
    long = hostile("\u6f22\u5b57" * 400)
    assert len(shown(long).splitlines()[0].encode()) < 1024


def test_the_cause_and_its_commands_are_in_the_long_output() -> None:
    rows = shown(BROKEN).splitlines()
    assert rows[0].endswith(
        "| fail=2;;0;0 warn=1;0;;0 unknown=0;;;0 walks_delivered=1;;;0 walks_stopped=2;;;0 walks_unknown=0;;;0 "
        "containers=4;;;0"
    )
    assert "at: iptables-nft ip filter FORWARD policy: -P FORWARD DROP" in rows
    for command in FORWARD_DROP.remedies[0].now:
        assert f"  {command}" in rows
    assert any(row.startswith("hence: Its packet to 1.1.1.1:443/tcp is dropped") for row in rows)


def test_commands_that_a_monitor_would_alter_are_not_shown_at_all() -> None:
    assert "its commands are in the text report" in shown(hostile("a | b"))
    assert "  a" not in shown(hostile("a | b")).splitlines()


def test_what_is_expected_does_not_count() -> None:
    assert tally(hostile("x"))["fail"] == 0
    assert tally(UNKNOWN) | {"unknown": 2, "walks_unknown": 1} == tally(UNKNOWN)


def test_bars_backslashes_and_tags_become_look_alikes() -> None:
    assert plain(r"a|b\n<b>") == "a\u00a6b/n\u2039b\u203a"


CHECKMK = re.compile(
    r'[0-3] "dockerdiag" [a-z_]+=\d+(\|[a-z_]+=\d+)* (ok|degraded|broken|unknown): [^|\\\n]+\n'
)


@settings(deadline=None, max_examples=60)
@given(texts)
def test_checkmk_gets_one_line(planted: str) -> None:
    assert CHECKMK.fullmatch(local_check(hostile(planted)))


@pytest.mark.parametrize("name", SAMPLES)
def test_checkmk_line(name: str) -> None:
    assert CHECKMK.fullmatch(local_check(SAMPLES[name]))
    assert local_check(SAMPLES[name]).startswith(f"{SAMPLES[name].exit_code} ")


def test_checkmk_line_of_a_healthy_host() -> None:
    assert local_check(OK) == (
        '0 "dockerdiag" fail=0|warn=0|unknown=0|walks_delivered=1|walks_stopped=0|walks_unknown=0|containers=1 '
        "ok: nothing was found that keeps containers from the internet\n"
    )
