"""What a restart of the engine does to this host's containers, for the risk of each remedy that restarts it."""

from dockerdiag.case import Case
from dockerdiag.report import Remedy
from dockerdiag.snapshot import Container, Unread
from dockerdiag_checks.commands import sh
from dockerdiag_checks.wording import FOR_GOOD, listed, retry

_IN_GENERAL = (
    "A restart of the engine stops its containers unless live-restore is on; "
    "those without a restart policy stay stopped."
)
_COMES_BACK = ("always", "unless-stopped")


def restart_risk(case: Case) -> str:
    """Which containers a restart stops, and which of them do not come back; in general where that was not read."""
    engine = case.engine
    # What a swarm runs it starts anew elsewhere or here, by its own rules.
    if engine is None or isinstance(engine.containers, Unread) or engine.swarm != "inactive":
        return _IN_GENERAL
    if engine.live_restore:
        return "A restart of the engine leaves its containers running: live-restore is on."
    # Of one that the engine gives no answer about, no process is known.
    running = [one for one in engine.containers if one.pid is not None or one.state == "running"]
    if not running:
        return "A restart of the engine stops no container: none is running."
    policies = [one.restart_policy for one in running]
    if any(isinstance(policy, Unread) for policy in policies):
        return _IN_GENERAL
    return f"A restart of the engine stops its containers{_afterwards(running)}."


def rules_made_again(case: Case) -> Remedy:
    """A restart, by which the engine makes its rules anew."""
    return Remedy(
        summary="Let the engine make its rules again",
        now=(sh("systemctl", "restart", "docker"),),
        verify=retry(case),
        risk=f"{restart_risk(case)} {FOR_GOOD}",
    )


def _afterwards(running: list[Container]) -> str:
    removed = [one.name for one in running if one.auto_remove]
    lost = [
        one.name
        for one in running
        if not one.auto_remove and one.restart_policy not in (*_COMES_BACK, "on-failure")
    ]
    perhaps = [one.name for one in running if one.restart_policy == "on-failure"]
    parts = []
    if lost:
        parts.append(
            f"without a restart policy, {listed(lost, 'container')} {_do(lost, 'stays', 'stay')} stopped"
        )
    if perhaps:
        parts.append(f"started again on failure alone, {listed(perhaps, 'container')} may stay stopped")
    if removed:
        parts.append(f"run with --rm, {listed(removed, 'container')} {_do(removed, 'is', 'are')} removed")
    return f"; {'; '.join(parts)}" if parts else ", and starts all of them again"


def _do(names: list[str], one: str, several: str) -> str:
    return one if len(names) == 1 else several
