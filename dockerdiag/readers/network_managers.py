"""Who configures the host's links besides the engine: systemd-networkd, NetworkManager, dhcpcd and the like."""

import re
from collections.abc import Iterator

from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import namespace_of, pids, process_name
from dockerdiag.snapshot import LinkOwner, NetworkManagers, TextFile

PROCESSES = ("systemd-networkd", "NetworkManager", "dhcpcd", "connmand", "ndppd")
_COMM_LENGTH = 15
"""Of /proc/PID/comm, which holds no more of a name."""
_UNITS = (
    "systemd-networkd.service",
    "NetworkManager.service",
    "dhcpcd.service",
    "connman.service",
    "networking.service",
)
_WANTS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
_NETWORKD = (
    "/etc/systemd/network",
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
)
_NETWORKD_LINKS = "/run/systemd/netif/links"
_NETWORK_MANAGER_LINKS = "/run/NetworkManager/devices"
_DHCPCD = "/etc/dhcpcd.conf"


def read_network_managers(tree: Tree) -> NetworkManagers:
    """Which of them run or start at boot, their files, and which links they take for theirs.

    Raises:
        ReadError: where a file exists and cannot be read.
    """
    return NetworkManagers(
        running=tuple(sorted(set(_running()))),
        enabled=tuple(sorted(set(_enabled(tree)))),
        files=tuple(_files(tree)),
        owners=(*_networkd(tree), *_network_manager(tree)),
    )


def _running() -> Iterator[str]:
    here = namespace_of("self")
    by_comm = {name[:_COMM_LENGTH]: name for name in PROCESSES}
    for pid in pids():
        name = by_comm.get(process_name(pid) or "")
        if name is not None and _namespace(pid) == here:
            yield name


def _namespace(pid: int) -> str | None:
    try:
        return namespace_of(pid)
    except OSError:
        return None  # it ended, or is somebody else's


def _enabled(tree: Tree) -> Iterator[str]:
    for directory in _WANTS:
        for name in tree.names(directory):
            if name.endswith((".wants", ".requires")):
                yield from set(_UNITS) & set(tree.names(f"{directory}/{name}"))


def _files(tree: Tree) -> Iterator[TextFile]:
    seen: set[str] = set()
    for directory in _NETWORKD:
        resolved = tree.resolve(directory)
        if resolved is None or resolved in seen:
            continue
        seen.add(resolved)
        for name in tree.names(directory):
            if name.endswith(".network"):
                yield from tree.existing(f"{directory}/{name}")
            elif name.endswith(".network.d"):
                for drop_in in tree.names(f"{directory}/{name}"):
                    if drop_in.endswith(".conf"):
                        yield from tree.existing(f"{directory}/{name}/{drop_in}")
    yield from tree.existing(_DHCPCD)


def _networkd(tree: Tree) -> Iterator[LinkOwner]:
    for index, text in _per_link(tree, _NETWORKD_LINKS):
        state, file = _value(text, "ADMIN_STATE"), _value(text, "NETWORK_FILE")
        if state is not None:
            yield LinkOwner(index, "systemd-networkd", file is not None and state != "unmanaged", file)


def _network_manager(tree: Tree) -> Iterator[LinkOwner]:
    for index, text in _per_link(tree, _NETWORK_MANAGER_LINKS):
        managed = _value(text, "managed")
        if managed in ("true", "false"):
            yield LinkOwner(index, "NetworkManager", managed == "true")


def _per_link(tree: Tree, directory: str) -> Iterator[tuple[int, str]]:
    for name in tree.names(directory):
        if name.isdecimal():
            for file in tree.existing(f"{directory}/{name}"):
                yield int(name), file.text


def _value(text: str, key: str) -> str | None:
    found = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else None
