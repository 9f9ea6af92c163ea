"""The %-specifiers of unit files, as the system manager resolves them for a service."""

from dockerdiag.configuration.origin import LocatedText
from dockerdiag.dataclass import dataclass

_FIXED = {
    "%": "%", "u": "root", "U": "0", "g": "root", "G": "0", "h": "/root", "t": "/run", "S": "/var/lib",
    "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp",  # noqa: S108 - what systemd says, nothing is opened here
}  # fmt: skip
# Known to systemd, but their values are not in a snapshot (machine id, boot id, os-release …).
_NOT_KNOWN_HERE = frozenset("abABcdDfIJmMoPqrRsvwW")


class UnknownSpecifierError(ValueError):
    """A letter or digit after `%` that means nothing: systemd ignores the whole setting."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Text with its specifiers replaced."""

    text: LocatedText
    certain: bool
    """False where one of them stands for something that is not known here; it is left as written."""


@dataclass(frozen=True, slots=True)
class Specifiers:
    """What specifiers stand for in one unit."""

    unit: str
    hostname: str
    fragment: str = ""

    def resolve(self, source: LocatedText) -> Resolved:
        """Replaces the specifiers of a text.

        Raises:
            UnknownSpecifierError: one of them does not exist; `%20` of a URL is the usual one.
        """
        characters: list[tuple[str, int]] = []
        certain = True
        pairs = iter(zip(source.text, source.lines, strict=True))
        for character, line in pairs:
            if character != "%":
                characters.append((character, line))
                continue
            letter, _ = next(pairs, ("", line))
            value = self._value(letter)
            if value is None:
                value = f"%{letter}"
                if letter in _NOT_KNOWN_HERE and letter:
                    certain = False
                elif letter.isascii() and letter.isalnum():
                    raise UnknownSpecifierError(f"%{letter}")
            characters += [(each, line) for each in value]
        return Resolved(LocatedText.of(characters, source.start), certain)

    def _value(self, letter: str) -> str | None:
        stem = self.unit.rpartition(".")[0] or self.unit
        prefix, _, instance = stem.partition("@")
        values = {
            **_FIXED,
            "n": self.unit,
            "N": stem,
            "p": prefix,
            "j": prefix.rpartition("-")[2],
            "i": instance,
            "H": self.hostname,
            "l": self.hostname.partition(".")[0],
            "y": self.fragment,
            "Y": self.fragment.rpartition("/")[0],
        }
        if letter in {"I", "P", "J"} and "\\" not in stem and "-" not in stem:
            return values[letter.lower()]
        return values.get(letter) if letter else None
