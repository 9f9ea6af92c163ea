from dataclasses import replace
from typing import Any

import pytest

from dockerdiag.snapshot import Engine, Snapshot, Unread
from tests.checks.hosts import engine, judged, told, without_rules


def risk_of(*containers: dict[str, Any], **of_engine: Any) -> str:
    """What the remedy of a host whose rules are all gone says: to restart the engine."""

    def running(snapshot: Snapshot) -> Snapshot:
        before = snapshot.engine
        assert isinstance(before, Engine)
        assert not isinstance(before.containers, Unread)
        web = next(one for one in before.containers if one.pid is not None)
        return engine(containers=tuple(replace(web, **parts) for parts in containers), **of_engine)(snapshot)

    (remedy,) = told(judged(without_rules, running))["engine-rules-gone"].remedies
    assert remedy.now == ("systemctl restart docker",)
    return remedy.risk.splitlines()[0]


ALWAYS = {"name": "web", "restart_policy": "always"}
NEVER = {"name": "batch", "restart_policy": "no"}


@pytest.mark.parametrize(
    ("containers", "of_engine", "says"),
    [
        ([ALWAYS], {}, "stops its containers, and starts all of them again."),
        ([ALWAYS, NEVER], {}, "without a restart policy, container batch stays stopped."),
        ([NEVER, {**NEVER, "name": "job"}], {}, "containers batch and job stay stopped."),
        ([{**ALWAYS, "restart_policy": "on-failure"}], {}, "container web may stay stopped."),
        ([ALWAYS, {**NEVER, "auto_remove": True}], {}, "run with --rm, container batch is removed."),
        ([NEVER], {"live_restore": True}, "leaves its containers running: live-restore is on."),
        (
            [NEVER],
            {"swarm": "active"},
            "unless live-restore is on; those without a restart policy stay stopped.",
        ),
        ([{"name": "web"}], {}, "unless live-restore is on; those without a restart policy stay stopped."),
    ],
)
def test_the_risk_names_who_stays_stopped(
    containers: list[dict[str, Any]], of_engine: dict[str, Any], says: str
) -> None:
    assert says in risk_of(*containers, **of_engine)
