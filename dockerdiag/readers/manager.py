"""What systemd's manager says of units, by `systemctl show`."""

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from dockerdiag.readers.command import complaint, failure, run
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import MAXIMUM_NAMES, Tree

_SECONDS = 10.0
ENVIRONMENT = {"TZ": "UTC", "SYSTEMD_IGNORE_CHROOT": "1"}
"""In a container that looks at its host, the manager whose socket is there is the one to be asked."""
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


class Manager:
    """The manager, asked once for all units that are expected: each further question takes ten milliseconds.

    Args:
        find_expected: Tells which units will be asked about; called once, when the first is.
        properties: What will be asked of any of them, besides `Id`.
        deadline: When the manager must have answered.
    """

    def __init__(
        self, find_expected: Callable[[], Iterable[str]], properties: Iterable[str], deadline: Deadline
    ) -> None:
        self._find_expected = find_expected
        self._properties = tuple(dict.fromkeys(("Id", *properties)))
        self._deadline = deadline
        self._asking = threading.Lock()
        self._told: dict[str, dict[str, str] | ReadError] = {}

    def shown(self, *units: str) -> tuple[dict[str, str], ...]:
        """The properties of each unit, in their order; times in UTC. An alias is shown as what it stands for.

        Raises:
            ReadError: where the manager does not answer.
        """
        with self._asking:
            self._ask_for(units)
        found = []
        for unit in units:
            properties = self._told[unit]
            if isinstance(properties, ReadError):
                raise properties
            found.append(properties)
        return tuple(found)

    def shown_if_expected(self, units: Iterable[str]) -> tuple[dict[str, str], ...]:
        """As `shown`, of those that are expected.

        Raises:
            ReadError: as `shown`.
        """
        with self._asking:
            expected = [unit for unit in units if unit in self._expected]
        return self.shown(*expected)

    @cached_property
    def _expected(self) -> dict[str, None]:
        return dict.fromkeys(self._find_expected())

    def _ask_for(self, units: Iterable[str]) -> None:
        if missing := [unit for unit in units if unit not in self._told]:
            self._ask(tuple(dict.fromkeys((*missing, *(() if self._told else self._expected)))))

    def _ask(self, units: Sequence[str]) -> None:
        try:
            answers = self._answers(units)
        except ReadError as error:
            # Who did not answer is not waited for again.
            self._told |= dict.fromkeys(units, error)
            return
        if len(answers) == len(units):
            self._told |= zip(units, answers, strict=True)
            return
        # Of some it does not tell, as of slices to who asks it out of a container.
        silence = ReadError("systemctl did not tell of every unit that it was asked for")
        self._told |= dict.fromkeys(units, silence) | {one["Id"]: one for one in answers if "Id" in one}

    def _answers(self, units: Sequence[str]) -> tuple[dict[str, str], ...]:
        command = [
            "systemctl",
            "show",
            "--no-pager",
            f"--property={','.join(self._properties)}",
            "--",
            *units,
        ]
        output = run(command, self._deadline.at_most(_SECONDS), environment=ENVIRONMENT)
        if output.status != 0:
            raise failure("systemctl", output)
        answers = told(output.text)
        if units and not answers:
            # In a container, and with SYSTEMD_OFFLINE, it says so and ends well.
            said = complaint(output)
            raise ReadError(f"systemctl tells nothing{': ' if said else ''}{said}")
        return answers


def told(text: str) -> tuple[dict[str, str], ...]:
    """What `systemctl show` printed: one block of lines for each unit."""
    blocks = (block.splitlines() for block in text.split("\n\n") if block.strip())
    return tuple(dict(line.split("=", 1) for line in block if "=" in line) for block in blocks)
