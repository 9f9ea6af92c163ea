"""`dockerdiag trace` names what real firewalls and routes do to a packet; their healthy twins deliver it.

Each case is one host: the twin is set up and measured first, then the fault is made of it. Traffic decides.
"""

import os
from collections.abc import Callable

import pytest

from tests.lab.drive import assert_traffic_flows, assert_traffic_is_hit, set_up
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost
from tests.lab.results import Step
from tests.lab.scenario import Container, Fault, Traffic
from tests.lab.traced import CASES, Traced
from tests.lab.wires import DEFAULT_TARGET

pytestmark = pytest.mark.lab

TARGET = Traffic(DEFAULT_TARGET, 443)


def planned() -> list[tuple[Traced, str]]:
    """Each case on one engine, in turn; on all with DOCKERDIAG_LAB_MATRIX."""
    suites = chosen_suites()
    if os.environ.get("DOCKERDIAG_LAB_MATRIX"):
        return [(case, suite) for case in CASES for suite in suites]
    return [(case, suites[index % len(suites)]) for index, case in enumerate(CASES)]


@pytest.mark.parametrize(
    ("case", "suite"), planned(), ids=[f"{case.name}-{suite}" for case, suite in planned()]
)
def test_trace_names_the_stop_and_delivers_by_its_twin(
    case: Traced, suite: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("scenario", f"trace: {case.name}")
    record_property("suite", suite)
    scenario = Fault(
        name=case.name,
        setup=case.setup,
        tunnel=case.tunnel,
        containers=(Container(traffic=(TARGET,)),),
    )
    with LabHost(suite) as host:
        set_up(host, scenario)
        if case.reboot:
            host.reboot()
        host.run_all(case.twin)
        assert_traffic_flows(host, scenario, "on the healthy twin")
        assert_ends(host, ("delivered",), code=0)
        record_property("proven", Step.FLOWS.value)
        host.run_all(case.fault)
        assert_traffic_is_hit(host, scenario)
        record_property("proven", Step.STOPPED.value)
        assert_ends(host, (case.disposition, *case.at), code=2, rule=case.rule)
        record_property("proven", Step.NAMED.value)


def assert_ends(host: LabHost, expected: tuple[str, ...], code: int, rule: str = "") -> None:
    ran = host.dockerdiag("trace", "web", f"{TARGET.address}:{TARGET.port}", "-f", "json")
    walk = ran.json()["walks"][0]
    told = f"{walk['disposition']} at {walk['at']}"
    hops = "\n".join(
        f"{hop['direction']} {hop['place']}: {hop['verdict']}: {hop['text']}" for hop in walk["hops"]
    )
    assert all(part in told for part in expected), f"{told}, not {expected}\n{hops}"
    assert ran.code == code, f"{told}: exit {ran.code}"
    shown = [hop["rule"]["text"] for hop in walk["hops"] if hop["stop"] and hop["rule"]]
    assert not rule or any(rule in text for text in shown), f"{told}: {shown}, not {rule}"
