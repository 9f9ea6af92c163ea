r"""The syntax of an EnvironmentFile=: like a shell's assignments, but not quite.

No `export`, no variables, no comment after a value. Unquoted values keep quotes that do not stand at their
start; within double quotes a backslash protects only `"`, `\`, a backtick and `$`; quotes may span lines, and
nobody complains of one that never ends.
"""

from dockerdiag.configuration.origin import LocatedText
from dockerdiag.configuration.words import WHITESPACE
from dockerdiag.dataclass import dataclass

_NEWLINE = "\n\r"


@dataclass(frozen=True, slots=True)
class FileAssignment:
    """One `NAME=value` of an environment file. The name is as written and may be invalid (`export A`)."""

    name: str
    value: LocatedText
    line: int
    certain: bool = True
    """False where it follows a comment that ends in a backslash: before systemd 254 it belongs to that
    comment, since then it is an assignment."""


def read_environment_file(text: str) -> tuple[FileAssignment, ...]:
    """The assignments of an environment file in their order; a later one of the same name overrides."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def read(self) -> tuple[FileAssignment, ...]:
        found: list[FileAssignment] = []
        certain = True
        while (character := self._peek()) is not None:
            if character in WHITESPACE:
                self._next()
            elif character in "#;":
                certain = not self._skip_comment()
            else:
                assignment = self._assignment(certain=certain)
                certain = True
                if assignment is not None:
                    found.append(assignment)
        return tuple(found)

    def _peek(self) -> str | None:
        return self._text[self._position] if self._position < len(self._text) else None

    def _next(self) -> tuple[str, int]:
        character, line = self._text[self._position], self._line
        self._position += 1
        # Windows line ends count once.
        if character == "\n" or (character == "\r" and self._peek() != "\n"):
            self._line += 1
        return character, line

    def _skip_comment(self) -> bool:
        """Whether its last character is a backslash, after which older systemd goes on with the comment."""
        escaped = False
        while (character := self._peek()) is not None:
            self._next()
            if character in _NEWLINE:
                return escaped
            escaped = character == "\\" and not escaped
        return False

    def _assignment(self, *, certain: bool) -> FileAssignment | None:
        line = self._line
        name = ""
        while (character := self._peek()) is not None and character != "=":
            self._next()
            if character in _NEWLINE:
                return None
            name += character
        if character is None:
            return None
        self._next()
        return FileAssignment(name.rstrip(WHITESPACE), self._value(), line, certain)

    def _value(self) -> LocatedText:
        start = self._line
        value: list[tuple[str, int]] = []
        while (character := self._peek()) is not None:
            if character in _NEWLINE:
                self._next()
                break
            if character == "'":
                self._next()
                value += self._single_quoted()
            elif character == '"':
                self._next()
                value += self._double_quoted()
            elif character in WHITESPACE:
                self._next()
            else:
                value += self._unquoted()
                break
        return LocatedText.of(value, start)

    def _single_quoted(self) -> list[tuple[str, int]]:
        value = []
        while self._peek() is not None:
            character, line = self._next()
            if character == "'":
                break
            value.append((character, line))
        return value

    def _double_quoted(self) -> list[tuple[str, int]]:
        value = []
        while self._peek() is not None:
            character, line = self._next()
            if character == '"':
                break
            if character == "\\" and self._peek() is not None:
                escaped, line = self._next()
                if escaped == "\n":
                    continue
                if escaped not in '"\\`$':
                    value.append(("\\", line))
                value.append((escaped, line))
            elif character != "\\":
                value.append((character, line))
        return value

    def _unquoted(self) -> list[tuple[str, int]]:
        """The rest of the value, up to a line end without backslash; white space at its end falls away."""
        value: list[tuple[str, int]] = []
        kept = 0
        while self._peek() is not None:
            character, line = self._next()
            if character in _NEWLINE:
                break
            if character == "\\":
                kept = len(value)
                if self._peek() is None:
                    break
                escaped, line = self._next()
                if escaped not in _NEWLINE:
                    value.append((escaped, line))
                    kept = len(value)
                continue
            value.append((character, line))
            if character not in WHITESPACE:
                kept = len(value)
        return value[:kept]
