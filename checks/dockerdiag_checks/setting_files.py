"""Where dockerd's settings are written, as evidence; and the commands that change them there."""

import json
from collections.abc import Sequence
from shlex import quote

from dockerdiag.case import Case
from dockerdiag.configuration.daemon_json import ConfigurationError, DaemonJson
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.settings import Known, Setting
from dockerdiag.report import Evidence, Remedy
from dockerdiag.snapshot import ServiceUnit, Snapshot
from dockerdiag_checks.commands import EditedFile, sh, write_file
from dockerdiag_checks.engine_restart import restart_risk

RESTART = ("systemctl daemon-reload", "systemctl restart docker")

_WITHOUT_KEYS = (
    "import json, sys; file, *keys = sys.argv[1:]; "
    "kept = {k: v for k, v in json.load(open(file)).items() if k not in keys}; "
    'open(file, "w").write(json.dumps(kept, indent=2) + chr(10))'
)
"""Writes a JSON file without some of its keys. dockerdiag itself runs on this Python, jq may be missing."""

_WITH_KEY = (
    "import json, sys; file, key, value = sys.argv[1:]; kept = json.load(open(file)) or {}; "
    "kept[key] = json.loads(value); "
    'open(file, "w").write(json.dumps(kept, indent=2) + chr(10))'
)

_OVERRIDE = "/etc/systemd/system/docker.service.d/zz-dockerdiag.conf"


def without_keys(path: str, keys: Sequence[str]) -> tuple[str, str]:
    """Takes keys out of a JSON file, of which a copy stays beside it (`EditedFile`)."""
    return (
        EditedFile(path).keep,
        sh("python3", "-c", _WITHOUT_KEYS, path, *keys),
    )


def with_key(case: Case, key: str, value: object) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Lines that set a key of daemon.json, and those that take it back; None where the file was not read as one."""
    text = json.dumps(value)
    if case.snapshot.daemon_json is None:
        path = "/etc/docker/daemon.json"
        return (write_file(path, f'{{"{key}": {text}}}'),), (sh("rm", "-f", path),)
    file = case.settings.daemon_json
    if file is None or file.errors:
        return None
    edited = EditedFile(file.path)
    return (edited.keep, sh("python3", "-c", _WITH_KEY, file.path, key, text)), (edited.restore,)


def refused_keys(file: DaemonJson, errors: Sequence[ConfigurationError]) -> tuple[str, ...]:
    """The keys of daemon.json that errors are about."""
    places = {origin for error in errors for origin in error.origins}
    return tuple(key for key, origin in file.keys.items() if origin in places)


def file_origin(setting: Setting) -> Origin | None:
    """The file and line that set what is in force; None where no file of the next start says the same."""
    running, following = setting.running, setting.next_start
    if not isinstance(following, Known) or following.is_default or following.origin.line is None:
        return None
    if isinstance(running, Known) and running.value != following.value:
        return None
    return following.origin


def evidence_of(setting: Setting) -> tuple[Evidence, ...]:
    """What the process runs with, and the line that says so."""
    found = []
    if isinstance(setting.running, Known) and not setting.running.is_default:
        found.append(Evidence(setting.running.origin.source, setting.running.origin.text.strip()))
    origin = file_origin(setting)
    if origin is not None:
        found.append(Evidence(origin.source, origin.text.strip()))
    return tuple(dict.fromkeys(found))


def written_by(setting: Setting, snapshot: Snapshot) -> str | None:
    """The drop-in, unit or environment file that the setting in force stands in; None for any other place."""
    origin = file_origin(setting)
    service = snapshot.service
    if origin is None or not isinstance(service, ServiceUnit):
        return None
    paths = {file.path for file in service.drop_ins} | {file.path for file in service.environment_files}
    if service.fragment is not None and service.fragment.path.startswith("/etc/"):
        paths.add(service.fragment.path)
    return origin.path if origin.path in paths else None


def turn_on(setting: Setting, case: Case, *, restart: bool = True) -> Remedy | None:
    """Sets a switch that is off to true where it is written; None where that is not known.

    Without `restart` the engine already runs with true, and only its next start is at stake.
    """
    origin = file_origin(setting) if restart else getattr(setting.next_start, "origin", None)
    if origin is None or origin.line is None:
        return None
    if not origin.path.startswith("/etc/"):
        return _override(setting, case) if restart else None
    in_force = RESTART if restart else RESTART[:1]
    name = setting.name
    file = EditedFile(origin.path)
    if origin.path.endswith(".json"):
        # A key and its value may stand on two lines; -z takes the whole file for one.
        edit = file.sed("-z", rf's/\("{name}"[[:space:]]*:[[:space:]]*\)false/\1true/')
    else:
        edit = file.sed(f"{origin.line}s/--{name}=[0fF][a-zA-Z]*/--{name}=true/g")
    return Remedy(
        summary=f"Set {name} to true where it is turned off",
        now=(file.keep, edit, *in_force),
        verify=(verify_running(name), "dockerdiag") if restart else ("dockerdiag",),
        undo=(file.restore, *in_force),
        risk=(
            f"{restart_risk(case)} {_opens(setting)}The undo lines restore the setting; rules that the engine made "
            "stay until the next boot."
            if restart
            else "None: the engine runs with true already, and is not restarted."
        ),
    )


def _override(setting: Setting, case: Case) -> Remedy | None:
    words = case.settings.start_command_line
    if words is None:
        return None
    kept = [word for word in words if not word.startswith(f"--{setting.name}=")]
    line = " ".join(_unit_word(word) for word in kept)
    return Remedy(
        summary=f"Start the engine without --{setting.name}=false, by a drop-in; the package's unit stays as it is",
        now=(write_file(_OVERRIDE, f"[Service]\nExecStart=\nExecStart={line}"), *RESTART),
        verify=(verify_running(setting.name), "dockerdiag"),
        undo=(sh("rm", "-f", _OVERRIDE), *RESTART),
        risk=f"{restart_risk(case)} {_opens(setting)}".rstrip(),
    )


def _opens(setting: Setting) -> str:
    if setting.name not in ("iptables", "ip6tables"):
        return ""
    return "Published ports are then open to the outside, past the rules of the host's own firewall (ufw's). "


def _unit_word(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(character in escaped for character in " '\";\\") or not escaped else escaped


def verify_running(name: str) -> str:
    """Succeeds where dockerd runs without the switch turned off on its command line."""
    command_line = "/proc/$(pidof dockerd)/cmdline"
    return f"grep -qz dockerd {command_line} && ! grep -qzxe {quote(f'--{name}=false')} {command_line}"
