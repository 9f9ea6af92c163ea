"""What an undo must bring back: everything that a remedy changes on a host, told so that two hosts compare."""

import re

from tests.lab.fingerprint import STATE, differences
from tests.lab.host import LabHost

CONFIGURATION = """
find /etc /root -xdev -type f -exec sha256sum {} + | sort
find /etc /root -xdev -type l -printf '%p -> %l\\n' | sort
"""
# Handles count every rule that was ever made, so what is put back has another one.
PARTS = {
    "nft rules": "nft --stateless list ruleset",
    "legacy tables": STATE["legacy tables"],
    "sysctls": STATE["sysctls"],
    # A link that is made anew gives itself another link-local address.
    "routes": "ip -4 route show table all; ip -6 route show table all | sed '/ fe80::/d; s/ expires [0-9]*sec//'",
    "rules": "ip rule; ip -6 rule",
    "files": CONFIGURATION,
}
# iptables makes these for its first rule there, and deletes none of them.
EMPTY_CHAIN = re.compile(r"\tchain \S+ \{\n\t\ttype .*policy accept;\n\t\}\n")
VETH = re.compile(r"veth[0-9a-f]+")
EMPTY_TABLE = re.compile(r"table \S+ \S+ \{\n*\}\n")


def taken(host: LabHost) -> dict[str, str]:
    # What is connected anew has a link of another name.
    told = {part: VETH.sub("veth", host.run(command).stdout) for part, command in PARTS.items()}
    rules = EMPTY_TABLE.sub("", EMPTY_CHAIN.sub("", told["nft rules"]))
    # Both are listed link by link.
    listed = {part: "\n".join(sorted(told[part].splitlines())) for part in ("sysctls", "routes")}
    return told | listed | {"nft rules": "\n".join(filter(None, rules.splitlines()))}


def assert_as_before(host: LabHost, before: dict[str, str], when: str, parts: tuple[str, ...] = ()) -> None:
    now = taken(host)
    changed = differences({part: before[part] for part in parts or before}, now)
    assert not changed, f"{when}, gone and come: {changed}"
