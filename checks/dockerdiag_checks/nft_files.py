"""What nftables' files do to the engine's tables when they are loaded, and how they are told not to."""

import re
from collections.abc import Iterable, Iterator, Sequence

from dockerdiag.case import Case
from dockerdiag.dataclass import dataclass
from dockerdiag.report import Remedy
from dockerdiag.snapshot import TextFile, Unread
from dockerdiag_checks.commands import EditedFile, sh
from dockerdiag_checks.wording import retry

Table = tuple[str, str]
"""Family and name."""

_CUTS_OFF = {("ip", "nat"), ("ip", "docker-bridges")}
"""Without their rules no container's address is translated."""
_OTHERS = ("/etc/iptables/", "/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables", "/etc/firewalld/")
"""What other services load."""
_NO_COMMAND = re.compile(r'"[^"\n]*"|#[^\n]*|\\\n')
"""Strings, comments and continued lines."""
_FAMILY = r"(?:(ip6?|inet|arp|bridge|netdev)\s+)?"
_RULESET = re.compile(r"flush\s+ruleset(?:\s+(ip6?|inet|arp|bridge|netdev))?$")
_TABLE = re.compile(rf"(?:flush|delete|destroy)\s+table\s+{_FAMILY}([\w.-]+)$")
_DECLARED = re.compile(rf"(?:(?:add|create)\s+)?table\s+{_FAMILY}([\w.-]+)$")


@dataclass(frozen=True, slots=True)
class Taking:
    """A command of a file that takes tables of the engine's away, or empties them."""

    file: TextFile
    number: int
    """Of its line."""
    text: str
    family: str | None
    """Of a flush of all tables of one family."""
    whole: bool
    """Whether it flushes every table, or all of that family."""
    tables: tuple[Table, ...]
    """The engine's."""

    @property
    def cuts_off(self) -> bool:
        """Whether no container gets out by IPv4 without what it takes away."""
        return bool(_CUTS_OFF & {*self.tables})


@dataclass(frozen=True, slots=True)
class _Command:
    number: int
    text: str
    opens: bool
    """Whether a block follows."""


def takings(case: Case) -> Iterator[Taking]:
    """Each command that takes away what the engine has in nftables, in the files' order."""
    docker = _docker_tables(case)
    for file in _nftables_files(case):
        for command in _commands(file.text):
            whole = _RULESET.match(command.text)
            one = _TABLE.match(command.text)
            if whole is not None:
                taken = tuple(table for table in docker if whole[1] in (None, table[0]))
            elif one is not None:
                taken = tuple(table for table in docker if table == (one[1] or "ip", one[2]))
            else:
                continue
            if taken:
                family = whole[1] if whole is not None else None
                yield Taking(file, command.number, command.text, family, whole is not None, taken)


def _nftables_files(case: Case) -> tuple[TextFile, ...]:
    files = case.snapshot.firewall_files
    return (
        () if isinstance(files, Unread) else tuple(one for one in files if not one.path.startswith(_OTHERS))
    )


def _docker_tables(case: Case) -> tuple[Table, ...]:
    """Where the engine's rules are; those of IPv6 where a network has it."""
    names = ("docker-bridges",) if case.backend() == "nft" else ("nat", "filter")
    six = case.presumed_value("ip6tables") is True and any(one.ipv6 and one.bridge for one in case.networks)
    return tuple((family, name) for family in ("ip", "ip6")[: 2 if six else 1] for name in names)


def _commands(text: str) -> Iterator[_Command]:
    """The commands outside of blocks."""
    bare = _NO_COMMAND.sub(lambda found: " " * len(found[0]), text)
    start = depth = 0
    for end in re.finditer(r"[{};\n]|\Z", bare):
        piece = bare[start : end.start()]
        if depth == 0 and (command := piece.strip()):
            first = start + len(piece) - len(piece.lstrip())
            yield _Command(text.count("\n", 0, first) + 1, command, end[0] == "{")
        depth += {"{": 1, "}": -1}.get(end[0], 0)
        start = end.end()


def leaves_docker_alone(case: Case, found: Sequence[Taking]) -> Remedy | None:
    """Has one file delete the tables that it and its like make, and no more.

    None where they add rules to a table of the engine's: those must first get a table of their own.

    Args:
        case: The case.
        found: What that file takes away.
    """
    own = _declared(_nftables_files(case))
    if {*own} & {*_docker_tables(case)}:
        return None
    file = found[0].file
    edited = EditedFile(file.path)
    return Remedy(
        summary="Delete its own tables there, and leave those of others alone",
        now=(
            edited.keep,
            *(edited.sed(_replaced(taking, own)) for taking in found),
            f"{sh('nft', '-c', '-f', file.path)} || {{ {edited.restore}; false; }}",
        ),
        verify=(_checked(file), *retry(case)),
        undo=(edited.restore,),
        risk=(
            "None now: the file is read at the next reload. What somebody adds to other tables by hand stays then. "
            "`systemctl stop nftables` and `restart` still flush everything on most distributions: use reload."
        ),
    )


def own_table_first(case: Case, found: Sequence[Taking]) -> Remedy:
    """What an admin must do by hand where a file has rules of its own in a table of the engine's."""
    file = found[0].file
    tables = ", ".join(" ".join(table) for table in found[0].tables)
    return Remedy(
        summary=f"Give the rules that nftables loads into {tables} a table of their own, for {file.path} to delete",
        verify=(_checked(file), *retry(case)),
        risk="None now: the file is read at the next reload.",
    )


def _checked(file: TextFile) -> str:
    return sh("nft", "-c", "-f", "/etc/nftables.conf" if file.path.startswith("/etc/nft") else file.path)


def _declared(files: Iterable[TextFile]) -> tuple[Table, ...]:
    found = (
        (match[1] or "ip", match[2])
        for file in files
        for command in _commands(file.text)
        if command.opens and (match := _DECLARED.match(command.text)) is not None
    )
    return tuple(dict.fromkeys(found))


def _replaced(taking: Taking, own: Sequence[Table]) -> str:
    """The edit that puts the deletion of the own tables in a command's place."""
    names = [f"{family} {name}" for family, name in own if taking.whole and taking.family in (None, family)]
    # To delete a table that is not there is an error: it is declared first.
    deleted = "; ".join(f"table {name}; delete table {name}" for name in names)
    pattern = re.sub(r"\s+", r"[[:space:]]\\+", re.sub(r"[].*[]", r"\\\g<0>", taking.text))
    return f"{taking.number}s/{pattern}/{deleted}/"
