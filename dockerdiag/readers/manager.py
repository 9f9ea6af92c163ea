"""What systemd's manager says of units, by `systemctl show`."""

import re
from collections.abc import Sequence
from pathlib import Path

from dockerdiag.readers.command import failure, run
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import MAXIMUM_NAMES, Tree

_SECONDS = 10.0
UNIT_PATH = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""Where the manager looks for units of the system, first wins (systemd.unit(5))."""
_CGROUPS = Path("/sys/fs/cgroup/system.slice")
_INSTANCE = re.compile(r"@[^.]*")


def worth_asking_for(units: Sequence[str], tree: Tree) -> tuple[str, ...]:
    """Those that are installed or run: for each other one the manager searches all its paths, milliseconds long."""
    try:
        listed = [tree.names(path) for path in UNIT_PATH]
    except ReadError:
        return tuple(units)
    if any(len(names) >= MAXIMUM_NAMES for names in listed):
        return tuple(units)
    files = {name for names in listed for name in names}
    return tuple(
        unit for unit in units if {unit, _INSTANCE.sub("@", unit)} & files or (_CGROUPS / unit).exists()
    )


def shown(units: Sequence[str], properties: Sequence[str], deadline: Deadline) -> tuple[dict[str, str], ...]:
    """The properties of each unit, in their order; times in UTC. An alias is shown as what it stands for.

    Raises:
        ReadError: where the manager does not answer.
    """
    command = ["systemctl", "show", "--no-pager", f"--property={','.join(properties)}", "--", *units]
    output = run(command, deadline.at_most(_SECONDS), environment={"TZ": "UTC"})
    if output.status != 0:
        raise failure("systemctl", output)
    return told(output.text)


def told(text: str) -> tuple[dict[str, str], ...]:
    """What `systemctl show` printed: one block of lines for each unit."""
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return tuple(dict(line.split("=", 1) for line in block if "=" in line) for block in blocks)
