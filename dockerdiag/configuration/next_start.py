"""What docker.service will start: unit, drop-ins, environment files, daemon.json as they are on disk."""

from collections.abc import Mapping

from dockerdiag.configuration.command_line import Argument
from dockerdiag.configuration.contradictions import contradictions
from dockerdiag.configuration.daemon_json import (
    NO_FILE,
    ConfigurationError,
    DaemonJson,
    conflicts,
    read_daemon_json,
)
from dockerdiag.configuration.dockerd_flags import DockerdFlags, parse_flags
from dockerdiag.configuration.dockerd_options import Version
from dockerdiag.configuration.layers import Sources, layered, setting_names
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.proxies import from_environment
from dockerdiag.configuration.serving_daemon import Serving
from dockerdiag.configuration.settings import Known, State, Unknown
from dockerdiag.configuration.systemd_unit import EffectiveService, effective_service
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.snapshot import DaemonProcess, ServiceUnit, Snapshot, TextFile, Unread

_DEFAULT_FILE = "/etc/docker/daemon.json"


@dataclass(frozen=True, slots=True)
class NextStart:
    """The settings that the next start brings."""

    states: Mapping[str, State]
    command_line: tuple[str, ...] | None = None
    origins: tuple[Origin, ...] = ()
    errors: tuple[ConfigurationError, ...] = ()
    service: EffectiveService | None = None
    daemon_json: DaemonJson | None = None


def next_start(snapshot: Snapshot, serving: Serving, version: Version | None) -> NextStart:
    """The settings after the unit is loaded anew and started."""
    file = snapshot.daemon_json
    start = _Start(version, read_daemon_json(file, version) if isinstance(file, TextFile) else None)
    unit = snapshot.service
    if isinstance(unit, Unread):
        return start.untold(f"docker.service could not be read: {unit.reason}")
    if unit is None or unit.fragment is None:
        return start.untold("docker.service does not exist on this host")
    start.service = effective_service(unit, snapshot.host.hostname)
    if serving.process is not None and serving.managed is False:
        return start.untold(f"docker.service did not start the daemon (process {serving.process.pid})")
    arguments, doubt = start.arguments()
    if arguments is None:
        return start.untold(doubt)
    return start.settled(arguments, file, _Environment(start.service, unit, serving.process), serving.process)


@dataclass(slots=True)
class _Start:
    version: Version | None
    daemon_json: DaemonJson | None
    service: EffectiveService | None = None

    def untold(self, reason: str) -> NextStart:
        """Nothing can be told of the settings."""
        states = {name: Unknown(reason) for name in setting_names(self.version)}
        errors: tuple[ConfigurationError, ...] = ()
        if self.service is not None:
            errors = tuple(ConfigurationError(error.text, (error,)) for error in self.service.errors)
        return NextStart(states, errors=errors, service=self.service, daemon_json=self.daemon_json)

    def arguments(self) -> tuple[tuple[Argument, ...] | None, str]:
        """The command line that systemd makes, or why there is none to tell."""
        service = self.service
        if service is None:
            return None, "docker.service was not read"
        if service.errors:
            return None, f"docker.service would not start: {service.errors[0].text}"
        if len(service.commands) != 1:
            return None, "docker.service starts more than one command"
        doubt = _doubt(service, service.commands[0])
        return (None, doubt) if doubt is not None else (service.commands[0], "")

    def settled(
        self,
        arguments: tuple[Argument, ...],
        file: TextFile | Unread | None,
        environment: "_Environment",
        process: DaemonProcess | None,
    ) -> NextStart:
        """The settings that a command line and the file on disk bring."""
        words = arguments[1:]
        runs = process is not None and process.command_line == tuple(argument.text for argument in arguments)
        flags = parse_flags([word.text for word in words], self.version, runs=runs)
        origins = {name: words[flag.position].origin for name, flag in flags.values.items()}
        on_disk = _file_on_disk(file, self.daemon_json, flags)
        sources = Sources(flags, origins, on_disk, environment.state, self.version)
        errors = [*_flag_errors(flags, words)]
        if isinstance(on_disk, DaemonJson):
            errors += on_disk.errors
            errors += conflicts(on_disk, flags, origins)
        states = layered(sources)
        errors += contradictions(states, self.version)
        if runs and not _is_newer(file, process):
            # The daemon has started with just this; the doubt is about what is known here of its options.
            errors = [replace(error, certain=False) for error in errors]
        # What is certain comes first, for it is the reason that is given.
        errors.sort(key=lambda error: not error.certain)
        if errors:
            verb = "would not start" if errors[0].certain else "may not start"
            states = {name: Unknown(f"dockerd {verb}: {errors[0].text}") for name in states}
        return NextStart(
            states=states,
            command_line=tuple(argument.text for argument in arguments),
            origins=tuple(argument.origin for argument in arguments),
            errors=tuple(errors),
            service=self.service,
            daemon_json=self.daemon_json,
        )


def _is_newer(file: TextFile | Unread | None, process: DaemonProcess | None) -> bool:
    if not isinstance(file, TextFile):
        return False
    started = process.started_at if process is not None else None
    return started is None or file.modified_at is None or file.modified_at > started


def _doubt(service: EffectiveService, arguments: tuple[Argument, ...]) -> str | None:
    """Why the words of the command line are not known, None where they are."""
    program = arguments[0].text.rpartition("/")[2] if arguments else ""
    # Red Hat called theirs dockerd-current.
    if program not in {"dockerd", "dockerd-current"}:
        return f"docker.service starts {program or 'nothing'}, not dockerd"
    if service.unread and service.variables:
        return f"what the unit's variables are is unknown: {service.unread[0]}"
    uncertain = next((argument for argument in arguments if not argument.certain), None)
    if uncertain is not None:
        return f"{uncertain.origin.source} cannot be resolved from a snapshot: {uncertain.text}"
    return None


def _flag_errors(flags: DockerdFlags, words: tuple[Argument, ...]) -> tuple[ConfigurationError, ...]:
    return tuple(
        ConfigurationError(error.text, (words[error.position].origin,), error.certain)
        for error in flags.errors
    )


def _file_on_disk(
    file: TextFile | Unread | None, read: DaemonJson | None, flags: DockerdFlags
) -> DaemonJson | Unknown:
    named = flags.values.get("config-file")
    path = str(named.value) if named is not None else _DEFAULT_FILE
    if isinstance(file, Unread):
        return Unknown(f"{path} could not be read: {file.reason}")
    if read is None and named is None:
        return NO_FILE
    if read is None:
        # Only the file that the running daemon reads is in a snapshot.
        return Unknown(f"{path} is not in the snapshot")
    if read.path != path:
        return Unknown(f"the next start reads {path}, the snapshot holds {read.path}")
    return read


class _Environment:
    """The environment of the next start: the unit's variables over what the manager gives every service."""

    def __init__(self, service: EffectiveService, unit: ServiceUnit, process: DaemonProcess | None) -> None:
        self._service = service
        self._unit = unit
        self._process = process

    def state(self, setting: str) -> State | None:
        if self._service.unread:
            return Unknown(f"what the unit's variables are is unknown: {self._service.unread[0]}")
        return from_environment(setting, self._variable)

    def _variable(self, name: str) -> State | None:
        variable = self._service.environment.get(name)
        if variable is not None and variable.certain:
            return Known(variable.value.text, variable.origin)
        if variable is not None:
            return Unknown(f"{variable.origin.source} cannot be resolved from a snapshot")
        if self._unit.manager_environment is not None or not self._runs_with(name):
            return None
        if self._unit.environment is not None and f"{name}=" in self._unit.environment:
            return None
        return Unknown(f"who set {name} for the running daemon is unknown: no file of the unit does")

    def _runs_with(self, name: str) -> bool:
        process = self._process
        return (
            process is not None
            and not isinstance(process.environment, Unread)
            and name in process.environment
        )
