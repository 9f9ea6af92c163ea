"""Shell lines that mend: built once, quoted, and undone by their twins.

A rule is let pass where it is stopped: an accept for this network's packets, put right before the rule that drops
them (or at the end of a chain whose policy does), opens nothing that an earlier rule has closed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from dockerdiag.packet.flow import Halt
from dockerdiag.packet.packet import Packet
from dockerdiag.report import RuleReference

MARK = "dockerdiag"
"""The comment by which a rule that a remedy added is found again."""


def sh(*words: str) -> str:
    """One shell line of these words, each quoted where it must be."""
    return " ".join(quote(word) for word in words)


@dataclass(frozen=True, slots=True)
class Change:
    """A command, the one that takes it back, and the one that makes it again after a restart of the engine."""

    do: str
    undo: str
    again: str


def set_sysctl(key: str, value: str, before: str) -> Change:
    """Sets the sysctl whose path below /proc/sys is `key`."""
    # A link name may hold dots (eth0.100), which sysctl(8) takes for separators unless slashes are used throughout.
    name = key if "." in key else key.replace("/", ".")
    do = sh("sysctl", "-w", f"{name}={value}")
    return Change(do, sh("sysctl", "-w", f"{name}={before}"), do)


def write_file(path: str, text: str) -> str:
    """Writes a small file, making its folder."""
    folder = path.rpartition("/")[0]
    lines = " ".join(quote(line) for line in text.rstrip("\n").split("\n"))
    return f"mkdir -p {quote(folder)} && printf '%s\\n' {lines} > {quote(path)}"


def replace_in_line(path: str, line: int, old: str, new: str) -> Change:
    """Replaces `old` by `new` on one line of a file, keeping a copy beside it."""
    copy = f"{path}.before-dockerdiag"
    expression = f"{line}s/{_sed(old)}/{_sed(new)}/"
    do = f"{sh('cp', '-a', path, copy)} && {sh('sed', '-i', expression, path)}"
    return Change(do, sh("mv", copy, path), do)


def _sed(text: str) -> str:
    return "".join(f"\\{character}" if character in r"\/.*[]^$&" else character for character in text)


def let_pass(halts: Iterable[Halt]) -> tuple[Change, ...]:
    """Accepts for each packet that a rule or a policy stops, each before the rule that stops it.

    Halts without a rule are left out. Within one chain the last place comes first, so that no insertion moves the
    place of another.
    """
    wanted: dict[tuple[str, ...], tuple[RuleReference, Halt]] = {}
    for halt in halts:
        if halt.netfilter is None:
            continue
        rule = halt.netfilter.rule
        spec = (rule.backend, rule.family, rule.table, rule.chain, str(rule.index), *_matches(rule, halt))
        wanted.setdefault(spec, (rule, halt))
    ordered = sorted(
        wanted.values(),
        key=lambda pair: (pair[0].table, pair[0].chain, -(pair[0].index or 1 << 30), pair[1].direction),
    )
    return tuple(_accept(rule, halt) for rule, halt in ordered)


def _accept(rule: RuleReference, halt: Halt) -> Change:
    if rule.backend == "nft":
        return _nft_accept(rule, halt)
    tool = iptables(rule.backend, halt.packet.family)
    spec = (*_matches(rule, halt), "-j", "ACCEPT")
    table = ("-t", rule.table) if rule.table != "filter" else ()
    if rule.index is None:
        do = sh(tool, *table, "-A", rule.chain, *spec)
    else:
        do = sh(tool, *table, "-I", rule.chain, str(rule.index), *spec)
    undo = sh(tool, *table, "-D", rule.chain, *spec)
    there = sh(tool, *table, "-C", rule.chain, *spec)
    return Change(do, undo, f"{there} 2>/dev/null || {sh(tool, *table, '-I', rule.chain, *spec)}")


def _nft_accept(rule: RuleReference, halt: Halt) -> Change:
    where = (rule.family, rule.table, rule.chain)
    text = " ".join((*_matches(rule, halt), "counter", "accept", "comment", f'"{MARK}"'))
    if rule.handle is None:
        do = f"{sh('nft', 'add', 'rule', *where)} {quote(text)}"
    else:
        do = f"{sh('nft', 'insert', 'rule', *where, 'handle', str(rule.handle))} {quote(text)}"
    listing = sh("nft", "-a", "list", "chain", *where)
    insert = f"{sh('nft', 'insert', 'rule', *where)} {quote(text)}"
    present = quote(f'comment "{MARK}"')
    return Change(do, _nft_delete(where), f"{listing} | grep -q {present} || {insert}")


def _matches(rule: RuleReference, halt: Halt) -> tuple[str, ...]:
    packet = halt.packet
    return _nft_matches(rule, packet, halt) if rule.backend == "nft" else _iptables_matches(packet, halt)


def _iptables_matches(packet: Packet, halt: Halt) -> tuple[str, ...]:
    words: list[str] = []
    if packet.in_link:
        words += ["-i", packet.in_link]
    if packet.out_link:
        words += ["-o", packet.out_link]
    if not (packet.in_link and packet.out_link):
        words += ["-d" if halt.direction == "reply" else "-s", str(_own_address(packet, halt))]
    if packet.connection.state in ("established", "related"):
        words += ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    return tuple(words)


def _nft_matches(rule: RuleReference, packet: Packet, halt: Halt) -> tuple[str, ...]:
    words: list[str] = []
    if packet.in_link:
        words += ["iifname", f'"{packet.in_link}"']
    if packet.out_link:
        words += ["oifname", f'"{packet.out_link}"']
    if rule.family in ("netdev", "bridge") or not (packet.in_link and packet.out_link):
        protocol = "ip" if packet.family == 4 else "ip6"
        words += [
            protocol,
            "daddr" if halt.direction == "reply" else "saddr",
            str(_own_address(packet, halt)),
        ]
    elif packet.connection.state in ("established", "related"):
        words += ["ct", "state", "established,related"]
    return tuple(words)


def _own_address(packet: Packet, halt: Halt) -> object:
    return packet.addresses.destination if halt.direction == "reply" else packet.addresses.source


def masquerade(backend: str, family: int, subnet: str, bridge: str, before: RuleReference | None) -> Change:
    """Translates what a network sends out, before the rule that now settles it, else at the end of the chain."""
    if (before.backend if before is not None else backend) == "nft":
        return _nft_masquerade(family, subnet, bridge, before)
    tool = iptables(before.backend if before is not None else backend, family)
    spec = ("-s", subnet, "!", "-o", bridge, "-j", "MASQUERADE")
    chain = before.chain if before is not None else "POSTROUTING"
    place = ("-I", chain, str(before.index)) if before is not None and before.index else ("-A", chain)
    do = sh(tool, "-t", "nat", *place, *spec)
    undo = sh(tool, "-t", "nat", "-D", chain, *spec)
    return Change(do, undo, do)


def _nft_masquerade(family: int, subnet: str, bridge: str, before: RuleReference | None) -> Change:
    protocol = "ip" if family == 4 else "ip6"
    text = f'oifname != "{bridge}" {protocol} saddr {subnet} counter masquerade comment "{MARK}"'
    if before is None:
        where = (protocol, "docker-bridges", f"nat-postrouting-out__{bridge}")
        do = f"{sh('nft', 'add', 'rule', *where)} {quote(text)}"
    else:
        where = (before.family, before.table, before.chain)
        handle = ("handle", str(before.handle)) if before.handle is not None else ()
        do = f"{sh('nft', 'insert', 'rule', *where, *handle)} {quote(text)}"
    return Change(do, _nft_delete(where), do)


def _nft_delete(where: tuple[str, ...]) -> str:
    listing = sh("nft", "-a", "list", "chain", *where)
    pattern = f's/.*comment "{MARK}" # handle \\([0-9]*\\)$/\\1/p'
    delete = sh("nft", "delete", "rule", *where, "handle")
    return f'for handle in $({listing} | sed -n {quote(pattern)}); do {delete} "$handle"; done'


def iptables(backend: str, family: int, save: bool = False) -> str:
    """The command of one variant: `iptables-nft`, `ip6tables-legacy`, with `save` their -save."""
    variant = "legacy" if backend == "iptables-legacy" else "nft"
    return f"{'iptables' if family == 4 else 'ip6tables'}-{variant}{'-save' if save else ''}"


def at_engine_start(name: str, commands: Sequence[str]) -> tuple[str, ...]:
    """Makes commands run after each start of the engine: a drop-in of docker.service."""
    path = f"/etc/systemd/system/docker.service.d/{name}.conf"
    # systemd expands % and $ of its own in ExecStartPost.
    lines = "\n".join(f"ExecStartPost=-/bin/sh -c {_unit_quote(command)}" for command in commands)
    return write_file(path, f"[Service]\n{lines}"), "systemctl daemon-reload"


def _unit_quote(command: str) -> str:
    escaped = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
