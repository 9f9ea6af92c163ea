"""Engine 29 with nftables and with iptables, by a stand-in with its own rules: healthy hosts, and faults that are mended.

One host a backend serves all cases: between them its rules are loaded anew, and where they are of another page its
containers and networks made anew. DOCKERDIAG_LAB_MATRIX=1 runs every case; without it those that say `always`.
With DOCKERDIAG_LAB_LASTING=1 remedies are undone and run again too.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from subprocess import CalledProcessError

import pytest

from tests.lab import engine29, judge
from tests.lab.drive import assert_traffic_flows, assert_traffic_is_hit, break_host, wait_for_containers
from tests.lab.engine29_cases import CASES, Case, Page
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost
from tests.lab.results import Step
from tests.lab.scenario import Hit, Scenario
from tests.lab.wires import HOST_ADDRESS

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        not engine29.GOLDEN.is_dir(), reason="engine 29's own rule sets are not beside this checkout"
    ),
    pytest.mark.skipif(engine29.SUITE not in chosen_suites(), reason="DOCKERDIAG_LAB_ENGINE leaves sid out"),
]

PLAN = [
    (case, backend)
    for backend in engine29.BACKENDS
    for case in CASES
    if backend in case.backends and (case.always or "DOCKERDIAG_LAB_MATRIX" in os.environ)
]


class StandIn:
    """A host with the stand-in, set up as one page says."""

    def __init__(self, host: LabHost, backend: str) -> None:
        self.host = host
        self.backend = backend
        self.page: Page | None = None
        engine29.install(host, backend)

    @contextmanager
    def serving(self, case: Case) -> Iterator[LabHost]:
        """The host, healthy, for one case."""
        if self.page is not case.page:
            self.set_up(case.page)
        engine29.load(self.host, case.page.rules, self.backend)
        try:
            yield self.host
            self.host.run_all(case.scenario.mend)
        except BaseException:
            self.host.run("; ".join(case.scenario.mend))
            self.clear()
            raise

    def set_up(self, page: Page) -> None:
        self.clear()
        self.page = page
        try:
            self.host.run_all(page.setup)
            for one in page.containers:
                self.host.start_container(one.name, one.network, one.options, one.command)
            if page.routed:
                self.host.wires.in_internet("route", "add", page.routed, "via", HOST_ADDRESS)
        except BaseException:
            self.clear()
            raise

    def clear(self) -> None:
        page, self.page = self.page, None
        if page is None:
            return
        if page.routed:
            with suppress(CalledProcessError):  # it was not set up so far
                self.host.wires.in_internet("route", "delete", page.routed)
        self.host.run("docker rm --force $(docker ps --all --quiet); docker network prune --force")
        self.host.run("; ".join(page.undo))


@pytest.fixture(scope="module")
def stand_in_with() -> Iterator[Callable[[str], StandIn]]:
    """One host at a time, kept for all cases of its backend."""
    with ExitStack() as hosts:
        booted: dict[str, StandIn] = {}

        def stand_in(backend: str) -> StandIn:
            if backend not in booted:
                hosts.close()
                booted.clear()
                booted[backend] = StandIn(hosts.enter_context(LabHost(engine29.SUITE)), backend)
            return booted[backend]

        yield stand_in


@pytest.mark.parametrize(
    ("case", "backend"), [pytest.param(*each, id=f"{each[0].scenario.name}, {each[1]}") for each in PLAN]
)
def test_engine_29(
    case: Case,
    backend: str,
    stand_in_with: Callable[[str], StandIn],
    record_property: Callable[[str, object], None],
) -> None:
    def proven(step: Step) -> None:
        record_property("proven", step.value)

    scenario = case.scenario
    record_property("scenario", f"engine 29: {scenario.name}")
    record_property("suite", backend)
    with stand_in_with(backend).serving(case) as host:
        if not scenario.broken_from_the_start:
            assert_traffic_flows(host, scenario, "before the break")
        break_host(host, scenario)
        assert_traffic_is_hit(host, scenario)
        proven(Step.FLOWS if scenario.hits is Hit.NOTHING else Step.STOPPED)
        report = judge.assert_expected(judge.ask(host, scenario), scenario)
        proven(Step.NAMED if scenario.cause else Step.SILENT)
        if scenario.cause:
            remedy = judge.first_remedy(report)
            assert_mended(host, scenario, remedy["now"])
            proven(Step.MENDED)
            if os.environ.get("DOCKERDIAG_LAB_LASTING") and remedy["undo"]:
                host.run_all(remedy["undo"])
                assert_traffic_is_hit(host, scenario)
                judge.assert_expected(judge.ask(host, scenario), scenario)
                proven(Step.UNDONE)


def assert_mended(host: LabHost, scenario: Scenario, now: list[str]) -> None:
    host.run_all(now)
    wait_for_containers(host, scenario)
    assert_traffic_flows(host, scenario, f"after {now}")
    judge.assert_ok(judge.ask(host, scenario), f"after {now}")
