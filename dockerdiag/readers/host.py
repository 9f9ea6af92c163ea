"""The machine, and who asked."""

import os

from dockerdiag.readers.deadline import unread_on_error
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree, read_kernel_file
from dockerdiag.readers.module_tree import read_module_tree
from dockerdiag.readers.modules import loaded_modules
from dockerdiag.snapshot import Host


def read_host(tree: Tree) -> Host:
    """What can be told without running anything."""
    system = os.uname()
    return Host(
        hostname=system.nodename,
        kernel=system.release,
        architecture=system.machine,
        os_name=_os_name(tree),
        root=os.geteuid() == 0,
        booted_at=boot_time(),
        systemd=tree.resolve("/run/systemd/system") is not None,
        virtualization=_virtualization(tree, system.release),
        modules=unread_on_error(loaded_modules),
        module_tree=unread_on_error(lambda: read_module_tree(tree)),
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
    return "Linux"


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
