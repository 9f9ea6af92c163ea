"""What holds for every check that is shipped."""

import re
import subprocess
from pathlib import Path

import pytest

from dockerdiag.registry import Check, checks
from dockerdiag.report import Finding, Remedy, Status
from dockerdiag_checks.wording import FOR_GOOD
from tests.recorded import Recorded, name_of, recorded

SHIPPED = checks()[0]
HEADINGS = (
    "What it asks",
    "Why it breaks containers",
    "What is normal and not reported",
    "Remedy",
    "References",
)
SUBJECT = re.compile(r"(host|engine|network|container|link|file|unit):.+")
NOTHING_TO_SETTLE = ("engine-elsewhere", "engine-not-found")
"""The engine is elsewhere, or nowhere: there is nothing on this host that more would be known of."""
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def test_all_shipped_checks_load() -> None:
    assert checks()[1] == ()
    assert len(SHIPPED) == len({one.name for one in SHIPPED})


@pytest.mark.parametrize("check", SHIPPED, ids=lambda one: one.name)
def test_page_has_its_headings(check: Check) -> None:
    headings = tuple(re.findall(r"^## (.+)$", check.page, re.MULTILINE))
    assert headings == HEADINGS
    assert check.page.startswith(check.title)


def test_a_file_per_check_of_a_size_that_is_read_in_one_go() -> None:
    folder = Path(__file__).parents[2] / "checks" / "dockerdiag_checks"
    assert all((folder / f"{one.name.replace('-', '_')}.py").stat().st_size < 16_000 for one in SHIPPED)


def findings(one: Recorded) -> list[Finding]:
    return [finding for result in one.report().results for finding in result.findings]


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_findings_are_well_formed(one: Recorded) -> None:
    for finding in findings(one):
        assert SUBJECT.fullmatch(finding.subject), finding.subject
        assert CODE.fullmatch(finding.code), finding.code
        assert finding.summary
        assert "\n" not in finding.summary
        if finding.status in (Status.FAIL, Status.WARN):
            assert finding.evidence, finding.code
            assert finding.remedies, finding.code
            assert all(remedy.verify for remedy in finding.remedies), finding.code
            for remedy in finding.remedies:
                assert not remedy.now or remedy.undo or FOR_GOOD in remedy.risk, finding.code


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_what_is_unknown_has_a_next_step_that_says_what_it_changes(one: Recorded) -> None:
    for finding in findings(one):
        if finding.status is Status.UNKNOWN and finding.code not in NOTHING_TO_SETTLE:
            assert finding.remedies, finding.code
            assert finding.remedies[0].summary.startswith("To find out: "), finding.code
            assert finding.remedies[0].risk, finding.code


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_every_command_of_a_remedy_parses_in_a_shell(one: Recorded) -> None:
    lines = {line for finding in findings(one) for remedy in finding.remedies for line in commands(remedy)}
    script = "\n".join(sorted(lines))
    assert all("\n" not in line for line in lines)
    parsed = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert parsed.returncode == 0, f"{parsed.stderr}\n{script}"


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_files_are_edited_and_put_back_through_links(one: Recorded) -> None:
    for line in (
        line for finding in findings(one) for remedy in finding.remedies for line in commands(remedy)
    ):
        assert "sed -i" not in line or "sed -i --follow-symlinks" in line
        assert "cp -a" not in line


def commands(remedy: Remedy) -> tuple[str, ...]:
    return (*remedy.now, *remedy.lasting, *remedy.verify, *remedy.undo)
