"""The machine, and who asked."""

import os
from functools import partial

from dockerdiag.readers.deadline import Deadline, SideBySide, unread_on_error
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree, read_kernel_file
from dockerdiag.readers.modules import loaded_modules
from dockerdiag.readers.processes import process_name
from dockerdiag.snapshot import Host, Unread

_LINUX = "Linux"

_SECONDS = 3.0


def read_host(tree: Tree, deadline: Deadline) -> Host:
    """What can be told without running anything; which modules there are on disk takes longer, and is left open.

    What is on a file system that does not answer counts as not being there.
    """
    system = os.uname()
    # Everything else waits for these few.
    limit = deadline.at_most(min(_SECONDS, deadline.seconds / 4))
    parts = SideBySide(
        {
            "os_name": partial(_os_name, tree),
            "systemd": partial(tree.resolve, "/run/systemd/system"),
            "virtualization": partial(_virtualization, tree, system.release),
        },
        limit,
    ).results()
    name, systemd, virtualization = (parts[one] for one in ("os_name", "systemd", "virtualization"))
    return Host(
        hostname=system.nodename,
        kernel=system.release,
        architecture=system.machine,
        os_name=_LINUX if isinstance(name, Unread) else name,
        root=os.geteuid() == 0,
        booted_at=boot_time(),
        systemd=process_name(1) == "systemd" if isinstance(systemd, Unread) else systemd is not None,
        virtualization=None if isinstance(virtualization, Unread) else virtualization,
        modules=unread_on_error(loaded_modules),
    )


def boot_time() -> float | None:
    """When the kernel started, None where /proc does not tell."""
    try:
        lines = read_kernel_file("/proc/stat", 16 * 1024 * 1024).splitlines()
    except (OSError, ReadError):
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)


def invoking_user() -> str | None:
    """Who ran sudo, None without it."""
    user = os.environ.get("SUDO_USER", "")
    return user if user not in ("", "root") and os.geteuid() == 0 else None


def _os_name(tree: Tree) -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            file = tree.read(path)
        except ReadError:
            continue
        for line in file.text.splitlines() if file else ():
            name, _, value = line.partition("=")
            if name == "PRETTY_NAME":
                return value.strip().strip("\"'")
    return _LINUX


def _virtualization(tree: Tree, kernel: str) -> str | None:
    if "microsoft" in kernel.lower():
        return "wsl"
    try:
        told = tree.read("/run/systemd/container")
    except ReadError:
        told = None
    if told is not None and told.text.strip():
        return told.text.strip()[:64]
    marks = ("/.dockerenv", "/run/.containerenv")
    return "container" if any(tree.resolve(mark) for mark in marks) else None
