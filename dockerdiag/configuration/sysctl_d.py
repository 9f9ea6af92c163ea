"""What the files of sysctl.d set at the next boot (systemd-sysctl) and on `sysctl --system` (procps).

Both sort the files by their base name over all folders, /etc before /run before /usr; both let a key that is named
outright win over a pattern. They differ in three things. procps reads /etc/sysctl.conf after all others, systemd
only where a link in sysctl.d leads to it. procps writes a key again for each line that sets it, systemd once, in
the place of the first line that gave it this value. An exclusion (`-net.ipv4.conf.eth0.rp_filter`) may be a
pattern in newer procps alone (not in 4.0.4, but in 4.0.7).
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.words import WHITESPACE
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.snapshot import BootSysctls, TextFile

_FOLDERS = (
    "/etc/sysctl.d/",
    "/run/sysctl.d/",
    "/usr/local/lib/sysctl.d/",
    "/usr/lib/sysctl.d/",
    "/lib/sysctl.d/",
)
_SYSCTL_CONF = "/etc/sysctl.conf"
_UFW = "/etc/ufw/sysctl.conf"
_IPV4, _IPV6 = "net/ipv4/conf/", "net/ipv6/conf/"
FORWARDING = "net/ipv4/ip_forward"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A value that a file gives to a key."""

    value: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class BootValue:
    """What a key will be, as far as files say so. None: nothing sets it, it stays as the kernel has it."""

    systemd: Assigned | None
    """After systemd-sysctl at boot."""
    procps: Assigned | None
    """After `sysctl --system`."""
    ufw: Assigned | None = None
    """What ufw sets whenever it starts, in no fixed order with systemd-sysctl."""
    certain: bool = True
    """False where the order of events at boot decides what systemd's value is."""
    procps_certain: bool = True
    """False where it depends on the version of procps."""

    @property
    def agree(self) -> bool:
        """Whether all that set the key set the same."""
        values = {
            assigned.value for assigned in (self.systemd, self.procps, self.ufw) if assigned is not None
        }
        return len(values) < 2 and (self.systemd is None) == (self.procps is None)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a file: an assignment, or an exclusion where `value` is None."""

    key: str
    value: str | None
    origin: Origin

    @property
    def is_pattern(self) -> bool:
        return any(character in self.key for character in "*?[")


def final(boot: BootSysctls, key: str) -> BootValue:
    """What a key will be.

    Args:
        boot: the files.
        key: the path below /proc/sys (`net/ipv4/conf/eth0.100/forwarding`). `net/ipv4/ip_forward` and
            `net/ipv4/conf/all/forwarding` are one knob; a change of it sets the same key of `default`
            and of every link.
    """
    keys = _family(key)
    in_folders = _in_folders(boot.files)
    conf = [file for file in boot.files if file.path == _SYSCTL_CONF]
    ufw = [file for file in boot.files if file.path == _UFW]
    systemd = [*_kernel_command_line(boot.kernel_command_line), *_writes(_once(_lines(in_folders)), keys)]
    procps_lines = list(_lines([*in_folders, *conf]))
    procps = _of_present_link(_writes(procps_lines, keys), key)
    newer_procps = _of_present_link(_writes(procps_lines, keys, patterns_exclude=True), key)
    present, appearing = _of_present_link(systemd, key), _of_appearing_link(systemd, key)
    return BootValue(
        systemd=appearing,
        procps=procps,
        ufw=_of_present_link(_writes(list(_lines(ufw)), keys), key),
        certain=_value(present) == _value(appearing) and not _may_not_stick(systemd, key),
        procps_certain=_value(procps) == _value(newer_procps),
    )


def normalized_key(text: str) -> str:
    """A key as its path below /proc/sys: where the first separator is a dot, dots and slashes change places."""
    first = next((character for character in text if character in "./"), "/")
    if first == ".":
        text = text.translate({ord("."): "/", ord("/"): "."})
    return "/".join(part for part in text.split("/") if part)


def _in_folders(files: Iterable[TextFile]) -> list[TextFile]:
    """The files of the sysctl.d folders that count, in the order in which they are read."""
    chosen: dict[str, TextFile] = {}
    by_folder = [
        (rank, file.path.removeprefix(folder), file)
        for file in files
        for rank, folder in enumerate(_FOLDERS)
        if file.path.startswith(folder)
    ]
    for _, name, file in sorted(by_folder, key=lambda entry: entry[0]):
        if name.endswith(".conf") and "/" not in name:
            chosen.setdefault(name, file)
    return [chosen[name] for name in sorted(chosen, key=lambda name: name.encode())]


def _lines(files: Iterable[TextFile]) -> Iterator[_Line]:
    for file in files:
        path = file.resolved_path or file.path
        for number, raw in enumerate(file.text.split("\n"), start=1):
            text = raw.strip(WHITESPACE)
            if not text or text[0] in "#;":
                continue
            line = _parsed(text, Origin(path, number, text))
            if line is not None:
                yield line


def _parsed(text: str, origin: Origin) -> _Line | None:
    key, equals, value = text.partition("=")
    if not equals and not key.startswith("-"):
        return None
    # Before an assignment the dash only says that its failure does not matter.
    path = normalized_key(key.removeprefix("-").strip(WHITESPACE))
    return _Line(path, value.strip(WHITESPACE) if equals else None, origin)


def _kernel_command_line(text: str) -> Iterator[_Line]:
    """The kernel applies `sysctl.KEY=VALUE` itself, before the first process starts."""
    for word in text.split():
        key, equals, value = word.partition("=")
        if equals and key.startswith(("sysctl.", "sysctl/")):
            path = normalized_key(key[len("sysctl.") :])
            yield _Line(path, value.strip('"'), Origin("/proc/cmdline", None, word))


def _once(lines: Iterable[_Line]) -> list[_Line]:
    """The lines as systemd keeps them: one of each key, where the value that holds was first given."""
    kept: dict[str, _Line] = {}
    for line in lines:
        before = kept.get(line.key)
        if before is not None and before.value == line.value:
            continue
        kept.pop(line.key, None)
        kept[line.key] = line
    return list(kept.values())


def _writes(lines: list[_Line], keys: frozenset[str], *, patterns_exclude: bool = False) -> list[_Line]:
    """What is written to some keys, in order. A pattern passes over keys that another line names."""
    named = {line.key for line in lines}
    excluded = [line.key for line in lines if line.value is None and line.is_pattern and patterns_exclude]
    writes: list[_Line] = []
    for line in lines:
        if line.value is not None and line.is_pattern:
            writes += [
                replace(line, key=key)
                for key in sorted(keys - named)
                if _matches(key, line.key) and not any(fnmatchcase(key, pattern) for pattern in excluded)
            ]
        elif line.value is not None and line.key in keys:
            writes.append(line)
    return writes


def _matches(key: str, pattern: str) -> bool:
    parts, patterns = key.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _split(key: str) -> tuple[str, str, str] | None:
    """Folder, link and name of a key that each link has (`net/ipv4/conf/`, `eth0`, `forwarding`)."""
    for folder in (_IPV4, _IPV6):
        link, _, name = key.removeprefix(folder).partition("/")
        if key.startswith(folder) and name:
            return folder, link, name
    return None


def _forwarding_knobs(key: str) -> frozenset[str]:
    """The names of the knob whose change spreads to a forwarding key; empty for another key."""
    parts = _split(key)
    if key == FORWARDING or (parts is not None and parts[0] == _IPV4 and parts[2] == "forwarding"):
        return frozenset({FORWARDING, f"{_IPV4}all/forwarding"})
    if parts is not None and parts[2] == "forwarding":
        return frozenset({f"{_IPV6}all/forwarding"})
    return frozenset()


def _family(key: str) -> frozenset[str]:
    """The keys whose writes decide this one."""
    parts = _split(key)
    default = frozenset({f"{parts[0]}default/{parts[2]}"} if parts is not None else ())
    return frozenset({key}) | default | _forwarding_knobs(key)


def _last(lines: Iterable[_Line]) -> Assigned | None:
    last: _Line | None = None
    for line in lines:
        last = line
    return None if last is None or last.value is None else Assigned(last.value, last.origin)


def _value(assigned: Assigned | None) -> str | None:
    return None if assigned is None else assigned.value


def _of_present_link(writes: list[_Line], key: str) -> Assigned | None:
    """What a key is after some writes, where its link is there before them."""
    knobs = _forwarding_knobs(key)
    if key in knobs:
        return _last(line for line in writes if line.key in knobs)
    if knobs:
        return _spread(writes, key, knobs)
    own = _last(line for line in writes if line.key == key)
    parts = _split(key)
    if own is None and parts is not None and parts[0] == _IPV4 and parts[1] not in {"all", "default"}:
        # The kernel carries a change of IPv4's default over to the links whose own key nobody has written.
        return _last(line for line in writes if line.key == f"{_IPV4}default/{parts[2]}")
    return own


def _of_appearing_link(writes: list[_Line], key: str) -> Assigned | None:
    """What a key is where its link appears after some writes: it copies default, then udev has its own keys set."""
    parts = _split(key)
    if parts is None or parts[1] in {"all", "default"}:
        return _of_present_link(writes, key)
    own = _last(line for line in writes if line.key == key)
    return own or _of_present_link(writes, f"{parts[0]}default/{parts[2]}")


def _may_not_stick(writes: list[_Line], key: str) -> bool:
    """Whether systemd, which does not write what a key already is, may leave it to a later write of default."""
    parts = _split(key)
    if parts is None or parts[0] != _IPV4 or parts[1] in {"all", "default"} or _forwarding_knobs(key):
        return False
    default = f"{_IPV4}default/{parts[2]}"
    own = max((index for index, line in enumerate(writes) if line.key == key), default=None)
    later = [] if own is None else [line for line in writes[own:] if line.key == default]
    return own is not None and any(line.value != writes[own].value for line in later)


def _spread(writes: list[_Line], key: str, knobs: frozenset[str]) -> Assigned | None:
    knob = "0"
    outcome: Assigned | None = None
    for line in writes:
        value = line.value or ""
        if line.key == key:
            outcome = Assigned(value, line.origin)
        elif line.key in knobs and value != knob:
            # Only a change spreads to default and the links; writing 1 over 1 does not.
            knob = value
            outcome = Assigned(value, line.origin)
    return outcome
