"""A run changes nothing on the host that it looks at."""

import pytest

from tests.lab.drive import break_host, set_up
from tests.lab.engines import chosen_suites
from tests.lab.fingerprint import MARK, SETTLE, fingerprint
from tests.lab.host import LabHost
from tests.lab.scenario import Scenario
from tests.lab.scenarios import named

pytestmark = pytest.mark.lab

ENGINES = chosen_suites()


@pytest.mark.parametrize("suite", ENGINES)
@pytest.mark.parametrize("scenario", [named("plain"), named("ip-forward-off")], ids=lambda each: each.name)
def test_a_run_leaves_the_host_as_it_was(scenario: Scenario, suite: str) -> None:
    with LabHost(suite) as host:
        set_up(host, scenario)
        break_host(host, scenario)
        host.run_all((SETTLE, MARK))
        before = fingerprint(host)
        ran = host.dockerdiag("-f", "json")
        assert ran.code == scenario.exit_code, ran.stderr
        after = fingerprint(host)
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed
