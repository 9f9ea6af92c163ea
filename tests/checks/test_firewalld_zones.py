"""A bridge in a zone of somebody else's, before the engine's next start finds it there."""

from dataclasses import replace

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import ServiceState, TextFile
from tests.checks.hosts import Change, command_line, engine, judged, told

CODE = "firewalld-zone-conflict-ahead"
RUNS = ServiceState("firewalld.service", "active", "enabled")
ZONE = '<?xml version="1.0"?>\n<zone target="ACCEPT">\n  <interface name="{}"/>\n</zone>\n'


def zone(name: str, text: str = ZONE.format("docker0"), state: ServiceState | None = RUNS) -> Change:
    file = TextFile(f"/etc/firewalld/zones/{name}.xml", text)
    services = (state,) if state is not None else ()
    return lambda snapshot: replace(snapshot, firewall_files=(file,), services=services)


def test_a_bridge_in_another_zone_keeps_the_engine_from_its_next_start() -> None:
    found = told(judged(zone("trusted")))[CODE]
    assert (found.status, found.subject) == (Status.WARN, "link:docker0")
    assert found.evidence[0].source == "/etc/firewalld/zones/trusted.xml:3"
    assert "does not start" in found.summary
    assert found.remedies[0].now == (
        "firewall-cmd --permanent --zone=trusted --remove-interface=docker0",
        "firewall-cmd --zone=docker --change-interface=docker0",
    )


def test_a_firewalld_that_starts_at_boot_alone_is_told_offline() -> None:
    found = told(judged(zone("trusted", state=replace(RUNS, active_state="inactive"))))[CODE]
    assert found.remedies[0].now == ("firewall-offline-cmd --zone=trusted --remove-interface=docker0",)


@pytest.mark.parametrize(
    "change",
    [
        zone("docker"),
        zone("trusted", ZONE.format("eth0")),
        zone("trusted", f"<zone>\n<!--\n{ZONE.format('docker0')}-->\n</zone>\n"),
        zone("trusted", state=None),
        zone("trusted", state=ServiceState("firewalld.service", "inactive", "disabled")),
    ],
)
def test_what_is_no_conflict(change: Change) -> None:
    assert judged(change).verdict is Verdict.OK


def test_an_engine_that_has_no_zone_of_its_own() -> None:
    for change in (command_line("--iptables=false"), engine(version="19.03.15")):
        assert CODE not in told(judged(zone("trusted"), change))
