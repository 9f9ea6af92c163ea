"""Who sends the probes that somebody asked for: one of each class of like containers, and the host."""

from typing import TYPE_CHECKING

from dockerdiag.asked import Asked
from dockerdiag.dataclass import replace
from dockerdiag.diagnosis import asked_case
from dockerdiag.packet.packet import without_zone
from dockerdiag.packet.plan import resolvers, sources, upstream
from dockerdiag.packet.world import World
from dockerdiag.readers import send_probes
from dockerdiag.snapshot import Container, Snapshot, TextFile, Unread

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerdiag.readers.probe import Sender


def with_probes(
    snapshot: Snapshot, asked: Asked, seconds: float, progress: "Callable[[str], None] | None" = None
) -> Snapshot:
    """The snapshot with what probes met; sends them.

    Args:
        snapshot: The host as it is now.
        asked: From whom, and where to.
        seconds: When they pass, what is open is not sent.
        progress: Called with a few words whenever a probe begins.

    Raises:
        AskedError: a container or network that was asked about is not there.
    """
    probes = send_probes(_senders(snapshot, asked), asked.destinations, seconds, progress)
    return replace(snapshot, probes=probes)


def _senders(snapshot: Snapshot, asked: Asked) -> "tuple[Sender, ...]":
    from dockerdiag.readers.probe import Sender  # noqa: PLC0415 - only a run with --probe needs it

    case = asked_case(snapshot, asked)
    host = Sender(None, None, None, _nameservers(snapshot.resolv_conf))
    if case.engine is None or case.engine_elsewhere() is not None:
        return (host,)
    world = World(snapshot)
    found = []
    for source in sources(world, case.asked_containers, asked.networks):
        container = source.container
        if container is None or container.pid is None or container.namespace is None:
            continue
        is_host = container.namespace == snapshot.network.name
        pid = None if is_host else container.pid
        found.append(Sender(container.name, pid, container.namespace, _servers(world, container)))
    return (*found, host)


def _servers(world: World, container: Container) -> tuple[str, ...]:
    """The resolvers of a container's own file, then those that the engine's resolver asks for it."""
    beyond = (str(without_zone(one)) for one in resolvers(container, upstream(world)))
    return tuple(dict.fromkeys((*_nameservers(container.resolv_conf), *beyond)))


def _nameservers(file: TextFile | Unread | None) -> tuple[str, ...]:
    if not isinstance(file, TextFile):
        return ()
    lines = (line.split() for line in file.text.splitlines())
    return tuple(
        words[1].partition("%")[0] for words in lines if words[:1] == ["nameserver"] and len(words) > 1
    )
