"""What the host's other firewalls load: rules of nftables and iptables in files, and firewalld's zones."""

import re
from collections.abc import Iterator

from dockerdiag.readers.files import Tree
from dockerdiag.snapshot import TextFile

_NFTABLES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
_SAVED = (
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/ip6tables",
)
_ZONES = "/etc/firewalld/zones"
_INCLUDE = re.compile(r"^\s*include\s+\"([^\"]+)\"", re.MULTILINE)
_MAXIMUM_FILES = 200


def read_firewall_files(tree: Tree) -> tuple[TextFile, ...]:
    """Those that exist, nftables' with what they include, in the order in which they are loaded.

    Raises:
        ReadError: where one cannot be read.
    """
    found: dict[str, TextFile] = {}
    for path in _NFTABLES:
        _with_includes(tree, path, found)
    zones = (f"{_ZONES}/{name}" for name in tree.names(_ZONES) if name.endswith(".xml"))
    for path in (*_SAVED, *zones):
        if (file := tree.read(path)) is not None:
            found[path] = file
    return tuple(found.values())


def _with_includes(tree: Tree, path: str, found: dict[str, TextFile]) -> None:
    if path in found or len(found) >= _MAXIMUM_FILES or (file := tree.read(path)) is None:
        return
    found[path] = file
    for written in _INCLUDE.findall(file.text):
        for included in _named(tree, written if written.startswith("/") else f"/etc/{written}"):
            _with_includes(tree, included, found)


def _named(tree: Tree, pattern: str) -> Iterator[str]:
    directory, _, name = pattern.rpartition("/")
    if "*" not in name:
        yield pattern
        return
    expression = re.compile(".*".join(map(re.escape, name.split("*"))))
    # nft leaves out hidden files where a pattern starts with a wildcard.
    names = (one for one in tree.names(directory) if expression.fullmatch(one) and not one.startswith("."))
    yield from (f"{directory}/{one}" for one in names)
