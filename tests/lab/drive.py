"""Plays a scenario on a host, and measures what its traffic really does."""

import time
from collections.abc import Iterator

from tests.lab.host import LabHost
from tests.lab.scenario import Hit, Scenario

# A restarted engine brings its containers back a moment later.
PATIENCE = 20.0
# A test restarts the engine more often in a minute than systemd's start limit lets any admin do.
FORGET_START_LIMIT = "systemctl is-failed --quiet docker || systemctl reset-failed docker || true"


def set_up(host: LabHost, scenario: Scenario) -> None:
    if scenario.tunnel:
        host.wires.join("tun0", "tun0", ("10.8.0.2", "fd00:8::2"), ("10.8.0.1", "fd00:8::1"))
    host.run_all(scenario.setup)
    for container in scenario.containers:
        host.start_container(container.name, container.network, container.options, container.command)
    host.run(FORGET_START_LIMIT)


def break_host(host: LabHost, scenario: Scenario) -> None:
    host.run_all(scenario.break_)
    if scenario.reboot:
        host.reboot()
        wait_for_containers(host, scenario)
    host.run(FORGET_START_LIMIT)


def wait_for_containers(host: LabHost, scenario: Scenario) -> None:
    deadline = time.monotonic() + PATIENCE
    names = " ".join(container.name for container in scenario.containers)
    while names and time.monotonic() < deadline:
        states = host.run(f"docker inspect --format '{{{{.State.Running}}}}' {names}").stdout.split()
        if states == ["true"] * len(scenario.containers):
            return
        time.sleep(0.2)


def assert_traffic_flows(host: LabHost, scenario: Scenario, when: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while stopped := [flow for flow, _, flows in measured(host, scenario) if not flows]:
        if time.monotonic() > deadline:
            raise AssertionError(f"{when}, these do not get through: {', '.join(stopped)}")
        time.sleep(0.3)


def assert_traffic_is_hit(host: LabHost, scenario: Scenario) -> None:
    deadline = time.monotonic() + PATIENCE
    while wrong := [
        f"{flow} {'gets through' if flows else 'does not'}"
        for flow, hit, flows in measured(host, scenario)
        if flows == hit
    ]:
        if time.monotonic() > deadline:
            raise AssertionError(f"after the break, {', '.join(wrong)}")
        time.sleep(0.3)


def measured(host: LabHost, scenario: Scenario) -> Iterator[tuple[str, bool, bool]]:
    """Each flow, whether the scenario says that it is stopped, and whether it really gets through."""
    for container in scenario.containers:
        for to in container.traffic:
            hit = scenario.hits is Hit.CONTAINERS and container.hit
            flows = host.reaches(container.name, to.address, to.port, to.protocol)
            yield f"{container.name} to {to}", hit, flows
        for to in container.asked:
            flows = host.is_reached(to.address, to.port, to.protocol)
            yield f"from outside to {to}", scenario.hits is Hit.PUBLISHED and container.hit, flows
        for to in container.peers:
            flows = host.reaches(container.name, to.address, to.port, to.protocol)
            yield f"{container.name} to its peer {to}", scenario.hits is Hit.PEERS and container.hit, flows
    if scenario.hits is Hit.ENGINE or scenario.engine_pulls:
        yield "a pull", scenario.hits is Hit.ENGINE, host.engine_reaches_registry(scenario.registry)
