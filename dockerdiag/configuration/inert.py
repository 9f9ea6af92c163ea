"""Networking settings that somebody wrote and that reach no dockerd."""

from dockerdiag.configuration.command_line import EnvironmentVariable
from dockerdiag.configuration.daemon_json import DaemonJson
from dockerdiag.configuration.dockerd_flags import parse_flags
from dockerdiag.configuration.dockerd_options import SWITCHES, Version, options_of
from dockerdiag.configuration.environment_file import read_environment_file
from dockerdiag.configuration.origin import LocatedText, Origin
from dockerdiag.configuration.proxies import VARIABLES
from dockerdiag.configuration.systemd_unit import EffectiveService
from dockerdiag.configuration.words import VARIABLE_VALUE, split_words
from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot import ServiceUnit


@dataclass(frozen=True, slots=True)
class Inert:
    """A setting without effect."""

    name: str
    """The variable or key that holds it (`DOCKER_OPTS`)."""
    flags: tuple[str, ...]
    """The networking options in it, by flag name."""
    origin: Origin
    reason: str


def inert_settings(
    unit: ServiceUnit | None,
    service: EffectiveService | None,
    file: DaemonJson | None,
    version: Version | None,
) -> tuple[Inert, ...]:
    """What the unit's files, the files of other init systems and daemon.json say without effect."""
    found: list[Inert] = []
    if unit is not None and service is not None:
        for variable in service.assignments:
            reason = _why_inert(variable, service)
            if reason is not None:
                found += _inert(variable.name, variable.value, variable.origin, reason, version)
        for other in unit.unused_environment_files:
            lines = other.text.split("\n")
            for assignment in read_environment_file(other.text):
                text = lines[assignment.line - 1].strip() if assignment.line <= len(lines) else ""
                origin = Origin(other.path, assignment.line, text)
                reason = f"{unit.name} does not read {other.path}"
                # Shell files may say `export NAME=…`.
                name = assignment.name.removeprefix("export ").strip()
                found += _inert(name, assignment.value, origin, reason, version)
    if file is not None:
        for origin in file.inert:
            key = origin.text.partition(" ")[0]
            found.append(Inert(key, (key.rpartition(".")[2],), origin, origin.text))
    return tuple(found)


def _why_inert(variable: EnvironmentVariable, service: EffectiveService) -> str | None:
    is_read = variable.name in SWITCHES or any(variable.name in names for names in VARIABLES.values())
    if variable.name not in service.variables and not is_read:
        return f"no ExecStart= expands ${variable.name}"
    effective = service.environment.get(variable.name)
    if effective is None:
        return f"{variable.name} is reset or unset by a later line"
    if effective is not variable:
        return f"{variable.name} is overridden in {effective.origin.source}"
    return None


def _inert(
    name: str, value: LocatedText, origin: Origin, reason: str, version: Version | None
) -> list[Inert]:
    flags = networking_flags(value, version)
    setting = next((setting for setting, names in VARIABLES.items() if name in names), None)
    if setting is not None:
        flags = (setting,)
    return [Inert(name, flags, origin, reason)] if flags else []


def networking_flags(value: LocatedText, version: Version | None) -> tuple[str, ...]:
    """The networking options of dockerd that stand in a text, by flag name; unknown words are passed over."""
    options = options_of(version)
    names: dict[str, None] = {}
    for word in split_words(value, VARIABLE_VALUE):
        if word.text.startswith("-"):
            names |= dict.fromkeys(parse_flags([word.text, ""], version).values)
            long_name = word.text.removeprefix("--").partition("=")[0]
            if word.text.startswith("--") and long_name in options:
                names[long_name] = None
    return tuple(name for name in names if name in options and options[name].networking)
