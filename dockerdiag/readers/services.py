"""The services that may change rules, links or routes beside the engine, as systemd's manager tells them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.manager import Manager
from dockerdiag.snapshot import RULE_MAKERS, ServiceState

SERVICES = (
    "docker.service",
    "docker.socket",
    "containerd.service",
    "snap.docker.dockerd.service",
    "podman.socket",
    *RULE_MAKERS,
    "fail2ban.service",
    "crowdsec-firewall-bouncer.service",
    "systemd-networkd.service",
    "NetworkManager.service",
    "dhcpcd.service",
    "systemd-sysctl.service",
)
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "ActiveEnterTimestamp",
    "StateChangeTimestamp",
)


def read_services(manager: Manager | None) -> tuple[ServiceState, ...]:
    """Those that are installed; `manager` is None where systemd does not run.

    Raises:
        ReadError: where the manager cannot be asked.
    """
    if manager is None:
        raise ReadError("systemd does not run")
    return tuple(_installed(manager.shown_if_expected(SERVICES)))


def _installed(units: Iterable[Mapping[str, str]]) -> Iterator[ServiceState]:
    seen: set[str] = set()
    for told in units:
        name = told.get("Id", "")
        # An alias is shown under the name of what it stands for.
        if not name or name in seen or told.get("LoadState") == "not-found":
            continue
        seen.add(name)
        yield ServiceState(
            name=name,
            active_state=told.get("ActiveState", ""),
            unit_file_state=told.get("UnitFileState", ""),
            active_since=systemd_time(told.get("ActiveEnterTimestamp", "")),
            changed_at=systemd_time(told.get("StateChangeTimestamp", "")),
        )


def systemd_time(written: str) -> float | None:
    """`Mon 2026-11-23 20:42:59 UTC` as seconds since the epoch; None where it is empty."""
    try:
        return datetime.strptime(written, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
