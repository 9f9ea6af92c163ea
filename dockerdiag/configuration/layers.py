"""One value for each option out of command line, daemon.json, environment and the engine's defaults."""

from collections.abc import Callable, Mapping

from dockerdiag.configuration.daemon_json import DaemonJson
from dockerdiag.configuration.dockerd_flags import DockerdFlags
from dockerdiag.configuration.dockerd_options import (
    SWITCHES,
    Option,
    SettingValue,
    Version,
    default_of,
    options_of,
)
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.proxies import VARIABLES
from dockerdiag.configuration.settings import Known, State, Unknown
from dockerdiag.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Sources:
    """What decides a daemon's options, the strongest first."""

    flags: DockerdFlags
    """The command line."""
    flag_origins: Mapping[str, Origin]
    """Where each of its flags is written, by name."""
    file: DaemonJson | Unknown
    """daemon.json, or why what it says is not known."""
    environment: Callable[[str], State | None]
    """What the environment says of a proxy or a switch; None where it says nothing."""
    version: Version | None


def layered(sources: Sources) -> dict[str, State]:
    """The state of each setting that `setting_names` lists."""
    options = options_of(sources.version)
    return {
        name: _state(options[name], sources) if name in options else _of_environment(name, sources)
        for name in setting_names(sources.version)
    }


def setting_names(version: Version | None) -> tuple[str, ...]:
    """The settings that an engine has and that concern networking: by flag name, the switches by their variable.

    Before engine 23 a proxy has no flag and no key: the environment alone sets it.
    """
    networking = (name for name, option in options_of(version).items() if option.networking)
    return tuple(dict.fromkeys((*networking, *VARIABLES, "host", "config-file", *SWITCHES)))


def _of_environment(name: str, sources: Sources) -> State:
    unset = Known(None, Origin("default", None, _by_default(name, None)), is_default=True)
    return sources.environment(name) or unset


def _state(option: Option, sources: Sources) -> State:
    name, file = option.name, sources.file
    # An empty proxy setting leaves the environment as it is.
    counts_when_empty = name not in VARIABLES
    flag = sources.flags.values.get(name)
    if flag is not None and (flag.value or counts_when_empty):
        return Known(flag.value, sources.flag_origins[name])
    if isinstance(file, Unknown):
        if option.key:
            return Unknown(file.reason)
    elif (found := file.values.get(name)) is not None and (found.value or counts_when_empty):
        return Known(found.value, found.origin)
    if name in VARIABLES and (state := sources.environment(name)) is not None:
        return state
    try:
        default = default_of(option, sources.version)
    except LookupError as error:
        return Unknown(str(error))
    return Known(default, Origin("default", None, _by_default(name, default)), is_default=True)


def _by_default(name: str, value: SettingValue) -> str:
    if value is None or value == ():
        return f"{name} is not set"
    return f"{name} is {str(value).lower() if isinstance(value, bool) else value} by default"
