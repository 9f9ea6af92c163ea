"""Reports that others made: what holds a credential is masked, and the rest stays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.last_run import LastRun, loads
from dockerdiag.report import Evidence, Finding, Report, Status
from dockerdiag.report_json import dumps, to_dict
from dockerdiag.report_masking import without_credentials
from dockerdiag.snapshot import TextFile
from dockerdiag.snapshot.store import load
from tests.command_line import run
from tests.planted import Planted, planted
from tests.recorded import FOLDER, Recorded, name_of, recorded
from tests.reports.samples import BROKEN, SAMPLES

FORMATS = ("text", "html", "markdown", "json", "nagios", "checkmk", "prometheus", "junit")


@pytest.mark.parametrize("one", recorded()[::24], ids=name_of)
def test_a_report_without_credentials_stays_as_it_was(one: Recorded) -> None:
    report = one.report()
    assert without_credentials(report) is report


@pytest.mark.parametrize("report", SAMPLES.values(), ids=SAMPLES)
def test_a_sample_stays_as_it_was(report: Report) -> None:
    assert without_credentials(report) is report


def told(report: Report, one: Planted) -> Report:
    """The report with the credential in every text that a host gives it."""
    cause = report.cause
    assert cause is not None
    changed = replace(
        cause,
        subject=f"file:{one.text}",
        summary=one.text,
        explains=(f"follows file:{one.text}",),
        evidence=(Evidence(one.text, one.text),),
        remedies=tuple(replace(remedy, now=(f"echo {one.text}",)) for remedy in cause.remedies),
    )
    follows = Finding("follows", Status.WARN, f"file:{one.text}", one.text)
    results = tuple(
        replace(result, reason=one.text, findings=(*result.findings, follows)) for result in report.results
    )
    walks = tuple(
        replace(walk, at=one.text, hops=tuple(replace(hop, text=one.text) for hop in walk.hops))
        for walk in report.walks
    )
    host = {**report.host, "note": one.text, "firewall": [one.text]}
    return replace(report, cause=changed, results=results, walks=walks, host=host)


@pytest.mark.parametrize("one", planted("report"), ids=lambda one: one.kind)
def test_no_kind_survives(one: Planted) -> None:
    report = told(BROKEN, one)
    masked = without_credentials(report)
    written = dumps(masked)
    assert one.secret not in written
    assert one.words[0] in written
    assert (masked.verdict, masked.exit_code) == (report.verdict, report.exit_code)
    assert [one.status for one in masked.results] == [one.status for one in report.results]
    assert masked.cause is not None
    assert masked.cause.explains == (masked.results[0].findings[-1].id,)
    assert masked.redaction["secrets_replaced"] > report.redaction["secrets_replaced"]
    assert without_credentials(masked) is masked


@pytest.mark.parametrize("suffix", ["json", "html"])
def test_no_format_shows_one_that_a_report_held(suffix: str, tmp_path: Path) -> None:
    one = planted("told", "userinfo of a URL")[0]
    path = tmp_path / f"report.{suffix}"
    path.write_text(dumps(told(BROKEN, one)))
    if suffix == "html":
        # As a version that knew no such form would have written it.
        harmless = one._replace(text="PLACE")
        plain = tmp_path / "plain.json"
        plain.write_text(dumps(told(BROKEN, harmless)))
        assert run("--from", plain, "-o", path).returncode == 2
        path.write_text(path.read_text().replace("PLACE", one.text))
    for name in FORMATS:
        ran = run("--from", path, "-f", name, "-v")
        assert ran.returncode == 2
        assert one.secret not in ran.stdout + ran.stderr
        if name == "json":
            assert json.loads(ran.stdout)["verdict"] == "broken"
    assert one.secret not in run("diff", path, path).stdout


def test_a_state_that_held_one_tells_no_change() -> None:
    one = planted("state", "userinfo of a URL")[0]
    snapshot = load(FOLDER / "plain-trixie.json.gz")
    good = replace(snapshot, hosts_file=TextFile("/etc/hosts", f"# {one.text}\n"))
    again = loads(LastRun(told(BROKEN, one), good).dump())
    assert one.secret not in json.dumps(to_dict(again.report))
    assert again.good is not None
    assert isinstance(again.good.hosts_file, TextFile)
    assert one.secret not in again.good.hosts_file.text


def test_two_files_of_two_people_stay_two() -> None:
    """A kind before a name with an @ in it is no user with a password."""
    homes = ("/home/anna@corp.example.com", "/home/jdoe@corp.example.com")
    findings = tuple(
        Finding("of-one", Status.WARN, f"file:{home}/.docker/config.json", "x") for home in homes
    )
    first, *others = BROKEN.results
    report = replace(BROKEN, results=(replace(first, findings=findings), *others))
    assert [one.subject for one in without_credentials(report).results[0].findings] == [
        one.subject for one in findings
    ]


def test_whatever_a_report_keeps_under_a_secret_name_is_hidden() -> None:
    kept = {
        "API_TOKEN": ["hunter2x"],
        "rows": [{"DB_PASSWORD": {"value": ["hunter2x"]}}],
        "http://op:hunter2x@proxy.example:3128": "dead",
    }
    masked = without_credentials(replace(BROKEN, host={**BROKEN.host, **kept}))
    assert "hunter2x" not in dumps(masked)
    assert masked.redaction["secrets_replaced"] > BROKEN.redaction["secrets_replaced"]
    assert without_credentials(masked) is masked
