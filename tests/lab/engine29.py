"""A stand-in for engine 29, which no suite has: sid's own engine, made to look like one.

Real: the host, its kernel, systemd, the engine's containers, networks, links and proxies, and all traffic. The rules are
those that engine 29.7.2 has printed in its own tests, for networks and addresses that the lab makes just so. Not real:
who loads them (a script, when the engine starts and when a container does), and the version and the firewall backend
that the engine's API tells (see `front`). Those rules are not part of this repository: they lie beside it, or not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import front
from tests.lab.carried import put
from tests.lab.host import PATH, LabHost
from tests.lab.scenario import DROP_INS, RELOAD, script, write

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden" / "engine-29.7.2"
BACKENDS = ("nftables", "iptables")
SUITE = "sid"
FOLDER = "/opt/stand-in"

_PAGES = GOLDEN / "integration/network/bridge"
_BRIDGER = GOLDEN / "daemon/libnetwork/drivers/bridge/internal"
_NOT_OF_THE_LAB = {
    # The subnet of the lab's uplink.
    "198.51.100.": "192.168.51.",
    # Older programs do not know that name at this hook.
    "hook output priority dstnat": "hook output priority -100",
}

# -- the rules ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """One page of rules of engine 29's own tests."""

    page: str
    """Of its documentation of rules; with `versions`, of its tests of the bridge driver."""
    versions: tuple[int, ...] = ()
    """Of IP, that the tests' page is taken of; the documentation has IPv4 alone."""

    def loader(self, backend: str) -> str:
        """Shell lines that do with them what the engine does at its start: its own are deleted and made anew."""
        text = "\n".join(self._native() if backend == "nftables" else self._iptables())
        for theirs, ours in _NOT_OF_THE_LAB.items():
            text = text.replace(theirs, ours)
        return text

    def _native(self) -> Iterator[str]:
        if self.versions:
            tables = [self._tested("nftabler", "ip" if version == 4 else "ip6") for version in self.versions]
        else:
            table = r"^    table ip docker-bridges \{\n.*?^    \}\n"
            tables = re.findall(table, self._documented("nftables"), re.MULTILINE | re.DOTALL)
            # It has a table for IPv6 from its start.
            tables.append(Rules("cleaned,hairpin=false")._tested("nftabler", "ip6"))
        yield from (f"nft delete table {family} docker-bridges 2>/dev/null" for family in ("ip", "ip6"))
        yield from ("nft -f - <<'END'", *tables, "END")

    def _iptables(self) -> Iterator[str]:
        if not self.versions:
            yield from _ensured("iptables-nft", _listed(self._documented("iptables")))
            return
        for version in self.versions:
            tool = "iptables" if version == 4 else "ip6tables"
            yield from _ensured(f"{tool}-nft", _saved(self._tested("iptabler", tool)))

    def _documented(self, kind: str) -> str:
        return (_PAGES / f"{kind}doc" / "generated" / f"{self.page}.md").read_text()

    def _tested(self, kind: str, suffix: str) -> str:
        folder = _BRIDGER / kind / "testdata" / f"Test{kind.capitalize()}"
        return (folder / f"{self.page}__{suffix}.golden").read_text()


@dataclass
class _Table:
    name: str
    own: list[str] = field(default_factory=list)
    """Chains that are the engine's."""
    rules: list[list[str]] = field(default_factory=list)
    """Each as its chain and the rest."""


_TABLES = {
    frozenset({"INPUT", "FORWARD", "OUTPUT"}): "filter",
    frozenset({"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}): "nat",
    frozenset({"PREROUTING", "OUTPUT"}): "raw",
}


def _listed(page: str) -> Iterator[_Table]:
    """What `iptables -S` says on a page, but for parts of tables, which are there for their explanation."""
    for listing in re.findall(r"(?:^    -[PNA] .*\n)+", page, re.MULTILINE):
        lines = [line.split(maxsplit=2) for line in listing.splitlines()]
        name = _TABLES.get(frozenset(chain for word, chain, *_ in lines if word == "-P"))
        if name is not None:
            own = [chain for word, chain, *_ in lines if word == "-N"]
            yield _Table(name, own, [rule for word, *rule in lines if word == "-A"])


def _saved(text: str) -> Iterator[_Table]:
    for part in text.split("*")[1:]:
        name, *lines = part.splitlines()
        own = [line[1:].split()[0] for line in lines if line.startswith(":") and line.split()[1] == "-"]
        yield _Table(name, own, [line.split(maxsplit=2)[1:] for line in lines if line.startswith("-A ")])


def _ensured(tool: str, tables: Iterator[_Table]) -> Iterator[str]:
    for table in tables:
        own = [chain for chain in table.own if chain != "DOCKER-USER"]
        # With -n, a chain that is declared is emptied, and no other.
        yield from (f"{tool}-restore -n <<'END'", f"*{table.name}", *(f":{chain} - [0:0]" for chain in own))
        yield from (f"-A {chain} {rest}" for chain, rest in table.rules if chain in own)
        yield from ("COMMIT", "END")
        call = f"{tool} -t {table.name}"
        yield from (f"{call} -N {chain} 2>/dev/null" for chain in table.own if chain not in own)
        # The engine moves its jumps to the top; what else is there, at whatever place, it leaves there.
        for chain, rest in reversed(table.rules):
            if chain == "FORWARD":
                yield f"{call} -D {chain} {rest} 2>/dev/null; {call} -I {chain} {rest}"
        for chain, rest in table.rules:
            if chain not in own and chain != "FORWARD":
                yield f"{call} -C {chain} {rest} 2>/dev/null || {call} -A {chain} {rest}"


# -- the host ----------------------------------------------------------------------------------------------------

_UNITS = "/etc/systemd/system"
# In containers' namespaces the engine makes the rules of its resolver, as ever.
_NONE_OF_ITS_OWN = """#!/bin/sh
case "$*" in *--version*) exec /usr/sbin/{tool} "$@" ;; esac
[ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] || exit 0
exec /usr/sbin/{tool} "$@"
"""
_FLUSHED = (
    "nft flush ruleset",
    "[ ! -s /proc/net/ip_tables_names ] || { iptables-legacy -F FORWARD && iptables-legacy -P FORWARD ACCEPT; }",
)
_INSTALLED = (
    "systemctl stop docker.service docker.socket",
    *_FLUSHED,
    *(script(f"{FOLDER}/bin/{tool}", _NONE_OF_ITS_OWN.format(tool=tool)) for tool in ("iptables", "ip6tables")),
    write(f"{_UNITS}/docker.socket.d/real.conf", f"[Socket]\nListenStream=\nListenStream={front.REAL}"),
    write(
        # Before the drop-ins of remedies, which repeat themselves once the engine has its rules.
        f"{DROP_INS}/00-stand-in.conf",
        f"[Service]\nEnvironment=PATH={FOLDER}/bin:{PATH}\nExecStartPost=/bin/sh {FOLDER}/rules.sh",
    ),
    write(f"{_UNITS}/front.socket", "[Socket]\nListenStream=/run/docker.sock"),
    write(f"{_UNITS}/front.service", f"[Service]\nExecStart=/usr/bin/python3 {FOLDER}/front.py {FOLDER}"),
    RELOAD,
    "systemctl start front.socket docker.socket docker.service",
)  # fmt: skip
# With the nftables backend the engine leaves that to the admin, and does not start without.
_FORWARDING = write("/etc/sysctl.d/10-router.conf", "net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1")


def install(host: LabHost, backend: str) -> None:
    """Puts the stand-in between a host's engine and all who ask it."""
    put(host, Path(front.__file__), f"{FOLDER}/front.py")
    host.run_all((f"printf {backend} > {FOLDER}/backend; echo true > {FOLDER}/rules.sh", *_INSTALLED))
    if backend == "nftables":
        host.run_all((_FORWARDING, "sysctl --quiet --system"))


def load(host: LabHost, rules: Rules, backend: str) -> None:
    """Gives the host these rules and no others, now and whenever the engine starts."""
    host.run_all((*_FLUSHED, write(f"{FOLDER}/rules.sh", rules.loader(backend)), f"sh {FOLDER}/rules.sh"))
