from collections.abc import Iterator
from dataclasses import replace

import pytest

from dockerdiag.asked import Asked, AskedError
from dockerdiag.case import Case, Located
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import Broken, Check
from dockerdiag.report import Finding, Report, Status, Verdict
from dockerdiag.snapshot import PREDATED, Unread
from tests.checks.hosts import host, network


def found(code: str, status: Status, subject: str = "host:lab", **parts: object) -> Finding:
    return Finding(code, status, subject, f"{code} is so", **parts)  # type: ignore[arg-type]


def says(name: str, *findings: Finding | Located, place: int = 0, needs: tuple[str, ...] = ()) -> Check:
    return Check(name, f"Is it {name}?", "Tests", place, needs, lambda _: findings, "")


def judged(*checks: Check, broken: tuple[Broken, ...] = ()) -> Report:
    return diagnose(host(), Asked.parse(), checks, broken)


@pytest.mark.parametrize(
    ("statuses", "verdict", "code"),
    [
        ((), Verdict.OK, 0),
        ((Status.PASS, Status.NOTE, Status.SKIP), Verdict.OK, 0),
        ((Status.NOTE, Status.WARN), Verdict.DEGRADED, 1),
        ((Status.WARN, Status.UNKNOWN), Verdict.UNKNOWN, 3),
        ((Status.UNKNOWN, Status.FAIL), Verdict.BROKEN, 2),
    ],
)
def test_the_worst_status_is_the_verdict(statuses: tuple[Status, ...], verdict: Verdict, code: int) -> None:
    report = judged(says("one", *(found(f"f{at}", status) for at, status in enumerate(statuses))))
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_no_cause_where_nothing_is_wrong_or_nothing_is_known() -> None:
    assert judged(says("one", found("a", Status.NOTE))).cause is None
    assert judged(says("one", found("a", Status.WARN), found("b", Status.UNKNOWN))).cause is None


def cause(*checks: Check) -> str:
    report = judged(*checks)
    assert report.cause is not None
    return f"{report.cause.check} {report.cause.code}"


def test_what_fails_comes_before_what_warns() -> None:
    early, late = Located(found("a", Status.WARN), 0), Located(found("b", Status.FAIL), 9)
    assert cause(says("one", early), says("two", late)) == "two b"


def test_of_two_the_one_that_the_packet_meets_first() -> None:
    late, early = Located(found("a", Status.FAIL), 3), Located(found("b", Status.FAIL), 1)
    assert cause(says("one", late), says("two", early)) == "two b"


def test_of_two_at_one_place_the_one_that_hits_more() -> None:
    few, many = (Located(found(code, Status.FAIL, count=n), 0) for code, n in (("a", 1), ("b", 7)))
    assert cause(says("one", few), says("two", many)) == "two b"


def test_what_stops_packets_now_comes_before_what_is_set_wrongly() -> None:
    setting, stopped = found("a", Status.FAIL), Located(found("b", Status.FAIL), 5)
    assert cause(says("one", setting, place=0), says("two", stopped, place=90)) == "two b"


def test_two_findings_of_one_name_keep_their_places() -> None:
    first, second = Located(found("a", Status.FAIL, count=1), 0), Located(found("a", Status.FAIL, count=1), 8)
    between = Located(found("b", Status.FAIL, count=5), 4)
    assert cause(says("one", first, second), says("two", between)) == "one a"


def test_what_another_explains_is_no_cause() -> None:
    symptom = Located(found("masquerade-missing", Status.FAIL, "network:bridge"), 0)
    root = found("iptables-off", Status.FAIL, "engine:lab", explains=("masquerade-missing *",))
    report = judged(says("one", symptom), says("two", root))
    assert report.cause is not None
    assert report.cause.code == "iptables-off"
    assert report.cause.explains == ("masquerade-missing network:bridge",)


def test_explanations_go_on_and_name_only_what_is_there() -> None:
    a = found("a", Status.FAIL, explains=("b *", "nothing *"))
    b = found("b", Status.FAIL, explains=("c *", "b *"))
    c = found("c", Status.WARN)
    report = judged(says("one", a), says("two", b), says("three", c))
    assert [result.findings[0].explains for result in report.results] == [
        ("b host:lab", "c host:lab"),
        ("c host:lab",),
        (),
    ]


def test_a_note_is_not_explained() -> None:
    root = found("a", Status.FAIL, explains=("b *",))
    report = judged(says("one", root), says("two", found("b", Status.NOTE)))
    assert report.cause is not None
    assert report.cause.explains == ()


def test_an_expected_finding_does_not_count() -> None:
    report = judged(says("one", found("a", Status.FAIL, expected="known to us")))
    assert (report.verdict, report.cause) == (Verdict.OK, None)


def test_a_check_that_raises_is_unknown_and_the_others_go_on() -> None:
    def raises(_: Case) -> Iterator[Finding]:
        yield found("a", Status.FAIL)
        raise ValueError("a bug")

    faulty = Check("faulty", "", "Tests", 0, (), raises, "")
    report = judged(faulty, says("two", found("b", Status.PASS)))
    assert report.results[0].status is Status.UNKNOWN
    assert "ValueError: a bug" in (report.results[0].reason or "")
    assert report.results[0].findings == ()
    assert report.results[1].status is Status.PASS
    assert report.verdict is Verdict.UNKNOWN


def test_a_check_that_prints_does_not_reach_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    def prints(_: Case) -> tuple[()]:
        print("look at me")
        return ()

    assert judged(Check("chatty", "", "Tests", 0, (), prints, "")).verdict is Verdict.OK
    assert capsys.readouterr().out == ""


def test_a_part_that_was_not_read_is_unknown_with_its_reason() -> None:
    check = says("one", found("a", Status.FAIL), needs=("network.sysctls",))
    report = diagnose(host(network(sysctls=Unread("not permitted"))), Asked.parse(), [check])
    assert report.results[0].status is Status.UNKNOWN
    assert "not permitted" in (report.results[0].reason or "")


def test_a_check_that_cannot_be_loaded_is_its_packages_fault() -> None:
    report = judged(broken=(Broken("other", "some-package", "ImportError: no"),))
    assert report.results[0].status is Status.UNKNOWN
    assert "some-package" in (report.results[0].reason or "")


def test_why_a_check_cannot_be_loaded_shows_no_credential() -> None:
    broken = Broken("stranger", "a-package", "ValueError: no answer from http://ops:zQ7xhunter@store.example")
    (result,) = diagnose(host(), Asked(), (), (broken,)).results
    assert result.reason is not None
    assert result.reason.endswith("http://***@store.example")


def test_names_that_are_not_there_are_the_askers_error() -> None:
    for asked in (Asked.parse(containers=["nobody"]), Asked.parse(networks=["nowhere"])):
        with pytest.raises(AskedError):
            diagnose(host(), asked, [])


def test_walks_and_facts_are_in_the_report() -> None:
    report = judged()
    assert [walk.to for walk in report.walks] == ["1.1.1.1:443/tcp", "203.0.113.10:53/udp"]
    assert {walk.containers for walk in report.walks} == {("web",)}
    assert report.host["hostname"] == "lab"
    assert report.host["containers"] == 1


def test_a_part_that_nobody_read_then_is_skipped_and_no_unread_one() -> None:
    older = replace(host(), journal=PREDATED)
    report = diagnose(older, Asked.parse(), (says("one", needs=("journal",)),), ())
    assert (report.results[0].status, report.results[0].reason) == (
        Status.SKIP,
        f"journal: {PREDATED.reason}",
    )
    assert (report.verdict, report.unread) == (Verdict.OK, ())
