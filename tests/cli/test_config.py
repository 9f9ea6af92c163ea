"""Expected findings: they stay in the report and do not count."""

import json
from pathlib import Path

import pytest

from dockerdiag import expectations
from tests.command_line import BROKEN, DEGRADED, OK, run
from tests.recorded import FOLDER

WARNING = "network-unmasqueraded"


def written(folder: Path, text: str) -> Path:
    path = folder / "dockerdiag.toml"
    path.write_text(text)
    return path


def codes(path: Path) -> list[tuple[str, str]]:
    report = json.loads(run("--from", path, "-f", "json").stdout)
    return [
        (finding["code"], finding["subject"])
        for result in report["results"]
        for finding in result["findings"]
        if finding["status"] in ("fail", "warn")
    ]


def test_an_expected_finding_keeps_its_status_and_does_not_count(tmp_path: Path) -> None:
    code, subject = codes(DEGRADED)[0]
    config = written(
        tmp_path,
        f'[[expected]]\ncode = "{code[:5]}*"\nsubject = "{subject[:9]}*"\nreason = "routed by munin"\nuntil = 2099-12-31\n',
    )
    ran = run("--from", DEGRADED, "--config", config, "-f", "json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["verdict"], report["cause"]) == (0, "ok", None)
    told = [f for result in report["results"] for f in result["findings"] if f["code"] == code]
    assert [(one["status"], one["expected"]) for one in told] == [
        ("warn", "routed by munin (until 2099-12-31)")
    ]
    redacted = run("--from", DEGRADED, "--config", config, "--redact", "-f", "json")
    assert redacted.returncode == 0


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    "entry",
    [
        'code = "other"\nreason = "r"',
        'code = "*"\nsubject = "host:elsewhere"\nreason = "r"',
        'code = "*"\nreason = "r"\nuntil = 2020-01-01',
    ],
)
def test_what_matches_not_or_no_more_counts(tmp_path: Path, entry: str) -> None:
    assert run("--from", DEGRADED, "--config", written(tmp_path, f"[[expected]]\n{entry}\n")).returncode == 1


def test_what_an_expected_finding_explains_becomes_the_cause(tmp_path: Path) -> None:
    path = FOLDER / "daemon-json-iptables-false-trixie.json.gz"
    plain = json.loads(run("--from", path, "-f", "json").stdout)
    config = written(
        tmp_path, f'[[expected]]\ncode = "{plain["cause"]["code"]}"\nreason = "we make the rules"\n'
    )
    report = json.loads(run("--from", path, "--config", config, "-f", "json").stdout)
    assert report["verdict"] == "broken"
    assert report["cause"] is not None
    assert report["cause"]["code"] != plain["cause"]["code"]


@pytest.mark.parametrize(
    "text",
    [
        "expected = 1",
        "[[expected]]",
        '[[expected]]\ncode = "x"',
        '[[expected]]\ncode = "x"\nreason = " "',
        '[[expected]]\ncode = "x"\nreason = "r"\nuntil = "2030-01-01"',
        '[[expected]]\ncode = "x"\nreason = "r"\nuntil = 2030-01-01T00:00:00Z',
        '[[expected]]\ncode = "x"\nreason = "r"\nsubject = 3',
        '[[expected]]\ncode = "x"\nreason = "r"\nseverity = "none"',
        "[expect]",
        "not toml",
    ],
)
def test_a_bad_file_is_wrong_usage(tmp_path: Path, text: str) -> None:
    ran = run("--from", OK, "--config", written(tmp_path, text))
    assert (ran.returncode, ran.stdout) == (64, "")
    assert "dockerdiag.toml" in ran.stderr.replace("\n", "").replace(" ", "") or "Error" in ran.stderr


def test_a_file_that_is_not_there_is_wrong_usage_and_an_empty_one_is_fine(tmp_path: Path) -> None:
    assert run("--from", OK, "--config", tmp_path / "none").returncode == 64
    assert run("--from", BROKEN, "--config", written(tmp_path, "")).returncode == 2
    report = tmp_path / "report.json"
    run("--from", OK, "-o", report)
    assert run("--from", report, "--config", written(tmp_path, "")).returncode == 64


def test_the_example_in_the_source_is_understood(tmp_path: Path) -> None:
    example = (expectations.__doc__ or "").partition("\n\n")[2].replace("    ", "")
    assert len(expectations.load(written(tmp_path, example))) == 1


def test_one_that_ended_says_so_where_it_counts_again(tmp_path: Path) -> None:
    config = written(tmp_path, '[[expected]]\ncode = "*"\nreason = "routed by munin"\nuntil = 2020-01-01\n')
    ran = run("--from", DEGRADED, "--config", config)
    assert ran.returncode == 1
    assert "it was expected until 2020-01-01: routed by munin" in " ".join(ran.stdout.split())


def test_what_matches_nothing_is_noted_and_does_not_count(tmp_path: Path) -> None:
    config = written(tmp_path, '[[expected]]\ncode = "a-slip"\nreason = "munin"\n')
    report = json.loads(run("--from", DEGRADED, "--config", config, "-f", "json").stdout)
    notes = [
        f for result in report["results"] for f in result["findings"] if f["code"] == "expectation-unused"
    ]
    assert [(one["status"], "a-slip" in one["summary"]) for one in notes] == [("note", True)]
    assert report["verdict"] == "degraded"


@pytest.mark.parametrize("form", ["text", "markdown", "html", "junit", "json"])
def test_every_format_shows_what_is_expected_and_why(tmp_path: Path, form: str) -> None:
    config = written(tmp_path, '[[expected]]\ncode = "*"\nreason = "routed by munin"\nuntil = 2099-12-31\n')
    ran = run("--from", DEGRADED, "--config", config, "-f", form)
    assert ran.returncode == 0
    assert "routed by munin (until 2099-12-31)" in " ".join(ran.stdout.split())


def test_a_credential_in_a_reason_is_shown_nowhere(tmp_path: Path) -> None:
    config = tmp_path / "dockerdiag.toml"
    config.write_text('[[expected]]\ncode = "*"\nreason = "see https://ops:zQ7xhunter@wiki.example/1"\n')
    told = run("--from", DEGRADED, "--config", config, "-f", "json").stdout
    assert "zQ7xhunter" not in told
    assert "https://***@wiki.example/1" in told
