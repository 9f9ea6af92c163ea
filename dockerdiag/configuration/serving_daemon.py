"""Which of a host's dockerd processes serves the engine, and whether docker.service started it."""

from dockerdiag.configuration.dockerd_flags import parse_flags
from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot import DaemonProcess, Engine, ServiceUnit, Snapshot, Unread

_DEFAULT_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Serving:
    """The daemon behind the engine."""

    process: DaemonProcess | None
    unknown: str | None
    """Why it cannot be told. Without a process and without a reason none runs."""
    managed: bool | None
    """Whether it is the main process of docker.service."""


def serving_daemon(snapshot: Snapshot) -> Serving:
    """Chooses the dockerd that serves the engine which the snapshot speaks of."""
    if isinstance(snapshot.engine, Engine) and not snapshot.engine.local:
        return Serving(None, "the engine runs on another host", None)
    if isinstance(snapshot.daemons, Unread):
        return Serving(None, snapshot.daemons.reason, None)
    if not snapshot.daemons:
        return Serving(None, None, None)
    service = snapshot.service if isinstance(snapshot.service, ServiceUnit) else None
    candidates = snapshot.daemons
    if len(candidates) > 1:
        candidates = _serving(candidates, snapshot, service)
    if len(candidates) != 1:
        pids = ", ".join(str(process.pid) for process in snapshot.daemons)
        return Serving(
            None, f"several dockerd run (process {pids}), which one serves the engine is unknown", None
        )
    return Serving(candidates[0], None, _managed(candidates[0], snapshot, service))


def _managed(process: DaemonProcess, snapshot: Snapshot, service: ServiceUnit | None) -> bool | None:
    if isinstance(snapshot.service, Unread):
        return None
    if service is None:
        return False
    if service.main_pid is None:
        return False if service.active_state in ("inactive", "failed") else None
    return service.main_pid == process.pid


def _serving(
    processes: tuple[DaemonProcess, ...], snapshot: Snapshot, service: ServiceUnit | None
) -> tuple[DaemonProcess, ...]:
    endpoint = (
        snapshot.engine.endpoint if isinstance(snapshot.engine, Engine) else f"unix://{_DEFAULT_SOCKET}"
    )
    listening = tuple(process for process in processes if _listens_on(process, endpoint))
    main = tuple(process for process in listening if service is not None and process.pid == service.main_pid)
    # A dockerd inside a container listens on a socket of the same name, in a namespace of its own.
    outside = tuple(process for process in listening if process.namespace_is_host is not False)
    return main or outside or listening


def _listens_on(process: DaemonProcess, endpoint: str) -> bool:
    if isinstance(process.command_line, Unread):
        return True
    hosts = parse_flags(process.command_line[1:], None).values.get("host")
    addresses = hosts.value if hosts is not None and isinstance(hosts.value, tuple) else ()
    wanted = _socket_path(endpoint)
    if not addresses:
        return wanted == _socket_path(_DEFAULT_SOCKET)
    return any(
        _socket_path(address) == wanted
        or (address.startswith("fd://") and wanted == _socket_path(_DEFAULT_SOCKET))
        for address in addresses
    )


def _socket_path(address: str) -> str:
    """/var/run is /run on every host that runs systemd."""
    path = address.removeprefix("unix://")
    return f"/run/{path.removeprefix('/var/run/')}" if path.startswith("/var/run/") else path
