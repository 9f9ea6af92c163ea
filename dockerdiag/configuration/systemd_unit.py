"""What systemd makes of docker.service: the command line and environment of the next start, and their lines.

The files are taken as they are on disk, as after `systemctl daemon-reload`.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from fnmatch import fnmatchcase

from dockerdiag.configuration.command_line import (
    Argument,
    EnvironmentVariable,
    ExecCommand,
    arguments_of,
    read_exec,
)
from dockerdiag.configuration.environment_file import read_environment_file
from dockerdiag.configuration.origin import LocatedText, Origin
from dockerdiag.configuration.specifiers import Specifiers, UnknownSpecifierError
from dockerdiag.configuration.unit_syntax import Assignment, physical_lines, read_unit_file
from dockerdiag.configuration.words import QuotingError, split_words
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.snapshot import EnvironmentFile, ServiceUnit, TextFile, Unread

_SECTIONS = frozenset({"Unit", "Service", "Install"})
_LISTS = frozenset({"Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment", "ExecStart"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INVALID_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class EffectiveService:
    """A service as its files tell it."""

    environment: Mapping[str, EnvironmentVariable]
    """What the service gets, by name: of the manager's own environment only what the snapshot holds of it."""
    exec_start: tuple[ExecCommand, ...]
    """Each command of ExecStart= as the unit has it."""
    commands: tuple[tuple[Argument, ...], ...]
    """The same with their variables expanded: the words that are started."""
    variables: frozenset[str]
    """The names that some ExecStart= expands."""
    assignments: tuple[EnvironmentVariable, ...]
    """Every assignment of a variable in the files' order, also those that something later overrides."""
    settings: Mapping[str, Origin]
    """The last assignment of every other key of [Service]; `text` is the value."""
    diagnostics: tuple[Origin, ...]
    """What systemd would log while reading, at file and line; `text` is the message."""
    errors: tuple[Origin, ...]
    """Why systemd would refuse to start it."""
    unread: tuple[str, ...]
    """Environment files that could not be read; what they set is unknown, and they override the units."""


def effective_service(unit: ServiceUnit, hostname: str) -> EffectiveService:
    """Reads a service's fragment, drop-ins and environment files as systemd does."""
    return _Service(unit, hostname).read()


@dataclass(slots=True)
class _Service:
    unit: ServiceUnit
    hostname: str
    variables: dict[str, EnvironmentVariable] = field(default_factory=dict)
    all_variables: list[EnvironmentVariable] = field(default_factory=list)
    environment_files: list[tuple[str, bool, Origin]] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    unset: list[str] = field(default_factory=list)
    exec_start: list[ExecCommand] = field(default_factory=list)
    settings: dict[str, Origin] = field(default_factory=dict)
    diagnostics: list[Origin] = field(default_factory=list)
    errors: list[Origin] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    specifiers: Specifiers = field(init=False)
    lines: dict[str, list[str]] = field(default_factory=dict)
    variables_of_files: dict[str, dict[str, EnvironmentVariable]] = field(default_factory=dict)

    def read(self) -> EffectiveService:
        fragment = self.unit.fragment
        self.specifiers = Specifiers(self.unit.name, self.hostname, fragment.path if fragment else "")
        files = (*((fragment,) if fragment else ()), *self.unit.drop_ins)
        for file in files:
            self._read_unit_file(file, is_fragment=file is fragment)
        environment = _environment_of_manager(self.unit) | self.variables
        for path, optional, origin in self.environment_files:
            environment |= self._environment_of(path, optional=optional, origin=origin)
        variables = frozenset(name for command in self.exec_start for name in command.variables)
        for name in self.passed:
            if name not in environment and (name in variables or name.lower().endswith("_proxy")):
                self.unread.append(f"PassEnvironment={name}")
        expanded = dict(environment)
        for assignment in self.unset:
            name, equals, value = assignment.partition("=")
            if name in environment and (not equals or environment[name].value.text == value):
                # systemd 257 unsets before it expands ExecStart=, systemd 262 afterwards.
                expanded[name] = replace(environment.pop(name), certain=False)
        if fragment is not None or self.exec_start:
            self._check_commands()
        return EffectiveService(
            environment=environment,
            exec_start=tuple(self.exec_start),
            commands=tuple(
                arguments_of(command, expanded, self._physical_line) for command in self.exec_start
            ),
            variables=variables,
            assignments=tuple(self.all_variables),
            settings=self.settings,
            diagnostics=tuple(self.diagnostics),
            errors=tuple(self.errors),
            unread=tuple(self.unread),
        )

    def _check_commands(self) -> None:
        service_type = self.settings.get("Type")
        if not self.exec_start:
            path = self.unit.fragment.path if self.unit.fragment else self.unit.name
            self.errors.append(Origin(path, None, "Service has no ExecStart= setting. Refusing."))
        elif len(self.exec_start) > 1 and (service_type is None or service_type.text != "oneshot"):
            second = self.exec_start[1].origin
            message = (
                "Service has more than one ExecStart= setting, which only Type=oneshot services may have."
            )
            self.errors.append(Origin(second.path, second.line, message))

    def _physical_line(self, path: str, number: int) -> str:
        lines = self.lines.get(path, [])
        return lines[number - 1] if 0 < number <= len(lines) else ""

    # -- unit files ----------------------------------------------------------------------------------------

    def _read_unit_file(self, file: TextFile, *, is_fragment: bool) -> None:
        self.lines[file.path] = [line.strip() for line in physical_lines(file.text)]
        unit_file = read_unit_file(file, _SECTIONS)
        self.diagnostics += unit_file.diagnostics
        if unit_file.truncated and is_fragment:
            self.errors += unit_file.diagnostics[-1:]
        for assignment in unit_file.assignments:
            if assignment.section == "Service":
                if not self._apply(assignment):
                    # The rest of the file is not read; of a fragment, nothing is left that could start.
                    if is_fragment:
                        self.errors += self.diagnostics[-1:]
                    break
            elif assignment.key in _LISTS:
                message = f"Unknown key name '{assignment.key}' in section '{assignment.section}', ignoring."
                self._log(assignment.origin, message)

    def _apply(self, assignment: Assignment) -> bool:
        """Takes over one setting of [Service]; False where it is a fatal error."""
        value, origin = assignment.value, assignment.origin
        match assignment.key:
            case "Environment":
                self._environment(value, origin)
            case "EnvironmentFile":
                self._environment_file(value, origin)
            case "PassEnvironment":
                self._names(value, origin, self.passed)
            case "UnsetEnvironment":
                self._names(value, origin, self.unset)
            case "ExecStart":
                return self._exec_start(value, origin)
            case key:
                if (misspelt := _known_key_like(key)) is not None:
                    self._log(
                        origin,
                        f"Unknown key name '{key}' in section 'Service', ignoring ({misspelt}= is meant).",
                    )
                self.settings[key] = Origin(origin.path, origin.line, value.text)
        return True

    def _log(self, origin: Origin, message: str) -> None:
        self.diagnostics.append(Origin(origin.path, origin.line, message))

    def _environment(self, value: LocatedText, origin: Origin) -> None:
        if not value.text:
            self.variables.clear()
            return
        try:
            for word in split_words(value):
                self._assign(word, origin)
        except QuotingError:
            self._log(origin, f"Invalid syntax, ignoring: {value.text}")

    def _assign(self, word: LocatedText, origin: Origin) -> None:
        try:
            resolved = self.specifiers.resolve(word)
        except UnknownSpecifierError as error:
            self._log(origin, f"Failed to resolve specifier {error} in {word.text}, ignoring")
            return
        name, equals, text = resolved.text.text.partition("=")
        if not equals or not _is_assignment(name, text):
            self._log(origin, f"Invalid environment assignment, ignoring: {word.text}")
            return
        located = resolved.text[len(name) + 1 :]
        line = Origin(origin.path, word.start, self._physical_line(origin.path, word.start))
        variable = EnvironmentVariable(name, located, line, certain=resolved.certain)
        self.variables[name] = variable
        self.all_variables.append(variable)

    def _names(self, value: LocatedText, origin: Origin, names: list[str]) -> None:
        if not value.text:
            names.clear()
            return
        try:
            names += [word.text for word in split_words(value)]
        except QuotingError:
            self._log(origin, f"Invalid syntax, ignoring: {value.text}")

    def _environment_file(self, value: LocatedText, origin: Origin) -> None:
        if not value.text:
            self.environment_files.clear()
            return
        optional = value.text.startswith("-")
        try:
            path = self.specifiers.resolve(value[1:] if optional else value).text.text
        except UnknownSpecifierError as error:
            self._log(origin, f"Failed to resolve specifier {error} in '{value.text}', ignoring")
            return
        if not path.startswith("/"):
            self._log(origin, f"EnvironmentFile= path is not absolute, ignoring: {path}")
            return
        self.environment_files.append((path, optional, origin))

    def _exec_start(self, value: LocatedText, origin: Origin) -> bool:
        if not value.text:
            self.exec_start.clear()
            return True
        read = read_exec(value, origin, self.specifiers)
        self.exec_start += read.commands
        self.diagnostics += read.diagnostics
        return not read.fatal

    # -- environment files ---------------------------------------------------------------------------------

    def _environment_of(self, path: str, *, optional: bool, origin: Origin) -> dict[str, EnvironmentVariable]:
        entries = [entry for entry in self.unit.environment_files if _is_named(entry, path)]
        if not entries:
            self.unread.append(path)
            return {}
        variables: dict[str, EnvironmentVariable] = {}
        present = False
        for entry in entries:
            if isinstance(entry.file, Unread):
                self.unread.append(f"{entry.path}: {entry.file.reason}")
                present = True
            elif entry.file is not None:
                present = True
                variables |= self._read_environment_file(entry.file)
        if not present and not optional:
            message = f"Failed to load environment files: {path} does not exist"
            self.errors.append(Origin(origin.path, origin.line, message))
        return variables

    def _read_environment_file(self, file: TextFile) -> dict[str, EnvironmentVariable]:
        # Named twice, it says the same twice.
        if file.path in self.variables_of_files:
            return self.variables_of_files[file.path]
        self.lines[file.path] = [line.strip() for line in physical_lines(file.text)]
        variables = {}
        for found in read_environment_file(file.text):
            line = Origin(file.path, found.line, self._physical_line(file.path, found.line))
            if not _is_assignment(found.name, found.value.text):
                self._log(line, f"Ignoring invalid environment assignment '{found.name}={found.value.text}'")
                continue
            variable = EnvironmentVariable(found.name, found.value, line, certain=found.certain)
            variables[found.name] = variable
            self.all_variables.append(variable)
        self.variables_of_files[file.path] = variables
        return variables


def _environment_of_manager(unit: ServiceUnit) -> dict[str, EnvironmentVariable]:
    variables = {}
    for line in (unit.manager_environment or "").splitlines():
        name, equals, value = line.partition("=")
        if equals:
            # Values with special characters are printed as shell quotes them: $'…'.
            certain = not value.startswith("$'")
            origin = Origin("systemctl show-environment", None, line)
            variables[name] = EnvironmentVariable(
                name, LocatedText.on_line(value, 1), origin, certain=certain
            )
    return variables


def _is_named(entry: EnvironmentFile, path: str) -> bool:
    return entry.path == path or fnmatchcase(entry.path, path)


def _is_assignment(name: str, value: str) -> bool:
    return _NAME.fullmatch(name) is not None and _INVALID_BYTE.search(value) is None


def _known_key_like(key: str) -> str | None:
    """The key that this one is but for its case: systemd's keys are case-sensitive."""
    return next((known for known in _LISTS if known.lower() == key.lower()), None)
