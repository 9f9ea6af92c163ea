"""The engine's configuration file: the one that the running daemon, or else its unit, was told to read."""

import re
from collections.abc import Sequence
from functools import partial

from dockerdiag.readers.deadline import unread_on_error
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import command_line_of, home_of, user_of, whose_files
from dockerdiag.snapshot import DaemonProcess, ServiceUnit, TextFile, Unread

_FLAG = re.compile(r"--config-file(?:=|\s+)[\"']?([^\s\"';]+)")
_DEFAULT = "/etc/docker/daemon.json"
_SNAP = "/var/snap/docker/current/config/daemon.json"


def read_daemon_json(
    tree: Tree, daemons: Sequence[DaemonProcess], service: ServiceUnit | None
) -> TextFile | None:
    """The file; None where it does not exist.

    Raises:
        ReadError: where it cannot be read, or only a process that is not root's names it and it is not its user's.
    """
    owners = {one.pid: unread_on_error(partial(whose_files, one.pid)) for one in daemons}
    first = min(
        daemons, key=lambda one: (owners[one.pid] is not None, not one.namespace_is_host), default=None
    )
    # Its number may be another process's by now, which is trusted more.
    if first is not None and first.command_line != command_line_of(first.pid):
        raise ReadError("dockerd ended while the host was read")
    path = configuration_path(first, service)
    owner = owners[first.pid] if first is not None and path != _DEFAULT else None
    if isinstance(owner, Unread):
        raise ReadError(owner.reason)
    return tree.read(path, owner)


def configuration_path(daemon: DaemonProcess | None, service: ServiceUnit | None) -> str:
    """Where the configuration is read from."""
    if daemon is not None:
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
    user = user_of(daemon.pid)
    home = home_of(user) if user else None
    return _DEFAULT if home is None else f"{home}/.config/docker/daemon.json"
