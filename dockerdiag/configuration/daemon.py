"""dockerd's settings on a host: what is in force, what the next start brings, what has no effect.

The running command line decides what is in force, then daemon.json if it was not touched since the daemon
started, then the default of the engine. What the next start brings is read from docker.service, its drop-ins
and environment files, and daemon.json as they are on disk.
"""

from collections.abc import Mapping

from dockerdiag.configuration.daemon_json import ConfigurationError, DaemonJson
from dockerdiag.configuration.dockerd_options import OPTIONS, Version, engine_version
from dockerdiag.configuration.inert import Inert, inert_settings
from dockerdiag.configuration.layers import setting_names
from dockerdiag.configuration.next_start import next_start
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.running import running_settings
from dockerdiag.configuration.serving_daemon import serving_daemon
from dockerdiag.configuration.settings import Setting, State, Unknown
from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot import DaemonProcess, Engine, ServiceUnit, Snapshot

NETWORKING: tuple[str, ...] = tuple(dict.fromkeys(option.name for option in OPTIONS if option.networking))
"""The settings that change networking, by flag name."""


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """The settings of the host's dockerd."""

    version: Version | None
    """The engine's, where it answered."""
    process: DaemonProcess | None
    """The daemon that serves the engine's socket."""
    process_unknown: str | None
    """Why that daemon cannot be told; None with `process` None says that none runs."""
    managed: bool | None
    """Whether docker.service started it; None where that cannot be told."""
    settings: Mapping[str, Setting]
    """Every networking option that this engine has, by flag name; `host`, `config-file`; the proxies of any engine;
    and by their names the variables of `dockerdiag.configuration.dockerd_options.SWITCHES`."""
    running_command_line: tuple[str, ...] | None
    start_command_line: tuple[str, ...] | None
    """What docker.service would start, variables expanded; None where that cannot be told."""
    start_origins: tuple[Origin, ...]
    """Where each word of `start_command_line` is written."""
    start_errors: tuple[ConfigurationError, ...]
    """Why the next start would fail."""
    inert: tuple[Inert, ...]
    """Networking settings that somebody wrote and that have no effect."""
    diagnostics: tuple[Origin, ...]
    """What systemd would log while reading the unit's files, at file and line; `text` is the message."""
    daemon_json: DaemonJson | None
    """The configuration file as it is on disk; None where it does not exist or could not be read."""
    need_daemon_reload: bool | None
    """Whether systemd has older unit files loaded than there are on disk."""

    def __getitem__(self, name: str) -> Setting:
        """A setting by its flag's name; a flag that this engine does not have is unset.

        Raises:
            KeyError: no engine has such a flag, or it changes no networking.
        """
        if name not in self.settings and name in NETWORKING:
            absent = Unknown(f"this engine has no option {name}")
            return Setting(name, absent, absent)
        return self.settings[name]

    def running(self, name: str) -> State:
        """What is in force."""
        return self[name].running

    @property
    def pending(self) -> tuple[Setting, ...]:
        """The settings that the next start changes."""
        return tuple(setting for setting in self.settings.values() if setting.pending)


def daemon_settings(snapshot: Snapshot) -> DaemonSettings:
    """Judges the daemon's configuration from a snapshot."""
    engine = snapshot.engine if isinstance(snapshot.engine, Engine) else None
    version = engine_version(engine.version) if engine is not None and engine.local else None
    serving = serving_daemon(snapshot)
    running = running_settings(snapshot, serving, version)
    start = next_start(snapshot, serving, version)
    service = snapshot.service if isinstance(snapshot.service, ServiceUnit) else None
    return DaemonSettings(
        version=version,
        process=serving.process,
        process_unknown=serving.unknown,
        managed=serving.managed,
        settings={
            name: Setting(name, running.states[name], start.states[name]) for name in setting_names(version)
        },
        running_command_line=running.command_line,
        start_command_line=start.command_line,
        start_origins=start.origins,
        start_errors=start.errors,
        inert=inert_settings(service, start.service, start.daemon_json, version),
        diagnostics=start.service.diagnostics if start.service is not None else (),
        daemon_json=start.daemon_json,
        need_daemon_reload=service.need_daemon_reload if service is not None else None,
    )
