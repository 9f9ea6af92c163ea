"""A control group per lab host, so that all it started, and nothing else, can be ended at once."""

import time
from contextlib import suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
HIDDEN = "no cgroup v2 under /sys/fs/cgroup: a second sysfs may be mounted over /sys; try `umount /sys`"


def unified_hierarchy() -> Path | None:
    """Where cgroup v2 is mounted: at the top, or beside v1; None if something hides it."""
    for folder in (MOUNT, MOUNT / "unified"):
        if (folder / "cgroup.procs").exists() and (folder / "cgroup.controllers").exists():
            return folder
    return None


def group_of(name: str) -> Path:
    hierarchy = unified_hierarchy()
    if hierarchy is None:
        raise RuntimeError(HIDDEN)
    return hierarchy / name


def end(name: str, patience: float = 10) -> None:
    """Kills what runs in the group and removes it, in every hierarchy that systemd has mirrored it to."""
    group = group_of(name)
    deadline = time.monotonic() + patience
    while group.is_dir() and time.monotonic() < deadline:
        with suppress(OSError):
            (group / "cgroup.kill").write_text("1")
        remove_empty(group)
        time.sleep(0.02)
    for mirror in MOUNT.glob(f"*/{name}"):
        remove_empty(mirror)


def remove_empty(group: Path) -> None:
    for inner in sorted(group.rglob("*"), reverse=True):
        if inner.is_dir():
            with suppress(OSError):
                inner.rmdir()
    with suppress(OSError):
        group.rmdir()
