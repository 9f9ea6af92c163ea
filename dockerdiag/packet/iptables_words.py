"""Splits one line of iptables-save into its matches and its target, without knowing what they mean."""

import re
from dataclasses import field

from dockerdiag.dataclass import dataclass

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPE = re.compile(r"\\(.)")

_FREE_TEXT = frozenset(
    {
        "--comment",
        "--log-prefix",
        "--nflog-prefix",
        "--ulog-prefix",
        "--string",
        "--hex-string",
        "--name",
        "--helper",
        "--hashlimit-name",
        "--nfacct-name",
        "--led-trigger-id",
        "--set-mark",
    }
)
"""Options whose one value may look like an option."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word; a quoted one is never an option."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option with its values, perhaps negated."""

    name: str
    values: tuple[str, ...]
    inverted: bool = False

    @property
    def value(self) -> str:
        """Its first value, empty where it has none."""
        return self.values[0] if self.values else ""


@dataclass(slots=True)
class Extension:
    """A match (`-m NAME`) or the target with its options."""

    name: str
    options: list[Option] = field(default_factory=list)

    def option(self, *names: str) -> Option | None:
        """The option of one of these names, None where it is not given."""
        return next((option for option in self.options if option.name in names), None)


@dataclass(slots=True)
class RuleWords:
    """One rule in its parts."""

    basics: list[Option] = field(default_factory=list)
    """`-s`, `-d`, `-i`, `-o`, `-p`, `-f`."""
    matches: list[Extension] = field(default_factory=list)
    target: Extension | None = None
    goto: bool = False


def split_words(line: str) -> list[Word]:
    """The words of a line; within double quotes a backslash keeps the next character."""
    return [
        Word(_ESCAPE.sub(r"\1", found[1]), quoted=True) if found[1] is not None else Word(found[2])
        for found in _WORD.finditer(line)
    ]


def split_rule(line: str) -> RuleWords:
    """The parts of a rule as iptables-save prints it (`[1:60] -A CHAIN …`)."""
    rule = RuleWords()
    place: Extension | None = None
    for option in _options(split_words(line)):
        if option.name == "-A":
            continue
        if option.name in ("-m", "--match"):
            place = Extension(option.value)
            rule.matches.append(place)
        elif option.name in ("-j", "--jump", "-g", "--goto"):
            place = rule.target = Extension(option.value)
            rule.goto = option.name in ("-g", "--goto")
        elif place is None or option.name in ("-s", "-d", "-i", "-o", "-p", "-f"):
            rule.basics.append(option)
        else:
            place.options.append(option)
    return rule


def _options(words: list[Word]) -> list[Option]:
    options: list[Option] = []
    position = 0
    inverted = False
    while position < len(words):
        word = words[position]
        position += 1
        if not word.quoted and word.text == "!":
            inverted = True
            continue
        if word.quoted or not word.text.startswith("-"):
            continue
        values: list[str] = []
        while position < len(words) and (
            words[position].quoted
            or (word.text in _FREE_TEXT and not values)
            or not (words[position].text == "!" or _is_option(words[position].text))
        ):
            values.append(words[position].text)
            position += 1
        # Old tools print the negation after the option.
        if len(values) == 0 and position < len(words) - 1 and words[position].text == "!" and not inverted:
            following = words[position + 1]
            if following.quoted or not _is_option(following.text):
                inverted = True
                values.append(following.text)
                position += 2
        options.append(Option(word.text, tuple(values), inverted))
        inverted = False
    return options


def _is_option(text: str) -> bool:
    return len(text) > 1 and text[0] == "-" and not text[1].isdigit()
