from dataclasses import replace

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Snapshot
from tests.checks.hosts import cause_of, judged, links, told

DOWN = "macvlan-parent-down-trixie"


def without_parent(snapshot: Snapshot) -> Snapshot:
    assert isinstance(snapshot.network.links, tuple)
    left = tuple(one for one in snapshot.network.links if one.name != "tun0")
    return replace(snapshot, network=replace(snapshot.network, links=left))


def test_the_parent_is_the_cause_of_what_its_children_meet() -> None:
    report = judged(recorded=DOWN)
    assert cause_of(report) == ("macvlan", "macvlan-parent-down", "network:lan")
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("ip link set tun0 up",)
    others = {finding.id for finding in told(report, Status.FAIL).values()} - {report.cause.id}
    assert others <= set(report.cause.explains)


def test_a_parent_that_is_gone_is_told() -> None:
    report = judged(without_parent, recorded=DOWN)
    assert "macvlan-parent-missing" in told(report, Status.FAIL)


def test_a_parent_that_is_up_is_nothing_to_tell() -> None:
    assert "macvlan-parent-down" not in told(judged(links("tun0", up=True), recorded=DOWN))
    assert judged(recorded="macvlan-beside-bridge-trixie").verdict is Verdict.OK
