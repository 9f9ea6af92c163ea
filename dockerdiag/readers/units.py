"""The engine's systemd service: its files on disk as systemd would find them, and what the manager says."""

import fnmatch
import re
from collections.abc import Iterator
from functools import partial

from dockerdiag.readers.command import checked
from dockerdiag.readers.confinement import read_confinement
from dockerdiag.readers.deadline import Deadline, unread_on_error
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.manager import ENVIRONMENT, UNIT_PATH, Manager
from dockerdiag.readers.services import systemd_time
from dockerdiag.snapshot import EnvironmentFile, ServiceUnit, TextFile, Unread
from dockerdiag.snapshot.secrets import mask_text

UNITS = ("docker.service", "snap.docker.dockerd.service")
"""The engine's unit as distributions and Docker name it, and as the snap does."""

_OTHER_ENVIRONMENT_FILES = (
    "/etc/default/docker",
    "/etc/sysconfig/docker",
    "/etc/sysconfig/docker-network",
    "/etc/conf.d/docker",
)
"""Those of other init systems; some units name them, some do not."""
_SPECIFIER = re.compile(r"%(.)")
_SPECIFIERS = {"E": "/etc", "S": "/var/lib", "t": "/run", "h": "/root", "u": "root"}
_KEPT_VARIABLE = re.compile(r"(?:DOCKER_|(?:https?|ftp|all|no)_proxy=)", re.IGNORECASE)
_MANAGER_SECONDS = 10.0
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "NeedDaemonReload",
    "MainPID",
    "ActiveEnterTimestamp",
    "ExecStart",
    "Environment",
    "Slice",
)


def read_service(tree: Tree, deadline: Deadline, manager: Manager | None) -> ServiceUnit | None:
    """The engine's service; None where the host has no such unit. `manager` is None where systemd does not run.

    Raises:
        ReadError: where the unit directories cannot be read.
    """
    name, fragment = _find(tree)
    drop_ins = tuple(_drop_ins(tree, name))
    if fragment is None and not drop_ins:
        return None
    texts = [file.text for file in (fragment, *drop_ins) if file is not None]
    environment_files = tuple(_environment_files(tree, name, texts))
    asked = _ask_manager(name, manager) if manager is not None else "systemd does not run"
    told = asked if isinstance(asked, dict) else {}
    return ServiceUnit(
        name=name,
        fragment=fragment,
        drop_ins=drop_ins,
        environment_files=environment_files,
        unused_environment_files=tuple(_unused(tree, {one.path for one in environment_files})),
        load_state=told.get("LoadState"),
        active_state=told.get("ActiveState"),
        sub_state=told.get("SubState"),
        result=told.get("Result"),
        need_daemon_reload=told["NeedDaemonReload"] == "yes" if "NeedDaemonReload" in told else None,
        main_pid=_number(told.get("MainPID", "")),
        active_since=systemd_time(told.get("ActiveEnterTimestamp", "")),
        exec_start=told.get("ExecStart"),
        environment=told.get("Environment"),
        manager_environment=_manager_environment(deadline) if told else None,
        manager_error=asked if isinstance(asked, str) else None,
        confinement=unread_on_error(partial(read_confinement, name, told.get("Slice", ""), manager))
        if told and manager is not None
        else Unread(str(asked)),
    )


# -- files --------------------------------------------------------------------------------------------------


def _find(tree: Tree) -> tuple[str, TextFile | None]:
    for name in UNITS:
        for directory in UNIT_PATH:
            if fragment := tree.read(f"{directory}/{name}"):
                return name, fragment
    return UNITS[0], None


def _drop_ins(tree: Tree, unit: str) -> Iterator[TextFile]:
    """Files of the same name mask each other, the first directory wins; then they apply in order of name."""
    chosen: dict[str, str] = {}
    seen: set[str | None] = set()
    for directory in _drop_in_directories(unit):
        resolved = tree.resolve(directory)
        if resolved is None or resolved in seen:
            continue  # /lib is /usr/lib on most hosts
        seen.add(resolved)
        for name in tree.names(directory):
            if name.endswith(".conf") and not name.startswith("."):
                chosen.setdefault(name, f"{directory}/{name}")
    for name in sorted(chosen):
        try:
            file = tree.read(chosen[name])
        except ReadError as error:
            raise ReadError(f"{chosen[name]}: {error}") from None
        # Empty, or a link to /dev/null: it is there to mask others.
        if file is not None and file.text:
            yield file


def _drop_in_directories(unit: str) -> Iterator[str]:
    stem, _, suffix = unit.rpartition(".")
    names = [unit]
    while "-" in stem:
        stem = stem.rpartition("-")[0]
        names.append(f"{stem}-.{suffix}")
    for directory in UNIT_PATH:
        yield from (f"{directory}/{name}.d" for name in names)
    # Those of the type come last: everything else has precedence.
    yield from (f"{directory}/{suffix}.d" for directory in UNIT_PATH)


def _environment_files(tree: Tree, unit: str, texts: list[str]) -> Iterator[EnvironmentFile]:
    written: list[str] = []
    for text in texts:
        for value in settings(text, "Service", "EnvironmentFile"):
            # An empty one takes back those before it.
            written = [*written, value] if value else []
    for value in written:
        optional = value.startswith("-")
        path = _SPECIFIER.sub(lambda match: _specifier(match[1], unit), value.removeprefix("-"))
        if not path.startswith("/"):
            continue
        for found in _expand(tree, path):
            yield EnvironmentFile(found, optional, tree.read_or_reason(found))


def settings(text: str, section: str, key: str) -> Iterator[str]:
    """The values of a key in a unit file, with continued lines joined and comments inside them left out."""
    current = ""
    joined = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not joined):
            continue
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        whole, joined = (joined + line).strip(), ""
        if whole.startswith("["):
            current = whole.strip("[]")
        elif current == section:
            name, equals, value = whole.partition("=")
            if equals and name.strip() == key:
                yield value.strip()


def _expand(tree: Tree, pattern: str) -> tuple[str, ...]:
    """The paths a pattern names; itself where it names none, or has no wildcard."""
    directory, _, name = pattern.rpartition("/")
    if not re.search(r"[*?\[]", name):
        return (pattern,)
    expression = re.compile(fnmatch.translate(name))
    found = tuple(f"{directory}/{one}" for one in tree.names(directory) if expression.fullmatch(one))
    return found or (pattern,)


def _specifier(letter: str, unit: str) -> str:
    stem = unit.rpartition(".")[0]
    return {"%": "%", "n": unit, "N": stem, "p": stem, **_SPECIFIERS}.get(letter, f"%{letter}")


def _unused(tree: Tree, used: set[str]) -> Iterator[TextFile]:
    for path in _OTHER_ENVIRONMENT_FILES:
        file = tree.read_or_reason(path) if path not in used else None
        if isinstance(file, TextFile):
            yield file


# -- manager ------------------------------------------------------------------------------------------------


def _ask_manager(unit: str, manager: Manager) -> dict[str, str] | str:
    """The manager's properties of the unit without credentials, or why it could not be asked."""
    try:
        (told,) = manager.shown(unit)
    except ReadError as error:
        return str(error)
    kept = {name: mask_text(told[name]).text for name in PROPERTIES if name in told}
    return kept if "ActiveState" in kept else "systemctl did not say in what state the service is"


def _manager_environment(deadline: Deadline) -> str | None:
    """What every service gets, as far as it matters to the engine; None where the manager does not say."""
    try:
        told = checked(
            ["systemctl", "show-environment"], deadline.at_most(_MANAGER_SECONDS), environment=ENVIRONMENT
        )
    except ReadError:
        return None
    return "\n".join(mask_text(line).text for line in told.splitlines() if _KEPT_VARIABLE.match(line))


def _number(written: str) -> int | None:
    return int(written) or None if re.fullmatch(r"[0-9]{1,10}", written) else None
