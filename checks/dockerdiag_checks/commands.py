"""Shell lines that mend: built once, quoted, and undone by their twins. Those about rules are in `rule_commands`."""

import re
from collections.abc import Sequence
from hashlib import sha256
from shlex import quote

from dockerdiag.dataclass import dataclass

_SERVICE = "/etc/systemd/system/docker.service.d"


def sh(*words: str) -> str:
    """One shell line of these words, each quoted where it must be."""
    return " ".join(quote(word) for word in words)


@dataclass(frozen=True, slots=True)
class Change:
    """A command, the one that takes it back, and the one that makes it again after a restart of the engine."""

    do: str
    undo: str
    again: str


def show_sysctl(key: str) -> str:
    """Shows the sysctl whose path below /proc/sys is `key`."""
    return sh("sysctl", _sysctl_name(key))


def _sysctl_name(key: str) -> str:
    # A link name may hold dots (eth0.100), which sysctl(8) takes for separators unless slashes are used throughout.
    return key if "." in key else key.replace("/", ".")


def set_sysctl(key: str, value: str, before: str) -> Change:
    """Sets the sysctl whose path below /proc/sys is `key`."""
    name = _sysctl_name(key)
    do = sh("sysctl", "-w", f"{name}={value}")
    return Change(do, sh("sysctl", "-w", f"{name}={before}"), do)


def write_file(path: str, text: str) -> str:
    """Writes a small file, making its folder."""
    folder = path.rpartition("/")[0]
    lines = " ".join(quote(line) for line in text.rstrip("\n").split("\n"))
    return f"mkdir -p {quote(folder)} && printf '%s\\n' {lines} > {quote(path)}"


@dataclass(frozen=True, slots=True)
class EditedFile:
    """A file that a remedy edits, and the copy beside it from which its undo puts back what was.

    Where the path is a link, the file that it leads to is edited and put back, and the link stays.
    """

    path: str

    @property
    def copy(self) -> str:
        """The copy's path."""
        return f"{self.path}.before-dockerdiag"

    @property
    def keep(self) -> str:
        """What makes the copy."""
        return sh("cp", "-pL", self.path, self.copy)

    def sed(self, *words: str) -> str:
        """An edit by sed."""
        return sh("sed", "-i", "--follow-symlinks", *words, self.path)

    @property
    def restore(self) -> str:
        """What puts the copy back: by cp, since mv would replace a link."""
        return f"{sh('cp', '-p', self.copy, self.path)} && {sh('rm', self.copy)}"


def in_namespace(container: str, line: str) -> str:
    """Runs a line in a running container's network namespace, with the host's own programs."""
    process = f'"$(docker inspect --format {quote("{{.State.Pid}}")} {quote(container)})"'
    return f"nsenter --target {process} --net sh -c {quote(line)}"


@dataclass(frozen=True, slots=True)
class AtEngineStart:
    """Commands that run after each start of the engine: a drop-in of docker.service of their own.

    The same commands always have the same drop-in, and others never.
    """

    name: str
    commands: Sequence[str]

    @property
    def path(self) -> str:
        """The drop-in."""
        name = re.sub("[^A-Za-z0-9_.-]+", "-", self.name)
        digest = sha256("\n".join(self.commands).encode(errors="surrogatepass")).hexdigest()[:8]
        return f"{_SERVICE}/50-dockerdiag-{name}-{digest}.conf"

    @property
    def lines(self) -> tuple[str, ...]:
        """What writes it."""
        service = "\n".join(f"ExecStartPost=-/bin/sh -c {_unit_quote(command)}" for command in self.commands)
        return write_file(self.path, f"[Service]\n{service}"), "systemctl daemon-reload"

    @property
    def undo(self) -> tuple[str, ...]:
        """What removes it, whether it was written or not."""
        return sh("rm", "-f", self.path), "systemctl daemon-reload"


def _unit_quote(command: str) -> str:
    # systemd expands % and $ of its own in ExecStartPost.
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
