"""Which .network file systemd-networkd applies to a link, as far as the link's name and kind decide."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from dockerdiag.configuration.origin import Origin
from dockerdiag.snapshot import TextFile

_FOLDERS = (
    "/etc/systemd/network/",
    "/run/systemd/network/",
    "/usr/local/lib/systemd/network/",
    "/usr/lib/systemd/network/",
)
_NO = ("no", "n", "false", "f", "off", "0")
_JUDGED = ("Name", "Kind")
"""Keys of [Match] that are decided here; a file with others is left open."""


def file_for(files: Iterable[TextFile], name: str, kind: str) -> TextFile | None:
    """The file for a link of that name and kind (`veth`, `bridge`).

    None where none matches, or where the first that may match asks for more than name and kind.
    """
    for file in _in_order(files):
        matches = _matches(file, name, kind)
        if matches is None:
            return None
        if matches:
            return file
    return None


def leaves_alone(file: TextFile) -> bool:
    """Whether a file has networkd neither configure a link nor take it from its bridge."""
    said = dict(_settings(file.text))
    unmanaged = said.get(("Link", "Unmanaged"), "").lower() in ("yes", "true", "1", "on")
    keeps = said.get(("Network", "KeepMaster"), "").lower() in ("yes", "true", "1", "on")
    return unmanaged or keeps


def joins_a_bridge(file: TextFile) -> bool:
    """Whether a file names the bridge, bond or VRF that its links belong to."""
    keys = {key for section, key in dict(_settings(file.text)) if section == "Network"}
    return bool(keys & {"Bridge", "Bond", "VRF", "BatmanAdvanced"})


def turned_off(files: Iterable[TextFile], path: str, key: str) -> Origin | None:
    """The line by which a .network file that networkd applies, or a drop-in of its, sets a switch of [Network] to no.

    None where it is not set, or to something else.
    """
    found = None
    for file in _with_drop_ins(files, path):
        for line, ((section, name), value) in _numbered_settings(file.text):
            if (section, name) == ("Network", key):
                off = value.lower() in _NO
                found = Origin(file.path, line, f"{name}={value}") if off else None
    return found


def _with_drop_ins(files: Iterable[TextFile], path: str) -> Iterator[TextFile]:
    """The file, then its drop-ins by name over all folders; one of an earlier folder masks its namesakes."""
    name = path.rpartition("/")[2]
    chosen: dict[str, tuple[int, TextFile]] = {}
    for file in files:
        if file.path == path:
            yield file
        for rank, folder in enumerate(_FOLDERS):
            drop_in = file.path.removeprefix(f"{folder}{name}.d/")
            if drop_in != file.path and rank < chosen.get(drop_in, (9,))[0]:
                chosen[drop_in] = (rank, file)
    yield from (chosen[drop_in][1] for drop_in in sorted(chosen))


def _in_order(files: Iterable[TextFile]) -> list[TextFile]:
    """By name over all folders; a name in an earlier folder masks the others, drop-ins are not files."""
    chosen: dict[str, tuple[int, TextFile]] = {}
    for file in files:
        for rank, folder in enumerate(_FOLDERS):
            name = file.path.removeprefix(folder)
            if file.path.startswith(folder) and "/" not in name and rank < chosen.get(name, (9,))[0]:
                chosen[name] = (rank, file)
    return [chosen[name][1] for name in sorted(chosen)]


def _matches(file: TextFile, name: str, kind: str) -> bool | None:
    if not file.text.strip():
        return False  # masked
    asked = [(key, value) for (section, key), value in _settings(file.text) if section == "Match"]
    open_keys = [key for key, _ in asked if key not in _JUDGED]
    values = {"Name": name, "Kind": kind}
    for key, value in asked:
        if key in _JUDGED and not _one_of(values[key], value.split()):
            return False
    return None if open_keys or not asked else True


def _one_of(value: str, patterns: list[str]) -> bool:
    """A list that begins with `!` is one of those that must not match."""
    if patterns and patterns[0].startswith("!"):
        patterns[0] = patterns[0][1:]
        return not any(fnmatchcase(value, pattern) for pattern in patterns)
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _settings(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    return (setting for _, setting in _numbered_settings(text))


def _numbered_settings(text: str) -> Iterator[tuple[int, tuple[tuple[str, str], str]]]:
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and line[0] not in "#;":
            key, equals, value = line.partition("=")
            if equals:
                yield number, ((section, key.strip()), value.strip())
