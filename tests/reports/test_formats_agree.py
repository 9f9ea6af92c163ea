"""One report has one verdict and one exit code, whoever renders it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.registry import formats
from dockerdiag.report import EXIT_CODES, Evidence, Report, Verdict
from dockerdiag_reports import html
from dockerdiag_reports.outline import outline
from tests.recorded import Recorded, name_of, recorded
from tests.reports.hostile import texts
from tests.reports.samples import BROKEN, FORWARD_DROP, SAMPLES, hostile

FORMATS, NOT_LOADED = formats()
Told = tuple[str, int | None]
"""The verdict, and the exit code where the format tells it."""


def of_text(output: str) -> Told:
    return output.splitlines()[-1].partition(": ")[0], None


def of_html(output: str) -> Told:
    verdict = re.search(r"<strong>(ok|degraded|broken|unknown)</strong>", output)
    code = re.search(r'<span id="exit-code">(\d)</span>', output)
    assert verdict
    assert code
    assert html.read_back(output).verdict.value == verdict[1]
    return verdict[1], int(code[1])


def of_json(output: str) -> Told:
    return json.loads(output)["verdict"], None


def of_markdown(output: str) -> Told:
    found = re.match(r"\*\*([a-z]+):\*\* [^\n]+\n\nHost [^\n]+; exit code (\d)\.\n", output)
    assert found
    return found[1], int(found[2])


def of_nagios(output: str) -> Told:
    code = ("OK", "WARNING", "CRITICAL", "UNKNOWN").index(output.partition(": ")[0])
    return verdict_of(code), code


def of_checkmk(output: str) -> Told:
    found = re.fullmatch(r'(\d) "dockerdiag" \S+ ([a-z]+): [^\n]*\n', output)
    assert found
    return found[2], int(found[1])


def of_prometheus(output: str) -> Told:
    (verdict,) = re.findall(r'^dockerdiag_verdict\{verdict="([a-z]+)"\} 1$', output, re.MULTILINE)
    return verdict, None


def of_junit(output: str) -> Told:
    values = {
        each.attrib["name"]: each.attrib["value"] for each in ET.fromstring(output.encode()).iter("property")
    }
    return values["verdict"], int(values["exit_code"])


READERS: Mapping[str, Callable[[str], Told]] = {
    "text": of_text,
    "html": of_html,
    "json": of_json,
    "markdown": of_markdown,
    "nagios": of_nagios,
    "checkmk": of_checkmk,
    "prometheus": of_prometheus,
    "junit": of_junit,
}


def verdict_of(code: int) -> str:
    return next(verdict.value for verdict, each in EXIT_CODES.items() if each == code)


def assert_agreement(report: Report) -> None:
    for name, read in READERS.items():
        verdict, code = read(FORMATS[name].render(report, RenderOptions()))
        assert verdict == report.verdict.value, name
        assert code in {None, report.exit_code}, name


def verdict_by_counts(fails: int, unknowns: int, warnings: int) -> str:
    return "broken" if fails else "unknown" if unknowns else "degraded" if warnings else "ok"


def test_every_format_is_compared() -> None:
    assert set(FORMATS) >= set(READERS)
    assert not [one for one in NOT_LOADED if one.distribution == "dockerdiag"]
    assert {name for name, one in FORMATS.items() if one.render.__module__.startswith("dockerdiag_")} == set(
        READERS
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_formats_agree(name: str) -> None:
    assert_agreement(SAMPLES[name])


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_formats_agree_on_recorded_hosts(one: Recorded) -> None:
    assert_agreement(one.report())


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_what_monitors_count_gives_the_verdict(one: Recorded) -> None:
    report = one.report()
    shown = {
        name: FORMATS[name].render(report, RenderOptions()) for name in ("nagios", "prometheus", "junit")
    }
    first = shown["nagios"].splitlines()[0]
    counts = [int(re.search(rf" {label}=(\d+)", first)[1]) for label in ("fail", "unknown", "warn")]
    assert verdict_by_counts(*counts) == report.verdict.value
    counts = [
        sum(
            map(
                int,
                re.findall(
                    rf'^dockerdiag_findings\{{.*status="{status}"\}} (\d+)$',
                    shown["prometheus"],
                    re.MULTILINE,
                ),
            )
        )
        for status in ("fail", "unknown", "warn")
    ]
    assert verdict_by_counts(*counts) == report.verdict.value
    suite = ET.fromstring(shown["junit"].encode())
    failures = [each.attrib["type"].partition(".")[0] for each in suite.iter("failure")]
    errors = len(list(suite.iter("error")))
    assert verdict_by_counts(failures.count("fail"), errors, failures.count("warn")) == report.verdict.value


@settings(deadline=None, max_examples=40)
@given(texts, st.sampled_from(Verdict))
def test_formats_agree_on_hostile_hosts(planted: str, verdict: Verdict) -> None:
    assert_agreement(replace(hostile(planted), verdict=verdict))


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
def test_a_format_names_itself(format_: Format) -> None:
    assert format_.suffixes
    assert all(suffix.startswith(".") for suffix in format_.suffixes)
    assert "/" in format_.media_type


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
def test_the_same_report_gives_the_same_text(format_: Format, verbose: bool) -> None:
    options = RenderOptions(verbose=verbose)
    for report in SAMPLES.values():
        shown = format_.render(report, options)
        assert shown == format_.render(report, options)
        assert shown.endswith("\n")
        assert not shown.endswith("\n\n")


def test_no_two_formats_claim_one_suffix() -> None:
    suffixes = [suffix for format_ in FORMATS.values() for suffix in format_.suffixes]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("name", ["text", "markdown"])
def test_a_second_rule_of_the_causes_network_is_told_too(name: str) -> None:
    second = replace(FORWARD_DROP, evidence=(Evidence("iptables-nft ip raw PREROUTING rule 7", "-j DROP"),))
    both = tuple(
        replace(each, findings=(*each.findings, second)) if each.check == "forward-policy" else each
        for each in BROKEN.results
    )
    shown = FORMATS[name].render(replace(BROKEN, results=both), RenderOptions())
    assert "raw PREROUTING rule 7" in shown
    assert "raw PREROUTING rule 7" not in FORMATS[name].render(BROKEN, RenderOptions())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text", "hence It comes of that"),
        ("html", "From this follows:"),
        ("markdown", "from this follows: It comes of that"),
        ("nagios", "hence: "),
        ("junit", "follows from: other on link:eth1"),
    ],
)
def test_what_follows_from_another_finding_than_the_cause_stands_with_that_one(name: str, words: str) -> None:
    other = replace(FORWARD_DROP, code="other", subject="link:eth1", explains=("third link:eth2",))
    third = replace(
        FORWARD_DROP, code="third", subject="link:eth2", summary="It comes of that", explains=(), remedies=()
    )
    first, *rest = BROKEN.results
    report = replace(BROKEN, results=(replace(first, findings=(third, other, *first.findings)), *rest))
    told = outline(report)
    (entry,) = (one for one in told.others if one.finding.code in ("other", "third"))
    assert (entry.finding, [one.finding for one in entry.hence]) == (other, [third])
    assert told.following[-1].finding == third
    assert words in FORMATS[name].render(report, RenderOptions())
