"""The engine's containers as their shims show them, whether the engine answers or not."""

import re
from collections.abc import Iterator
from itertools import pairwise

from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree, read_kernel_file
from dockerdiag.readers.processes import in_this_pid_namespace, pids, process_name, whose_files
from dockerdiag.readers.resolver import read_container_resolv_conf
from dockerdiag.snapshot import Shim, TextFile, Unread

_NAME = "containerd-shim"
_OF_DOCKER = "moby"
"""containerd's namespace that the engine's containers are in; Kubernetes' are in another."""
_ID = re.compile(r"[0-9a-f]{64}")


def read_shims(tree: Tree, deadline: Deadline) -> tuple[Shim, ...]:
    """One for each container, by the id in its command line.

    Raises:
        OSError: where /proc is not mounted.
    """
    return tuple(_shims(tree, deadline))


def _shims(tree: Tree, deadline: Deadline) -> Iterator[Shim]:
    for pid in pids():
        # The kernel cuts names after 15 characters, containerd-shim-runc-v2 just here.
        if process_name(pid) != _NAME or not in_this_pid_namespace(pid):
            continue
        words = _command_line(pid)
        container = _after(words, "-id")
        if _after(words, "-namespace") == _OF_DOCKER and container and _ID.fullmatch(container):
            child = _first_child(pid)
            yield Shim(container, _resolv_conf(tree, pid, child, deadline) if child is not None else None)


def _resolv_conf(tree: Tree, shim: int, child: int, deadline: Deadline) -> TextFile | Unread | None:
    try:
        return read_container_resolv_conf(tree, child, "", deadline, whose_files(shim))
    except ReadError as error:
        return Unread(str(error))


def _command_line(pid: int) -> list[str]:
    try:
        return read_kernel_file(f"/proc/{pid}/cmdline").split("\0")
    except (OSError, ReadError):
        return []


def _after(words: list[str], flag: str) -> str | None:
    return next((value for word, value in pairwise(words) if word == flag), None)


def _first_child(pid: int) -> int | None:
    for thread in _threads(pid):
        try:
            children = read_kernel_file(f"/proc/{pid}/task/{thread}/children").split()
        except (OSError, ReadError):
            continue
        if children:
            return int(children[0])
    return None


def _threads(pid: int) -> tuple[str, ...]:
    try:
        return Tree("/proc").names(f"/{pid}/task")
    except ReadError:
        return ()
