"""Where the lab can run, and what it builds before the first test."""

import os
import shutil

import pytest

from tests.lab import cgroups

TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare", "ip")


def why_not() -> str | None:
    """What keeps this machine from booting a lab host; None if nothing does."""
    if os.geteuid() != 0:
        return "the lab needs root: it makes namespaces and boots hosts in them"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"the lab needs {', '.join(missing)} (apt: mmdebstrap systemd-container util-linux iproute2)"
    if cgroups.unified_hierarchy() is None:
        return "the lab needs cgroup v2 mounted under /sys/fs/cgroup"
    return None


@pytest.fixture(scope="session", autouse=True)
def _lab() -> None:
    if reason := why_not():
        if os.environ.get("DOCKERDIAG_LAB_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
