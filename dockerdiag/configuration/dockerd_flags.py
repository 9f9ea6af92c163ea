"""dockerd's command line, parsed as dockerd does (pflag).

A switch takes a value only after `=`: `--iptables false` is true, with a stray argument that dockerd refuses.
The first error ends the parsing, as it ends dockerd.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from dockerdiag.configuration.dockerd_options import (
    NEWEST_KNOWN,
    Kind,
    Option,
    SettingValue,
    Version,
    options_of,
)
from dockerdiag.dataclass import dataclass

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
# A switch that says nothing of networking stands in for what is passed over, so that positions stay.
_PASSED_OVER = "--raw-logs"
_INTEGER = re.compile(r"[+-]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])+|0|[1-9](_?[0-9])*)")


@dataclass(frozen=True, slots=True)
class FlagValue:
    """What a command line makes of one flag: the last value, or for a list all of them."""

    name: str
    value: SettingValue
    positions: tuple[int, ...]
    """Which arguments set it, counted from 0; of a scalar the last one decides."""

    @property
    def position(self) -> int:
        """The argument that decides."""
        return self.positions[-1]


@dataclass(frozen=True, slots=True)
class FlagError:
    """Why dockerd would refuse the command line."""

    position: int
    text: str
    certain: bool = True
    """False for a flag that a newer engine than is known here may have."""


@dataclass(frozen=True, slots=True)
class DockerdFlags:
    """A command line, read."""

    values: Mapping[str, FlagValue]
    errors: tuple[FlagError, ...]


@dataclass(slots=True)
class _Gathered:
    """One flag, while the words that set it are read."""

    last: SettingValue = None
    listed: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def add(self, value: SettingValue, position: int) -> None:
        self.last = value
        self.positions.append(position)
        if isinstance(value, tuple):
            self.listed += value

    def flag(self, name: str) -> FlagValue:
        value = tuple(self.listed) if isinstance(self.last, tuple) else self.last
        return FlagValue(name, value, tuple(self.positions))


class _RefusedError(Exception):
    """dockerd prints this and ends."""


class _PerhapsRefusedError(_RefusedError):
    """Some engines end at this; whether this one does is not known."""


class _UnknownFlagError(_RefusedError):
    """A flag that no known engine of that version has."""


def parse_flags(arguments: Sequence[str], version: Version | None, *, runs: bool = False) -> DockerdFlags:
    """Parses the arguments after `dockerd`.

    Args:
        arguments: the words of the command line without the program itself.
        version: the engine's; with None, flags of any engine are known.
        runs: whether a daemon runs with them, so that every word is valid: a flag that is not known here
            is passed over, if it is plain where its value ends (`--name=value`).
    """
    options = options_of(version)
    if runs:
        arguments = [_PASSED_OVER if _is_self_contained(word, options) else word for word in arguments]
    return _Parser(arguments, options, version).parse()


def _is_self_contained(word: str, options: Mapping[str, Option]) -> bool:
    name, equals, _ = word.removeprefix("--").partition("=")
    return word.startswith("--") and bool(equals) and bool(name) and name not in options


class _Parser:
    def __init__(
        self, arguments: Sequence[str], options: Mapping[str, Option], version: Version | None
    ) -> None:
        self._arguments = arguments
        self._options = options
        self._shorthands = {option.shorthand: option for option in options.values() if option.shorthand}
        self._version = version
        self._gathered: dict[str, _Gathered] = {}
        self._position = 0

    def parse(self) -> DockerdFlags:
        errors: list[FlagError] = []
        stray: list[int] = []
        while self._position < len(self._arguments) and not errors:
            argument = self._arguments[self._position]
            start = self._position
            self._position += 1
            try:
                if argument == "--":
                    stray += range(self._position, len(self._arguments))
                    break
                if argument.startswith("--"):
                    self._long(argument[2:], argument, start)
                elif argument.startswith("-") and argument != "-":
                    self._short(argument[1:], start)
                else:
                    stray.append(start)
            except _UnknownFlagError as error:
                may_be_newer = self._version is None or self._version > NEWEST_KNOWN
                errors.append(FlagError(start, str(error), certain=not may_be_newer))
            except _RefusedError as error:
                errors.append(
                    FlagError(start, str(error), certain=not isinstance(error, _PerhapsRefusedError))
                )
        if stray and not errors:
            words = " ".join(self._arguments[position] for position in stray)
            errors.append(FlagError(stray[0], f"dockerd accepts no arguments, but got: {words}"))
        values = {name: gathered.flag(name) for name, gathered in self._gathered.items()}
        return DockerdFlags(values, tuple(errors))

    def _long(self, text: str, argument: str, start: int) -> None:
        name, equals, value = text.partition("=")
        if not name or name.startswith("-"):
            raise _RefusedError(f"bad flag syntax: {argument}")
        option = self._options.get(name)
        if option is None:
            raise _UnknownFlagError(f"unknown flag: --{name}")
        if equals:
            self._set(option, value, start)
        elif option.kind is Kind.BOOL:
            self._set(option, "true", start)
        else:
            self._set(option, self._following(f"--{name}"), start)

    def _short(self, bundle: str, start: int) -> None:
        for index, letter in enumerate(bundle):
            option = self._shorthands.get(letter)
            if option is None:
                raise _UnknownFlagError(f"unknown shorthand flag: '{letter}' in -{bundle}")
            equals = bundle.startswith("=", index + 1) and len(bundle) > index + 2
            if option.kind is Kind.BOOL and not equals:
                self._set(option, "true", start)
                continue
            rest = bundle[index + (2 if equals else 1) :]
            self._set(option, rest or self._following(f"'{letter}' in -{bundle}"), start)
            return

    def _following(self, flag: str) -> str:
        if self._position == len(self._arguments):
            raise _RefusedError(f"flag needs an argument: {flag}")
        self._position += 1
        return self._arguments[self._position - 1]

    def _set(self, option: Option, text: str, start: int) -> None:
        try:
            value = self._value(option, text)
        except ValueError as error:
            raise _RefusedError(f'invalid argument "{text}" for "--{option.name}" flag: {error}') from None
        self._gathered.setdefault(option.name, _Gathered()).add(value, start)

    def _value(self, option: Option, text: str) -> SettingValue:
        match option.kind:
            case Kind.BOOL:
                return parse_bool(text)
            case Kind.INT:
                return parse_integer(text)
            case Kind.ADDRESS:
                # Before engine 26 an empty address is refused; since then it unsets.
                if not text.strip() and self._version is not None and self._version >= (26, 0):
                    return None
                return parse_address(text.strip())
            case Kind.ADDRESSES:
                return self._addresses(option, text)
            case Kind.LIST:
                return (text,)
            case _:
                return text

    def _addresses(self, option: Option, text: str) -> tuple[str, ...]:
        version = self._version or (26, 0)
        if option.name == "dns" and "," in text and (20, 10) < version < (26, 0):
            raise _PerhapsRefusedError(f"several addresses in one --dns: {text}")
        # 20.10 does not take several addresses in one --dns, 26 to 28 do, 29 does not.
        if option.name == "dns" and (26, 0) <= version < (29, 0):
            return tuple(parse_address(part.strip()) for part in text.replace('"', "").split(","))
        may_have_zone = option.name != "dns" or self._version is None or self._version >= (29, 0)
        return (parse_address(text, zone=may_have_zone),)


def parse_bool(text: str) -> bool:
    """A switch's value as Go reads it.

    Raises:
        ValueError: `no`, `off`, an empty text and the like.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("not a boolean")


def parse_integer(text: str) -> int:
    """A number as Go reads it: decimal, 0x, 0b, 0o, and octal after a plain 0.

    Raises:
        ValueError: it is none.
    """
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("not a number")
    digits = text.lstrip("+-").replace("_", "")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdecimal()
    number = int(digits, 8 if octal else 0)
    return -number if text.startswith("-") else number


def parse_address(text: str, *, zone: bool = False) -> str:
    """An IP address as it was written.

    Args:
        text: the address.
        zone: whether a zone may follow it (`fe80::1%eth0`).

    Raises:
        ValueError: it is none.
    """
    if "%" in text and not zone:
        raise ValueError("not an IP address")
    ipaddress.ip_address(text)
    return text
