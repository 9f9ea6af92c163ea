"""Which other services changed the host after the engine started, in words for evidence."""

from collections.abc import Iterable
from datetime import UTC, datetime

from dockerdiag.case import Case
from dockerdiag.report import Evidence
from dockerdiag.snapshot import RULE_MAKERS, ServiceState, ServiceUnit, Unread


def service_state(case: Case, name: str) -> ServiceState | None:
    """What systemd says of a service; None where it is not installed, or was not asked."""
    services = case.snapshot.services
    return None if isinstance(services, Unread) else next((one for one in services if one.name == name), None)


def in_use(state: ServiceState | None) -> bool:
    """Whether a service runs, or starts at boot."""
    return state is not None and (state.active_state == "active" or state.unit_file_state == "enabled")


def after_engine(case: Case, names: Iterable[str] = RULE_MAKERS) -> tuple[Evidence, ...]:
    """The services of these that started, or were reloaded, after docker.service did; the last first."""
    service = case.snapshot.service
    started = service.active_since if isinstance(service, ServiceUnit) else None
    if started is None:
        return ()
    states = [state for name in names if (state := service_state(case, name)) is not None]
    later = [
        (moment, state.name)
        for state in states
        if (moment := max(state.active_since or 0.0, state.changed_at or 0.0)) > started
    ]
    return tuple(
        Evidence(
            f"systemctl show {name}", f"{_clock(moment)}, {_duration(moment - started)} after docker.service"
        )
        for moment, name in sorted(later, reverse=True)
    )


def _clock(moment: float) -> str:
    return f"started or changed at {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 1)} s"
