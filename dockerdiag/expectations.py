"""Findings that somebody expects, as a configuration file tells: with a reason, and perhaps until a day.

[[expected]]
code = "network-unmasqueraded"
subject = "network:dmz-*"
reason = "the core router knows the way to these subnets"
until = 2027-06-30
"""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dockerdiag.bounded_file import read_bounded
from dockerdiag.dataclass import dataclass
from dockerdiag.report import Finding, Status
from dockerdiag.snapshot.secrets import mask_text

MAXIMUM_SIZE = 1024 * 1024
"""Bytes of a configuration file."""

DEFAULT_PATH = Path("/etc/dockerdiag.toml")

_ALARMS = (Status.FAIL, Status.WARN, Status.UNKNOWN)
_KEYS = {"code", "subject", "reason", "until"}


class ConfigurationError(ValueError):
    """A configuration file that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected; `code` and `subject` are patterns as a shell's."""

    code: str
    subject: str
    reason: str
    until: date | None = None
    """The last day on which it holds."""

    def matches(self, finding: Finding, subject: str) -> bool:
        """Whether it is about a finding on `subject`, on any day."""
        return (
            finding.status in _ALARMS
            and fnmatchcase(finding.code, self.code)
            and fnmatchcase(subject, self.subject)
        )

    def holds(self, day: date) -> bool:
        """Whether its last day has not passed."""
        return self.until is None or day <= self.until

    def __str__(self) -> str:
        return self.reason if self.until is None else f"{self.reason} (until {self.until})"


Expectations = tuple[Expectation, ...]


def load(path: Path) -> Expectations:
    """The expectations of a configuration file.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or says what is not understood.
    """
    try:
        content = read_bounded(path, MAXIMUM_SIZE)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    return loads(content, str(path))


def loads(content: bytes, path: str) -> Expectations:
    """The expectations that the file at `path` holds.

    Raises:
        ConfigurationError: it is no TOML, or says what is not understood.
    """
    try:
        values = tomllib.loads(content.decode())
    except RecursionError:
        raise ConfigurationError(f"{path} is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    unknown = sorted(values.keys() - {"expected"})
    if unknown:
        raise ConfigurationError(f"{path}: {unknown[0]!r} means nothing here; there is [[expected]] only")
    entries = values.get("expected", [])
    if not isinstance(entries, list):
        raise ConfigurationError(f"{path}: expected is a list of tables: [[expected]]")
    return tuple(_expectation(entry, f"{path}: [[expected]] {at}") for at, entry in enumerate(entries, 1))


def _expectation(entry: Any, place: str) -> Expectation:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{place} is not a table")
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise ConfigurationError(
            f"{place}: {unknown[0]!r} means nothing; keys are {', '.join(sorted(_KEYS))}"
        )
    for key in ("code", "reason"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise ConfigurationError(f"{place} needs a {key}, a text")
    subject = entry.get("subject", "*")
    if not isinstance(subject, str):
        raise ConfigurationError(f"{place}: subject is a text")
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise ConfigurationError(f"{place}: until is a day, written 2027-06-30 without quotes")
    return Expectation(entry["code"], subject, mask_text(entry["reason"].strip()).text, until)
