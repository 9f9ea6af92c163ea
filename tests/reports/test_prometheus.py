import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Report, Status
from dockerdiag_reports.prometheus import FORMAT
from tests.recorded import Recorded, name_of, recorded
from tests.reports.hostile import texts
from tests.reports.samples import BROKEN, NOTHING, OK, SAMPLES, hostile

HELP = re.compile(r"# HELP (dockerdiag_[a-z_]+) [^\\\n]+")
TYPE = re.compile(r"# TYPE (dockerdiag_[a-z_]+) gauge")
LABEL = r'([a-z]+)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"(dockerdiag_[a-z_]+)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+)")
OF_THE_HOST = {"check", "network"}
CLOSED = {"verdict", "status", "disposition", "version"}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: package prometheus)"
)


def shown(report: Report) -> str:
    return FORMAT.render(report, RenderOptions())


def samples(text: str) -> dict[str, int]:
    """Value by series, after the grammar of the text format was held to."""
    assert text.endswith("\n")
    assert "\r" not in text
    families: list[str] = []
    series: dict[str, int] = {}
    lines = text[:-1].split("\n")
    at = 0
    while at < len(lines):
        help_, type_ = HELP.fullmatch(lines[at]), TYPE.fullmatch(lines[at + 1])
        assert help_
        assert type_
        assert help_[1] == type_[1]
        families.append(help_[1])
        at += 2
        first = at
        while at < len(lines) and not lines[at].startswith("#"):
            sample = SAMPLE.fullmatch(lines[at])
            assert sample, lines[at]
            assert sample[1] == families[-1]
            names = [name for name, _ in re.findall(LABEL, sample[2] or "")]
            assert set(names) <= OF_THE_HOST | CLOSED
            assert len(names) == len(set(names))
            key = lines[at].rpartition(" ")[0]
            assert key not in series, "a series is there twice"
            series[key] = int(sample[0].rpartition(" ")[2])
            at += 1
        assert at > first, "a family without samples"
    assert len(families) == len(set(families)), "a family is there twice"
    return series


def assert_accepted(text: str) -> None:
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr


@pytest.mark.parametrize("name", SAMPLES)
def test_it_keeps_the_grammar(name: str) -> None:
    assert (
        samples(shown(SAMPLES[name]))[f'dockerdiag_verdict{{verdict="{SAMPLES[name].verdict.value}"}}'] == 1
    )


@settings(deadline=None, max_examples=60)
@given(texts)
def test_a_hostile_host_adds_no_series_of_its_own(planted: str) -> None:
    families = {key.partition("{")[0] for key in samples(shown(hostile(planted)))}
    assert families == {key.partition("{")[0] for key in samples(shown(hostile("x")))}


@promtool
@pytest.mark.parametrize("name", SAMPLES)
def test_promtool_accepts_it(name: str) -> None:
    assert_accepted(shown(SAMPLES[name]))


@promtool
@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_promtool_accepts_recorded_hosts(one: Recorded) -> None:
    assert_accepted(shown(one.report()))


@promtool
@settings(deadline=None, max_examples=10)
@given(texts)
def test_promtool_accepts_hostile_hosts(planted: str) -> None:
    assert_accepted(shown(hostile(planted)))


def test_values() -> None:
    series = samples(shown(BROKEN))
    assert series['dockerdiag_build_info{version="0.1.0"}'] == 1
    assert series["dockerdiag_last_run_timestamp_seconds"] == 1795466579
    assert series['dockerdiag_verdict{verdict="ok"}'] == 0
    assert series['dockerdiag_check_status{check="forward-policy",status="fail"}'] == 1
    assert series['dockerdiag_check_status{check="forward-policy",status="pass"}'] == 0
    assert series['dockerdiag_findings{check="forward-policy",network="bridge",status="fail"}'] == 1
    assert series['dockerdiag_findings{check="packet-path",status="fail"}'] == 1
    assert series['dockerdiag_findings{check="masquerade",status="fail"}'] == 0
    assert series['dockerdiag_walks{network="app",disposition="delivered"}'] == 1
    assert series["dockerdiag_unread_parts"] == 1


def test_one_of_each_set_of_states_is_1() -> None:
    series = samples(shown(OK))
    for check in {result.check for result in OK.results}:
        of_check = [
            value
            for key, value in series.items()
            if key.startswith(f'dockerdiag_check_status{{check="{check}"')
        ]
        assert sorted(of_check) == [0] * (len(Status) - 1) + [1]


def test_a_time_that_is_none_is_left_out() -> None:
    assert "last_run" not in shown(replace(OK, taken_at="yesterday"))
    assert samples(shown(NOTHING))


def test_a_containers_name_is_no_label() -> None:
    assert '"web"' not in shown(BROKEN)
