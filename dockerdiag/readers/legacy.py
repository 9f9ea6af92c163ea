"""The legacy tables as python-iptables reads them, in a process of its own: it can crash, and it prints."""

import importlib.util
import re
from typing import Literal

from dockerdiag.readers.command import failure, python_module, run
from dockerdiag.readers.deadline import Deadline

MAXIMUM_CHECKED_RULES = 2000
"""Beyond that the library takes seconds."""

_SPELLINGS = {"-p icmpv6": "-p ipv6-icmp"}
_COUNTERS = re.compile(r"\[\d+:\d+\]")


def read_by_library(version: Literal[4, 6], deadline: Deadline) -> str | None:
    """The registered tables in the form of `iptables-legacy-save -c`; None where python-iptables is missing.

    To be called only where a table is registered. Other tables stay unregistered, and no module is loaded.

    Raises:
        ReadError: where the library fails, crashes or takes too long.
    """
    if importlib.util.find_spec("iptc") is None:
        return None
    command, environment = python_module("dockerdiag.readers.legacy_worker", str(version))
    output = run(command, deadline, environment=environment)
    if output.status != 0:
        raise failure("python-iptables", output)
    return output.text


def same_rules(one: str, other: str) -> bool:
    """Whether two saves hold the same tables, chains, policies and rules; counters move on between them."""
    return _comparable(one) == _comparable(other)


def _comparable(text: str) -> dict[str, tuple[frozenset[str], tuple[str, ...]]]:
    tables: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {}
    for written, usual in _SPELLINGS.items():
        text = text.replace(written, usual)
    for block in re.split(r"^\*", text, flags=re.MULTILINE)[1:]:
        name, *lines = block.splitlines()
        plain = [" ".join(_COUNTERS.sub("", line).split()) for line in lines]
        rules: dict[str, list[str]] = {}
        for line in plain:
            if line.startswith("-A "):
                rules.setdefault(line.split(" ", 2)[1], []).append(line)
        ordered = tuple(line for chain in sorted(rules) for line in rules[chain])
        tables[name] = (frozenset(line for line in plain if line.startswith(":")), ordered)
    return tables
