"""ExecStart= of a unit: its words, and what variables make of them.

`$NAME` as a word of its own becomes as many words as its value has, none where it is unset. `${NAME}` becomes
part of that one word. `$$` is a dollar sign. The prefix `:` turns all of it off.
"""

import re
from collections.abc import Callable, Mapping

from dockerdiag.configuration.origin import LocatedText, Origin
from dockerdiag.configuration.specifiers import Specifiers, UnknownSpecifierError
from dockerdiag.configuration.words import (
    LENIENT,
    STRICT,
    VARIABLE_VALUE,
    WHITESPACE,
    QuotingError,
    first_word,
    split_words,
)
from dockerdiag.dataclass import dataclass

_PREFIXES = "@-:+!|"
_SPECIAL_CHARACTER = re.compile(r"[\x01-\x1f\x7f\"'\\]")
_BRACED = re.compile(r"\$(?:\$|\{(?P<name>[^}]*)\})")


@dataclass(frozen=True, slots=True)
class EnvironmentVariable:
    """A variable that a unit or an environment file sets."""

    name: str
    value: LocatedText
    origin: Origin
    """The line on which its name stands."""
    certain: bool = True
    """False where part of the value cannot be told from a snapshot."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One word of a command line."""

    text: str
    origin: Origin
    """The physical line on which it stands, in the unit or where its variable is set."""
    variable: str | None = None
    """The variable that it came from."""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ExecCommand:
    """One command of ExecStart=, before its variables are expanded."""

    words: tuple[tuple[LocatedText, bool], ...]
    """Each with whether it is certain; the first is the program, or what `@` calls it."""
    origin: Origin
    prefixes: str
    program: str

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables that it expands."""
        if ":" in self.prefixes:
            return frozenset()
        names: set[str] = set()
        for word, _ in self.words:
            if _stands_alone(word.text):
                names.add(word.text[1:])
            else:
                names |= {match["name"] for match in _BRACED.finditer(word.text) if match["name"]}
        return frozenset(names)


@dataclass(frozen=True, slots=True)
class ExecLine:
    """What one ExecStart= line yields."""

    commands: tuple[ExecCommand, ...]
    diagnostics: tuple[Origin, ...]
    fatal: bool
    """Whether the unit cannot be loaded because of it."""


class _RefusedError(Exception):
    """systemd refuses the line."""


def read_exec(value: LocatedText, origin: Origin, specifiers: Specifiers) -> ExecLine:
    """Reads the value of an ExecStart= line: one command, or several with a lone `;` in between."""
    commands: list[ExecCommand] = []
    diagnostics: list[Origin] = []
    position = 0
    # A broken first word loses the line; a broken word after it the whole unit, unless `-` forgives.
    forgiven = True
    try:
        while (found := _next_word(value, position, origin, diagnostics)) is not None:
            program, position = found
            if program.text == ";":
                continue
            prefixes, path = _split_prefixes(program)
            forgiven = "-" in prefixes
            words, position = _words(value, position, origin, diagnostics)
            commands.append(_command(prefixes, path, words, origin, specifiers))
            forgiven = True
    except UnknownSpecifierError as error:
        message = f"Failed to resolve unit specifier {error}"
    except _RefusedError as error:
        message = str(error)
    else:
        return ExecLine(tuple(commands), tuple(diagnostics), fatal=False)
    diagnostics.append(Origin(origin.path, origin.line, message))
    return ExecLine(tuple(commands), tuple(diagnostics), fatal=not forgiven)


def arguments_of(
    command: ExecCommand, environment: Mapping[str, EnvironmentVariable], line_text: Callable[[str, int], str]
) -> tuple[Argument, ...]:
    """The words that the program is started with.

    Args:
        command: the command as the unit has it.
        environment: the variables of the service.
        line_text: how a line of a file reads, by path and number.
    """
    arguments: list[Argument] = []
    for word, certain in command.words:
        written = Origin(command.origin.path, word.start, line_text(command.origin.path, word.start))
        if ":" in command.prefixes:
            arguments.append(Argument(word.text, written, certain=certain))
        elif _stands_alone(word.text):
            variable = environment.get(word.text[1:])
            if variable is None:
                continue
            for part in split_words(variable.value, VARIABLE_VALUE):
                path = variable.origin.path
                there = Origin(path, part.start, line_text(path, part.start))
                arguments.append(Argument(part.text, there, variable.name, variable.certain))
        else:
            arguments.append(_expanded(word, certain, environment, written, line_text))
    return tuple(arguments)


def _stands_alone(word: str) -> bool:
    return word.startswith("$") and word[1:2] not in {"{", "$"}


def _expanded(
    word: LocatedText,
    certain: bool,
    environment: Mapping[str, EnvironmentVariable],
    written: Origin,
    line_text: Callable[[str, int], str],
) -> Argument:
    used: EnvironmentVariable | None = None
    text = ""
    position = 0
    for match in _BRACED.finditer(word.text):
        text += word.text[position : match.start()]
        position = match.end()
        if match["name"] is None:
            text += "$"
        elif (variable := environment.get(match["name"])) is not None:
            used = variable
            certain = certain and variable.certain
            text += variable.value.text
    text += word.text[position:]
    if used is None:
        return Argument(text, written, certain=certain)
    line = used.value.start if len(used.value) else used.origin.line
    there = Origin(used.origin.path, line, line_text(used.origin.path, line or 0))
    return Argument(text, there, used.name, certain)


def _next_word(
    value: LocatedText, position: int, origin: Origin, diagnostics: list[Origin]
) -> tuple[LocatedText, int] | None:
    try:
        return first_word(value, position, STRICT)
    except QuotingError:
        pass
    try:
        found = first_word(value, position, LENIENT)
    except QuotingError:
        raise _RefusedError(f'Unbalanced quoting, ignoring: "{value.text}"') from None
    rest = value.text[position:]
    diagnostics.append(Origin(origin.path, origin.line, f'Ignoring unknown escape sequences: "{rest}"'))
    return found


def _words(
    value: LocatedText, position: int, origin: Origin, diagnostics: list[Origin]
) -> tuple[list[LocatedText], int]:
    """The words up to the end or a lone unquoted `;`."""
    words: list[LocatedText] = []
    while position < len(value):
        ahead = value.text[position : position + 3]
        if _is_token(ahead, ";"):
            return words, position + 1
        if _is_token(ahead, "\\;"):
            words.append(value[position + 1 : position + 2])
            position += 2
            while position < len(value) and value.text[position] in WHITESPACE:
                position += 1
            continue
        found = _next_word(value, position, origin, diagnostics)
        if found is None:
            break
        word, position = found
        words.append(word)
    return words, position


def _is_token(text: str, token: str) -> bool:
    return text.startswith(token) and (len(text) == len(token) or text[len(token)] in WHITESPACE)


def _split_prefixes(program: LocatedText) -> tuple[str, LocatedText]:
    """The prefixes and the path. Each counts once, and only one of `+`, `!` and `!!`; what follows is path."""
    prefixes = ""
    while prefix := program.text[len(prefixes) : len(prefixes) + 1]:
        second_bang = prefix == "!" and prefixes.count("!") == 1
        taken = prefix in prefixes and not second_bang
        privileges_clash = (prefix == "+" and "!" in prefixes) or (prefix == "!" and "+" in prefixes)
        if prefix not in _PREFIXES or taken or privileges_clash:
            break
        prefixes += prefix
    return prefixes, program[len(prefixes) :]


def _command(
    prefixes: str, path: LocatedText, words: list[LocatedText], origin: Origin, specifiers: Specifiers
) -> ExecCommand:
    program = specifiers.resolve(path)
    if not program.text.text:
        raise _RefusedError("Empty path in command line")
    if _SPECIAL_CHARACTER.search(program.text.text):
        raise _RefusedError(f"Executable path contains special characters: {program.text.text}")
    if program.text.text.endswith("/"):
        raise _RefusedError(f"Executable path specifies a directory: {program.text.text}")
    if "/" in program.text.text and not program.text.text.startswith("/"):
        raise _RefusedError(f"Neither a valid executable name nor an absolute path: {program.text.text}")
    resolved = [specifiers.resolve(word) for word in words]
    if "@" in prefixes:
        if not resolved or not resolved[0].text.text:
            raise _RefusedError("Empty executable name or zeroeth argument")
    else:
        resolved.insert(0, program)
    return ExecCommand(
        words=tuple((each.text, each.certain) for each in resolved),
        origin=origin,
        prefixes=prefixes,
        program=program.text.text,
    )
