"""What the running kernel can still load of what an engine needs."""

import os
import re
from pathlib import Path

from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree, read_kernel_file
from dockerdiag.readers.modules import loaded_modules
from dockerdiag.snapshot import ModuleTree

NEEDED = {
    "veth": "veth_xmit",
    "bridge": "br_handle_frame",
    "nf_conntrack": "nf_conntrack_in",
    "nf_nat": "nf_nat_inet_fn",
    "xt_conntrack": "conntrack_mt",
    "xt_addrtype": "addrtype_mt_v1",
}
"""Modules that bridge networks need, each with a function of its own: where the tree is gone, /proc/kallsyms still
tells what is built in. MASQUERADE has gone by several names and is left out."""
_ROOT = "/lib/modules"
_INDEXES = ("modules.builtin", "modules.dep")
_MAXIMUM = 64 * 1024 * 1024


def read_module_tree(tree: Tree) -> ModuleTree | None:
    """The tree of the running kernel; None where the kernel was built without modules.

    Raises:
        ReadError: where it cannot be told what the kernel has.
    """
    if not Path("/proc/modules").exists():
        return None
    release = os.uname().release
    directory = f"{_ROOT}/{release}"
    others = tuple(name for name in tree.names(_ROOT) if name != release)
    listings = [_listing(tree, f"{directory}/{name}") for name in _INDEXES]
    exists = all(listing is not None for listing in listings)
    loaded = set(loaded_modules())
    found = "\n".join(listing or "" for listing in listings) if exists else _symbols()
    return ModuleTree(
        directory=directory,
        exists=exists,
        others=others,
        absent=tuple(
            name for name, symbol in NEEDED.items() if name not in loaded and not _has(found, name, symbol)
        ),
        loading_disabled=_flag("/proc/sys/kernel/modules_disabled"),
    )


def _has(found: str, name: str, symbol: str) -> bool:
    # File names may have hyphens where the module's name has underscores.
    file = re.escape(name).replace("_", "[-_]")
    return re.search(rf"(?:/{file}\.ko\b|\s[tT] {symbol}\b)", found) is not None


def _listing(tree: Tree, path: str) -> str | None:
    file = tree.resolve(path)
    if file is None:
        return None
    try:
        return read_kernel_file(f"{tree.root.rstrip('/')}{file}", _MAXIMUM)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}") from None


def _symbols() -> str:
    try:
        symbols = read_kernel_file("/proc/kallsyms", _MAXIMUM)
    except OSError as error:
        raise ReadError(f"/proc/kallsyms: {error.strerror}") from None
    if not symbols:
        raise ReadError("the kernel was built without kallsyms, and its module tree is not there")
    return symbols


def _flag(path: str) -> bool:
    try:
        return read_kernel_file(path, 64).strip() == "1"
    except OSError:
        return False
