"""What sets sysctls at the next boot."""

import re
from collections.abc import Iterator

from dockerdiag.readers.files import Tree, read_kernel_file
from dockerdiag.snapshot import BootSysctls, TextFile
from dockerdiag.snapshot.secrets import mask_text

_DIRECTORIES = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
_UFW_ENABLED = re.compile(r"^\s*ENABLED\s*=\s*[\"']?yes\b", re.MULTILINE | re.IGNORECASE)
_UFW_SYSCTL = re.compile(r"^\s*IPT_SYSCTL\s*=\s*[\"']?([^\s\"']+)", re.MULTILINE)


def read_boot_sysctls(tree: Tree) -> BootSysctls:
    """Every file of the sysctl.d directories, /etc/sysctl.conf, and ufw's where it is enabled.

    Raises:
        ReadError: where one of them exists and cannot be read.
    """
    return BootSysctls(tuple(_files(tree)), mask_text(read_kernel_file("/proc/cmdline").strip()).text)


def _files(tree: Tree) -> Iterator[TextFile]:
    seen: set[str] = set()
    for directory in _DIRECTORIES:
        resolved = tree.resolve(directory)
        if resolved is None or resolved in seen:
            continue  # /lib is /usr/lib on most hosts
        seen.add(resolved)
        for name in tree.names(directory):
            if name.endswith(".conf"):
                yield from tree.existing(f"{directory}/{name}")
    yield from tree.existing("/etc/sysctl.conf")
    if (enabled := _text(tree, "/etc/ufw/ufw.conf")) and _UFW_ENABLED.search(enabled):
        told = _UFW_SYSCTL.search(_text(tree, "/etc/default/ufw") or "")
        yield from tree.existing(told[1] if told else "/etc/ufw/sysctl.conf")


def _text(tree: Tree, path: str) -> str | None:
    file = next(tree.existing(path), None)
    return file.text if file else None
