"""Which iptables the engine runs."""

from collections.abc import Iterable
from functools import partial

from dockerdiag.readers.deadline import unread_on_error
from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import whose_files
from dockerdiag.snapshot import DaemonProcess, Program, Unread

_NAMES = ("iptables", "ip6tables")
_SYSTEMD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
"""What systemd gives a service that sets none."""


def read_programs(tree: Tree, daemons: tuple[DaemonProcess, ...] | Unread) -> tuple[Program, ...]:
    """By the PATH of root's daemon that runs in this network namespace, else by systemd's.

    Raises:
        ReadError: where a folder of the PATH cannot be listed.
    """
    folders = _path(() if isinstance(daemons, Unread) else daemons).split(":")
    return tuple(_program(tree, name, folders) for name in _NAMES)


def _path(daemons: Iterable[DaemonProcess]) -> str:
    for daemon in daemons:
        if daemon.namespace_is_host is False or isinstance(daemon.environment, Unread):
            continue
        if unread_on_error(partial(whose_files, daemon.pid)) is None:
            return daemon.environment.get("PATH") or _SYSTEMD_PATH
    return _SYSTEMD_PATH


def _program(tree: Tree, name: str, folders: Iterable[str]) -> Program:
    for folder in folders:
        if folder.startswith("/") and name in tree.names(folder):
            path = f"{folder}/{name}"
            return Program(name, path, tree.resolve(path))
    return Program(name, None)
