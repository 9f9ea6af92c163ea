"""Which parts of the kernel are there, without asking for one: to ask can load it."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Literal

from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import read_kernel_file

Presence = Literal["present", "absent", "unknown"]

_SYMBOLS = {
    "nf_tables": "nft_do_chain",
    "nft_compat": "nft_match_eval",
    "ip_set": "ip_set_test",
    "ip_tables": "ipt_do_table",
    "ip6_tables": "ip6t_do_table",
    "tcp_diag": "tcp_diag_dump",
}
"""A function of each that other parts of the kernel call or point to, so that its name stays in /proc/kallsyms."""
_MAXIMUM_LISTING = 64 * 1024 * 1024


def loaded_modules() -> tuple[str, ...]:
    """Names of the loaded modules; none where the kernel was built without modules."""
    try:
        return tuple(line.split(" ", 1)[0] for line in read_kernel_file("/proc/modules").splitlines() if line)
    except FileNotFoundError:
        if _can_load_any():
            raise
        return ()


@cache
def presence(module: str) -> Presence:
    """Whether a module is loaded or built in.

    A kernel without modules cannot load any: everything may be asked of it, so everything counts as present.
    """
    try:
        if not _can_load_any():
            return "present"
        if module in loaded_modules():
            return "present"
    except OSError:
        return "unknown"
    return _built_in(module)


def _can_load_any() -> bool:
    """Whether the kernel has modules at all; also where /proc is not there to tell."""
    return Path("/proc/modules").exists() or not Path("/proc/self").exists()


def _built_in(module: str) -> Presence:
    try:
        listing = read_kernel_file(f"/lib/modules/{os.uname().release}/modules.builtin", _MAXIMUM_LISTING)
    except (OSError, ReadError):
        # In a container the kernel's module directory is another host's business; its symbols are not.
        return _among_symbols(module)
    return "present" if re.search(rf"/{module}\.ko", listing) else "absent"


def _among_symbols(module: str) -> Presence:
    try:
        symbols = read_kernel_file("/proc/kallsyms", _MAXIMUM_LISTING)
    except (OSError, ReadError):
        return "unknown"
    if not symbols:
        return "unknown"
    return "present" if re.search(rf"^\S+ [tT] {_SYMBOLS[module]}\b", symbols, re.MULTILINE) else "absent"
