"""Two faults at once: the one that bites first is the cause, the other is told beside it, and both are mended in turn."""

from collections.abc import Callable

from tests.lab import judge
from tests.lab.drive import assert_traffic_flows, wait_for_containers
from tests.lab.host import LabHost, Ran
from tests.lab.scenario import Fault, Scenario
from tests.lab.scenarios import forward_rules, forwarding, masquerade, paths, wrong_rules

_ALONE = {
    scenario.name: scenario
    for module in (forward_rules, forwarding, masquerade, paths, wrong_rules)
    for scenario in module.SCENARIOS
}


def pair(first: str, second: str) -> Scenario:
    """Both faults on one host, in the order in which a packet meets them."""
    one, other = _ALONE[first], _ALONE[second]
    return Fault(
        name=f"{first}-and-{second}",
        setup=(*one.setup, *other.setup),
        break_=(*one.break_, *other.break_),
        mend=(*one.mend, *other.mend),
        cause=one.cause,
        remedy=False,
        also=_then(one, other),
    )


def _then(one: Scenario, other: Scenario) -> Callable[[LabHost, Ran], None]:
    def both_are_told_and_mended(host: LabHost, ran: Ran) -> None:
        report = ran.json()
        assert other.cause
        judge.assert_told(report, other.cause)
        host.run_all(judge.first_remedy(report)["now"])
        wait_for_containers(host, one)
        report = judge.assert_expected(judge.ask(host, other), other)
        host.run_all(judge.first_remedy(report)["now"])
        wait_for_containers(host, one)
        assert_traffic_flows(host, one, "after both remedies")
        judge.assert_ok(judge.ask(host, one), "after both remedies")

    return both_are_told_and_mended


SCENARIOS = (
    pair("ip-forward-off", "masquerade-deleted"),
    pair("masquerade-deleted", "docker-user-drops-replies"),
    pair("container-firewall-shut", "docker-user-drops-replies"),
    pair("veth-off-bridge", "ip-forward-off"),
    pair("bridge-forwarding-off", "uplink-forwarding-off"),
    pair("uplink-forwarding-off", "docker-user-drops-replies"),
    pair("legacy-forward-drop", "mangle-drops-at-postrouting"),
    pair("policy-rule-refuses", "docker-user-drops-replies"),
    pair("bridge-down", "legacy-forward-drop"),
    pair("container-route-gone", "masquerade-deleted"),
    pair("raw-drops-answers", "uplink-forwarding-off"),
)
