"""What is in force: the running dockerd's command line, file and environment, and what the engine tells."""

from collections.abc import Mapping
from functools import partial

from dockerdiag.configuration.daemon_json import NO_FILE, DaemonJson, read_daemon_json
from dockerdiag.configuration.dockerd_flags import DockerdFlags, parse_flags
from dockerdiag.configuration.dockerd_options import SettingValue, Version
from dockerdiag.configuration.layers import Sources, layered, setting_names
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.proxies import VARIABLES, from_environment
from dockerdiag.configuration.serving_daemon import Serving
from dockerdiag.configuration.settings import Known, State, Unknown
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.snapshot import DaemonProcess, Engine, Network, Snapshot, TextFile, Unread

_BRIDGE = "com.docker.network.bridge."
_BRIDGE_OPTIONS: Mapping[str, str] = {
    "icc": f"{_BRIDGE}enable_icc",
    "ip": f"{_BRIDGE}host_binding_ipv4",
    "ip-masq": f"{_BRIDGE}enable_ip_masquerade",
    "mtu": "com.docker.network.driver.mtu",
}
"""The daemon's settings that its default bridge network carries as options."""


@dataclass(frozen=True, slots=True)
class Running:
    """The settings in force."""

    states: Mapping[str, State]
    command_line: tuple[str, ...] | None


def running_settings(snapshot: Snapshot, serving: Serving, version: Version | None) -> Running:
    """The settings of the daemon that runs."""
    process = serving.process
    if process is None:
        return Running(_all_unknown(serving.unknown or "no dockerd runs", version), None)
    if isinstance(process.command_line, Unread):
        reason = f"the command line of process {process.pid} could not be read: {process.command_line.reason}"
        return Running(_told_by_engine(_all_unknown(reason, version), snapshot, {}), None)
    arguments = process.command_line[1:]
    flags = parse_flags(arguments, version, runs=True)
    origins = _flag_origins(process, arguments, flags)
    if flags.errors:
        # It runs, so it understood every word: what is known here of flags is behind this engine.
        reason = f"the running command line was not understood: {flags.errors[0].text}"
        return Running(_all_unknown(reason, version), process.command_line)
    file, today = _file_at_start(snapshot.daemon_json, process, flags, version)
    sources = Sources(flags, origins, file, partial(_variable_of_process, process), version)
    if_unchanged = layered(replace(sources, file=today)) if today is not None else {}
    return Running(_told_by_engine(layered(sources), snapshot, if_unchanged), process.command_line)


def _all_unknown(reason: str, version: Version | None) -> dict[str, State]:
    return {name: Unknown(reason) for name in setting_names(version)}


def _flag_origins(
    process: DaemonProcess, arguments: tuple[str, ...], flags: DockerdFlags
) -> dict[str, Origin]:
    origins = {}
    for name, flag in flags.values.items():
        words = [arguments[position] for position in flag.positions]
        first = arguments[flag.position]
        follows = "=" not in first and not isinstance(flag.value, bool) and flag.position + 1 < len(arguments)
        if len(words) == 1 and follows and arguments[flag.position + 1] in str(flag.value):
            words.append(arguments[flag.position + 1])
        origins[name] = Origin(f"/proc/{process.pid}/cmdline", None, " ".join(words))
    return origins


def _file_at_start(
    file: TextFile | Unread | None, process: DaemonProcess, flags: DockerdFlags, version: Version | None
) -> tuple[DaemonJson | Unknown, DaemonJson | None]:
    """What the configuration file said when the daemon started; where that is unknown, what it says today."""
    if isinstance(file, Unread):
        return Unknown(f"the daemon's configuration file could not be read: {file.reason}"), None
    named = flags.values.get("config-file")
    if file is None:
        return NO_FILE, None
    if named is not None and named.value != file.path:
        return Unknown(f"the daemon reads {named.value}, the snapshot holds {file.path}"), None
    read = read_daemon_json(file, version)
    if read.errors:
        # The running daemon cannot have read this text.
        return Unknown(
            f"{file.path} is not what the daemon read when it started: {read.errors[0].text}"
        ), None
    if file.modified_at is None or process.started_at is None:
        return Unknown(f"whether {file.path} changed since the daemon started is unknown"), read
    if file.modified_at > process.started_at:
        return Unknown(f"{file.path} was changed after the daemon started"), read
    return read, None


def _variable_of_process(process: DaemonProcess, setting: str) -> State | None:
    variables = process.environment
    if isinstance(variables, Unread):
        return Unknown(f"the environment of process {process.pid} could not be read: {variables.reason}")

    def look_up(name: str) -> Known | None:
        value = variables.get(name)
        return (
            None
            if value is None
            else Known(value, Origin(f"/proc/{process.pid}/environ", None, f"{name}={value}"))
        )

    return from_environment(setting, look_up)


def _told_by_engine(
    states: Mapping[str, State], snapshot: Snapshot, if_unchanged: Mapping[str, State]
) -> dict[str, State]:
    """Replaces what is unknown by what the engine itself tells."""
    completed = dict(states)
    for name, state in states.items():
        if not isinstance(state, Unknown):
            continue
        told = _engine_says(name, snapshot.engine) if isinstance(snapshot.engine, Engine) else None
        if name == "ip-masq" and told is not None and told.value is False and _may_make_no_rules(states):
            told = None
        if told is not None:
            completed[name] = told
        elif isinstance(guess := if_unchanged.get(name), Known):
            completed[name] = replace(state, presumably=guess)
    return completed


def _may_make_no_rules(states: Mapping[str, State]) -> bool:
    """Whether iptables=false may be why the default bridge does not masquerade: dockerd lets ip-masq follow it."""
    iptables = states.get("iptables")
    return not isinstance(iptables, Known) or iptables.value is False


def _engine_says(name: str, engine: Engine) -> Known | None:
    if name in VARIABLES:
        value = {
            "http-proxy": engine.http_proxy,
            "https-proxy": engine.https_proxy,
            "no-proxy": engine.no_proxy,
        }[name]
        return Known(
            value or None, Origin("docker info", None, f"{name}: {value or 'not set'}"), is_default=not value
        )
    if name == "live-restore":
        return Known(
            engine.live_restore, Origin("docker info", None, f"LiveRestoreEnabled: {engine.live_restore}")
        )
    if name == "firewall-backend" and engine.firewall_driver:
        driver = engine.firewall_driver.partition("+")[0]
        return Known(driver, Origin("docker info", None, f"FirewallBackend: {engine.firewall_driver}"))
    if name == "iptables":
        return _makes_rules(engine)
    if name in _BRIDGE_OPTIONS and not isinstance(engine.networks, Unread):
        bridge = next((network for network in engine.networks if _is_default_bridge(network)), None)
        return _bridge_says(name, bridge) if bridge is not None else None
    return None


def _makes_rules(engine: Engine) -> Known | None:
    """True where the default bridge masquerades: with iptables=false, dockerd turns ip-masq off too."""
    # With live-restore and running containers the bridge keeps the options of an earlier start.
    if engine.live_restore or isinstance(engine.networks, Unread):
        return None
    bridge = next((network for network in engine.networks if _is_default_bridge(network)), None)
    masquerades = _bridge_says("ip-masq", bridge) if bridge is not None else None
    return masquerades if masquerades is not None and masquerades.value is True else None


def _is_default_bridge(network: Network) -> bool:
    return network.options.get(f"{_BRIDGE}default_bridge") == "true"


def _bridge_says(name: str, bridge: Network) -> Known | None:
    option = _BRIDGE_OPTIONS[name]
    text = bridge.options.get(option)
    if text is None:
        return None
    value: SettingValue = text
    if name in {"icc", "ip-masq"}:
        value = text == "true"
    elif name == "mtu":
        if not text.isdecimal():
            return None
        value = int(text)
    return Known(value, Origin(f"docker network inspect {bridge.name}", None, f"{option}={text}"))
