"""The engine's configuration file: the one that the running daemon, or else its unit, was told to read."""

import re
from collections.abc import Sequence

from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import home_of
from dockerdiag.snapshot import DaemonProcess, ServiceUnit, TextFile, Unread

_FLAG = re.compile(r"--config-file(?:=|\s+)[\"']?([^\s\"';]+)")
_DEFAULT = "/etc/docker/daemon.json"
_SNAP = "/var/snap/docker/current/config/daemon.json"


def read_daemon_json(
    tree: Tree, daemons: Sequence[DaemonProcess], service: ServiceUnit | None
) -> TextFile | Unread | None:
    """The file; None where it does not exist."""
    return tree.read_or_reason(configuration_path(daemons, service))


def configuration_path(daemons: Sequence[DaemonProcess], service: ServiceUnit | None) -> str:
    """Where the configuration is read from."""
    for daemon in sorted(daemons, key=lambda one: not one.namespace_is_host):
        told = _named(" ".join(daemon.command_line)) if isinstance(daemon.command_line, tuple) else None
        return told or _default_of(daemon)
    if service is not None:
        loaded = [service.exec_start or ""]
        on_disk = [file.text for file in (*reversed(service.drop_ins), service.fragment) if file]
        for text in (*loaded, *on_disk):
            if told := _named(text):
                return told
        if service.name.startswith("snap."):
            return _SNAP
    return _DEFAULT


def _named(text: str) -> str | None:
    found = _FLAG.findall(text)
    return found[-1] if found else None


def _default_of(daemon: DaemonProcess) -> str:
    """A rootless daemon reads its user's file."""
    try:
        owner, home = home_of(daemon.pid)
    except OSError:
        return _DEFAULT
    if owner == 0 or home is None:
        return _DEFAULT
    return f"{home}/.config/docker/daemon.json"
