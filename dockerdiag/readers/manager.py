"""What systemd's manager says of units, by `systemctl show`."""

from collections.abc import Sequence

from dockerdiag.readers.command import failure, run
from dockerdiag.readers.deadline import Deadline

_SECONDS = 10.0


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
