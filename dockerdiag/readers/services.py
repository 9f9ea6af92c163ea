"""The services that may change rules, links or routes beside the engine, as systemd's manager tells them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.manager import shown, worth_asking_for
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
_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "ActiveEnterTimestamp",
    "StateChangeTimestamp",
)


def read_services(tree: Tree, deadline: Deadline, *, systemd: bool) -> tuple[ServiceState, ...]:
    """Those that are installed.

    Raises:
        ReadError: where the manager cannot be asked.
    """
    if not systemd:
        raise ReadError("systemd does not run")
    # With one that is asked for anyway, so that a manager that cannot be asked is told.
    units = dict.fromkeys((SERVICES[0], *worth_asking_for(SERVICES, tree)))
    return tuple(_installed(shown(tuple(units), _PROPERTIES, deadline)))


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
