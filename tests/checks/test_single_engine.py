from dataclasses import replace

import pytest

from dockerdiag.report import Finding, Status
from dockerdiag.snapshot import Snapshot, Unread
from tests.checks.hosts import Change, command_line, daemon_json, judged, told


def beside(*words: str) -> Change:
    """A second dockerd that was started with these words."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.daemons, tuple)
        (first,) = snapshot.daemons
        second = replace(first, pid=9999, command_line=("/usr/sbin/dockerd", *words))
        return replace(snapshot, daemons=(first, second))

    return changed


def second(*changes: Change) -> Finding:
    return told(judged(*changes), Status.WARN, Status.NOTE)["two-engines"]


@pytest.mark.parametrize(
    "words", [(), ("--bridge=docker0",), ("--config-file", "/var/snap/docker/2963/config/daemon.json")]
)
def test_a_second_one_with_the_same_bridge(words: tuple[str, ...]) -> None:
    finding = second(beside(*words))
    assert finding.status is Status.WARN
    assert "kill 9999" in finding.remedies[0].now


def test_one_file_for_both() -> None:
    assert second(daemon_json('{"bridge": "br0"}'), beside()).status is Status.WARN


def test_one_file_for_both_that_was_not_read() -> None:
    unread = second(beside(), lambda snapshot: replace(snapshot, daemon_json=Unread("not permitted")))
    assert unread.status is Status.WARN


@pytest.mark.parametrize(
    "changes",
    [
        (beside("-b", "br1"),),
        (beside("--bridge=none"),),
        (command_line("--bridge=none"), beside("--bridge=none")),
        (command_line("--config-file=/etc/docker/daemon.json", "--bridge=br0"), beside()),
        (daemon_json('{"bridge": "br0"}'), beside("--bridge=docker0")),
        (beside("--config-file", "/etc/docker2/daemon.json"),),
    ],
)
def test_a_second_one_that_does_not_take_this_ones_bridge(changes: tuple[Change, ...]) -> None:
    finding = second(*changes)
    assert (finding.status, finding.remedies) == (Status.NOTE, ())
