"""What a scenario is: a host set up so, broken so, and what dockerdiag must then say of it.

A scenario is data. Its commands are shell lines, run in order as root on the lab host; each must succeed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.lab.engines import SUITES
from tests.lab.host import LabHost, Ran
from tests.lab.wires import DEFAULT_TARGET, SERVER

Lines = tuple[str, ...]
Json = dict[str, Any]


class Hit(Enum):
    """Whose traffic the break stops."""

    CONTAINERS = "the containers' way out"
    ENGINE = "the engine's own egress, as for a pull"
    PUBLISHED = "connections from outside to published ports"
    PEERS = "connections from one container to another"
    NOTHING = "nothing yet"


@dataclass(frozen=True)
class Traffic:
    """Something that a container asks, and that is answered on a whole host."""

    address: str
    port: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.address}:{self.port}/{self.protocol}"


WALKED = (Traffic(DEFAULT_TARGET, 443), Traffic(SERVER, 53, "udp"))


@dataclass(frozen=True)
class Container:
    """One that runs before anything is broken."""

    name: str = "web"
    network: str = "bridge"
    options: str = ""
    hit: bool = True
    traffic: tuple[Traffic, ...] = WALKED
    command: str = "sleep infinity"
    asked: tuple[Traffic, ...] = ()
    """What a machine out there asks of the host, and this container answers."""
    peers: tuple[Traffic, ...] = ()
    """What it asks of other containers."""


SERVES = "httpd -f -p 80 -h /tmp"


@dataclass(frozen=True)
class Cause:
    """The finding that the report must put first. `subject` is a shell pattern, or several."""

    check: str
    subject: str | tuple[str, ...]
    evidence: Lines = ()
    """Each must occur in the evidence: the rule, the file, the sysctl."""

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.subject,) if isinstance(self.subject, str) else self.subject


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A healthy host unless said otherwise: verdict ok, exit 0, no alarm, and traffic that flows."""

    name: str
    suites: tuple[str, ...] = SUITES
    founding: bool = False
    """Runs on every engine it fits, each time."""
    setup: Lines = ()
    tunnel: bool = False
    """A second way to the internet, `tun0`, up and unused."""
    containers: tuple[Container, ...] = (Container(),)
    break_: Lines = ()
    reboot: bool = False
    """The break shows after a reboot only: an engine that no longer makes rules leaves the old ones be."""
    hits: Hit = Hit.NOTHING
    mend: Lines = ()
    """What an admin would type: proves the scenario itself, without the product."""
    engine_pulls: bool = False
    """Whether to measure the engine's own egress too."""
    registry: str = SERVER
    """Where it pulls from: by address, or by a name that it has to resolve."""
    user: str = "root"
    sudo: bool = False
    """Whether the user runs dockerdiag under sudo."""
    arguments: Lines = ()
    verdict: str = "ok"
    exit_code: int = 0
    cause: Cause | None = None
    remedy: bool = True
    """Whether the cause's remedy must mend the host by itself."""
    undone: bool = True
    """Whether its undo brings the fault back at once; the risk of one that does not says so."""
    lasts: bool = True
    """Whether it claims to outlive a reboot; the risk of one that does not says so."""
    also: Callable[[LabHost, Ran], None] | None = field(default=None, compare=False)
    """What else must be true of the host and the run, beyond the report's verdict."""

    @property
    def broken_from_the_start(self) -> bool:
        return self.hits is not Hit.NOTHING and not self.break_ and not self.reboot


@dataclass(frozen=True, kw_only=True)
class Fault(Scenario):
    """A host whose containers' traffic is stopped, with the cause named and a remedy that works."""

    hits: Hit = Hit.CONTAINERS
    verdict: str = "broken"
    exit_code: int = 2


# Words that scenarios share

RELOAD = "systemctl daemon-reload"
RESTART = "systemctl restart docker"
DROP_INS = "/etc/systemd/system/docker.service.d"
DAEMON_JSON = "/etc/docker/daemon.json"
UPLINK = "eth0"


def write(path: str, text: str) -> str:
    return f"install -D -m 644 /dev/stdin {path} <<'END_OF_FILE'\n{text.rstrip()}\nEND_OF_FILE"


def drop_in(name: str, service_lines: str) -> str:
    return write(f"{DROP_INS}/{name}", f"[Service]\n{service_lines}")


def script(path: str, text: str) -> str:
    return f"{write(path, text)}\nchmod 755 {path}"
