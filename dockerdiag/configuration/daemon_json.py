"""daemon.json as dockerd reads it, with the line of every key.

Two things that dockerd does and nobody expects: a flag's name that is not the file's key (`dns-opt` for
`dns-opts`, `http-proxy` outside `proxies`) passes unnoticed and does nothing; a switch works in any object.
"""

from collections.abc import Iterable, Mapping

from dockerdiag.configuration.dockerd_flags import DockerdFlags, parse_address
from dockerdiag.configuration.dockerd_options import (
    NEWEST_KNOWN,
    OPTIONS,
    Kind,
    Option,
    SettingValue,
    Version,
    options_of,
)
from dockerdiag.configuration.located_json import Json, JsonSyntaxError, Member, Number, parse_json
from dockerdiag.configuration.origin import Origin
from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot import TextFile

_OBJECTS_OF_THEIR_OWN = frozenset(
    {
        "cluster-store-opts",
        "log-opts",
        "runtimes",
        "default-ulimits",
        "features",
        "builder",
    }
)
_NOT_FLAGS = frozenset(
    {"features", "builder", "deprecated-key-path", "allow-nondistributable-artifacts", "host-gateway-ip"}
)


@dataclass(frozen=True, slots=True)
class FileValue:
    """What the file says of one option."""

    value: SettingValue
    origin: Origin


@dataclass(frozen=True, slots=True)
class ConfigurationError:
    """Why dockerd would refuse its configuration."""

    text: str
    origins: tuple[Origin, ...]
    certain: bool = True
    """False where a newer engine than is known here may take it."""


@dataclass(frozen=True, slots=True)
class DaemonJson:
    """daemon.json, read."""

    path: str
    values: Mapping[str, FileValue]
    """By the name of the flag that sets the same option (`dns-opt`, `host`, `http-proxy`)."""
    errors: tuple[ConfigurationError, ...]
    inert: tuple[Origin, ...]
    """Keys that dockerd lets pass and does not use; `text` says why."""
    duplicates: tuple[Origin, ...]
    """Keys that a later one of the same name overrides."""
    keys: Mapping[str, Origin]
    """Every key as dockerd compares it with its flags: those of objects lie beside the others."""


NO_FILE = DaemonJson("", {}, (), (), (), {})


def read_daemon_json(file: TextFile, version: Version | None) -> DaemonJson:
    """Reads daemon.json as an engine of that version does; with None, as the newest ones do."""
    text = file.text
    at_start = Origin(file.path, 1, "")
    is_old = version is not None and version < (23, 0)
    if text.startswith("\ufeff"):
        if is_old:
            return _refused(file.path, "a byte order mark stands before the JSON text", at_start)
        text = text[1:]
    if not text.strip():
        return _refused(file.path, "the file is empty", at_start) if is_old else _empty(file.path)
    try:
        parsed = parse_json(text, trailing_text=is_old)
    except JsonSyntaxError as error:
        lines = text.split("\n")
        line = lines[error.line - 1].strip() if error.line <= len(lines) else ""
        return _refused(file.path, f"invalid JSON: {error}", Origin(file.path, error.line, line))
    if parsed is None:
        return _empty(file.path)
    if not isinstance(parsed, dict):
        return _refused(file.path, "invalid JSON: the file does not hold an object", at_start)
    return _File(file.path, parsed, text.split("\n"), version).read()


def conflicts(
    file: DaemonJson, flags: DockerdFlags, flag_origins: Mapping[str, Origin]
) -> Iterable[ConfigurationError]:
    """The options that both a flag and the file set: dockerd refuses each, even where both say the same.

    Args:
        file: the file.
        flags: the command line.
        flag_origins: where each flag that is set was written, by its name.
    """
    by_name = {option.name: option for option in OPTIONS}
    for name in flags.values:
        option = by_name[name]
        is_list = option.kind in {Kind.LIST, Kind.ADDRESSES}
        key = option.key if is_list else name
        candidates = (key, "host-gateway-ip") if name == "host-gateway-ip" else (key,)
        for candidate in candidates:
            if candidate in file.keys and candidate != "runtimes":
                message = f"{candidate} is specified both as a flag and in the configuration file"
                yield ConfigurationError(message, (flag_origins[name], file.keys[candidate]))
                break


def _refused(path: str, message: str, origin: Origin) -> DaemonJson:
    return DaemonJson(path, {}, (ConfigurationError(message, (origin,)),), (), (), {})


def _empty(path: str) -> DaemonJson:
    return DaemonJson(path, {}, (), (), (), {})


class _File:
    def __init__(
        self, path: str, members: dict[str, Member], lines: list[str], version: Version | None
    ) -> None:
        self._path = path
        self._members = members
        self._lines = lines
        self._version = version
        self._options = options_of(version)
        self._by_key = {option.key: option for option in self._options.values() if option.key}
        self._values: dict[str, FileValue] = {}
        self._errors: list[ConfigurationError] = []
        self._inert: list[Origin] = []
        self._duplicates: list[Origin] = []
        self._keys: dict[str, Origin] = {}

    def read(self) -> DaemonJson:
        for key, member in self._members.items():
            self._note_duplicates(key, member)
            if isinstance(member.value, dict) and not self._is_one_value(key):
                for inner, inner_member in member.value.items():
                    self._note_duplicates(f"{key}.{inner}", inner_member)
                    self._take(f"{key}.{inner}", inner, inner_member)
            else:
                self._take(key, key, member)
        return DaemonJson(
            path=self._path,
            values=self._values,
            errors=tuple(self._errors),
            inert=tuple(self._inert),
            duplicates=tuple(self._duplicates),
            keys=self._keys,
        )

    def _is_one_value(self, key: str) -> bool:
        """Whether an object is the value of an option, not a group of options."""
        is_known = "default-network-opt" in self._options
        return key in _OBJECTS_OF_THEIR_OWN or (key == "default-network-opts" and is_known)

    def _origin(self, line: int) -> Origin:
        return Origin(self._path, line, self._lines[line - 1].strip().rstrip(","))

    def _note_duplicates(self, key: str, member: Member) -> None:
        for line in member.duplicates:
            self._duplicates.append(Origin(self._path, line, f"{key} is overridden in line {member.line}"))

    def _take(self, full_key: str, key: str, member: Member) -> None:
        """Takes over one key, as dockerd does after it has laid the members of objects beside the others."""
        origin = self._origin(member.line)
        self._keys[key] = origin
        option = self._by_key.get(full_key) or self._switch(key)
        if option is None and full_key == "host-gateway-ip":
            option = self._options.get("host-gateway-ip")
        if option is None:
            if key not in self._options and key not in self._by_key and key not in _NOT_FLAGS:
                may_be_newer = self._version is None or self._version > NEWEST_KNOWN
                message = f"{key} does not match any configuration option"
                self._errors.append(ConfigurationError(message, (origin,), certain=not may_be_newer))
            elif key in self._options and full_key not in _NOT_FLAGS:
                meant = self._options[key].key
                hint = f"the file's key is {meant}" if meant else "it works as a flag only"
                self._inert.append(Origin(self._path, member.line, f"{full_key} has no effect: {hint}"))
            return
        if member.value is None:
            return
        try:
            value = _value(option, full_key, member.value)
        except ValueError as error:
            self._errors.append(ConfigurationError(f"{full_key}: {error}", (origin,)))
            return
        self._values[option.name] = FileValue(value, origin)

    def _switch(self, key: str) -> Option | None:
        option = self._options.get(key)
        return option if option is not None and option.kind is Kind.BOOL and option.key else None


def _value(option: Option, key: str, value: Json) -> SettingValue:
    if key == "host-gateway-ip" and isinstance(value, str):
        return (parse_address(value),) if option.kind is Kind.ADDRESSES else parse_address(value)
    match option.kind:
        case Kind.BOOL:
            if isinstance(value, bool):
                return value
            raise ValueError("neither true nor false")
        case Kind.INT:
            if isinstance(value, Number) and value.text.lstrip("-").isdecimal():
                return int(value.text)
            raise ValueError("not a whole number")
        case Kind.ADDRESS:
            if isinstance(value, str):
                return parse_address(value) if value else None
            raise ValueError("not an IP address in quotes")
        case Kind.ADDRESSES:
            return tuple(parse_address(text) for text in _texts(value))
        case Kind.STRING:
            return _text(value)
        case _:
            return _list(option, value)


def _list(option: Option, value: Json) -> tuple[str, ...]:
    if option.name == "default-network-opt":
        return tuple(_network_options(value))
    if option.name == "default-address-pool":
        return tuple(_pools(value))
    return _texts(value) if option.networking or option.name == "host" else ()


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(_text(item) for item in _items(value))


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("not a text in quotes")


def _items(value: Json) -> list[Json]:
    if isinstance(value, list):
        return value
    raise ValueError("not a list")


def _network_options(value: Json) -> Iterable[str]:
    """As the flag writes them: `bridge=com.docker.network.driver.mtu=1400`."""
    for driver, options in _object(value).items():
        for name, text in _object(options.value).items():
            yield f"{driver}={name}={_text(text.value)}"


def _pools(value: Json) -> Iterable[str]:
    """As the flag writes them: `base=10.0.0.0/8,size=24`."""
    for pool in _items(value):
        parts = []
        for name, member in _object(pool).items():
            text = member.value.text if isinstance(member.value, Number) else member.value
            parts.append(f"{name}={text}")
        yield ",".join(parts)


def _object(value: Json) -> dict[str, Member]:
    if isinstance(value, dict):
        return value
    raise ValueError("not an object")
