"""What firewalld stops is mended by firewalld, by the command that fits why it does."""

import pytest

from tests.checks.hosts import judged


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "sid"])
@pytest.mark.parametrize(
    ("scenario", "command"),
    [
        ("firewalld-panic", "firewall-cmd --panic-off"),
        ("firewalld-policy-drops", "firewall-cmd --policy=quarantine '--add-rich-rule="),
        ("firewalld-zone-refuses", "firewall-cmd --zone=trusted --change-source=172.17.0.0/16"),
        ("firewalld-subnet-in-drop-zone", "firewall-cmd --zone=docker --change-source=172.17.0.0/16"),
    ],
)
def test_the_remedy_fits_the_reason(scenario: str, command: str, suite: str) -> None:
    cause = judged(recorded=f"{scenario}-{suite}").cause
    assert cause is not None
    assert cause.remedies[0].now[0].startswith(command)


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "sid"])
def test_a_zone_that_refuses_at_several_places_is_told_once(suite: str) -> None:
    report = judged(recorded=f"firewalld-zone-refuses-{suite}")
    told = [f for result in report.results if result.check == "forward-policy" for f in result.findings]
    assert len(told) == 1
