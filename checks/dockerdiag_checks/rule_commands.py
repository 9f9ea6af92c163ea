"""Shell lines that add rules, in both iptables variants and in nft.

A packet is let pass where it is stopped: an accept for this network's packets, put right before the rule that drops
them (or at the end of a chain whose policy does), opens nothing that an earlier rule has closed. Where that rule
itself names a protocol and ports, so does the accept.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from shlex import quote
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.flow import Halt
from dockerdiag.packet.iptables_words import split_words
from dockerdiag.packet.packet import Packet
from dockerdiag.report import RuleReference
from dockerdiag.snapshot.secrets import MASK
from dockerdiag_checks.commands import Change, sh
from dockerdiag_checks.wording import FOR_GOOD

MARK = "dockerdiag"
"""How the comment begins by which a rule that a remedy added to nft is found again."""

_LAST = 1 << 30
_NFT_PORT = re.compile(r"\b(tcp|udp) (dport|sport) (\d+(?:-\d+)?)(?= |$)")
_MULTIPORT = {"--dports", "--sports", "--ports"}
_PORTS = {"--dport", "--sport", *_MULTIPORT}
_TRACKED = ("established", "related")


def let_pass(
    halts: Iterable[Halt], subnets: Sequence[str], beside: Iterable[Halt] = ()
) -> tuple[Change, ...]:
    """Accepts for each packet that a rule or a policy stops, each before the first rule that stops it.

    Within one chain the last place comes first, so that no insertion moves the place of another.

    Args:
        halts: Those without a rule are left out.
        subnets: The networks' own: an accept that cannot name both links names the subnet.
        beside: Other halts; where an accept for `halts` fits one of them too, that is let pass as well.
    """
    alike: dict[tuple[str, ...], list[Halt]] = {}
    for halt in with_alike(halts, subnets, beside):
        if accepted := _accepted(halt, subnets):
            alike.setdefault(accepted, []).append(halt)
    wanted: dict[tuple[tuple[str, ...], tuple[str, ...]], Halt] = {}
    for accepted, stopped in alike.items():
        # An accept for all that one of the rules stops does for the others too.
        whole = any(not narrowed(halt) for halt in stopped)
        for halt in sorted(stopped, key=_place):
            wanted.setdefault((accepted, () if whole else narrowed(halt)), halt)
    ordered = sorted(wanted.items(), key=lambda item: (item[0][0][:4], -_place(item[1]), item[1].direction))
    return _made_again_together([_accept(halt, accepted[4:], ports) for (accepted, ports), halt in ordered])


def with_alike(halts: Iterable[Halt], subnets: Sequence[str], beside: Iterable[Halt]) -> tuple[Halt, ...]:
    """Those halts, and all beside them that an accept for one of them fits: what `let_pass` lets pass."""
    own = tuple(halts)
    accepted = {_accepted(halt, subnets) for halt in own} - {()}
    return (*own, *(halt for halt in beside if _accepted(halt, subnets) in accepted))


def _made_again_together(changes: Sequence[Change]) -> tuple[Change, ...]:
    """A place in nft is counted: the first is made again where none of them is left to be counted."""
    if not changes or not changes[0].do.startswith("nft "):
        return tuple(changes)
    first, *others = changes
    gone = "".join(f"{change.undo}; " for change in others)
    return replace(first, again=f"{gone}{first.again}"), *others


def narrowed(halt: Halt) -> tuple[str, ...]:
    """The protocol and the ports that the rule itself names, as its tool takes them; empty where it names none.

    An accept that names them too lets exactly those packets pass that the rule stops.
    """
    rule = _rule(halt)
    if rule is None or rule.index is None or rule.family == "bridge" or asked_service(halt) is not None:
        return ()
    if halt.packet.asks_neighbours:
        return ()
    if rule.backend == "nft":
        found = _NFT_PORT.search(rule.text)
        return tuple(found.groups()) if found is not None else ()
    try:
        words = shlex.split(rule.text)
    except ValueError:
        return ()
    if "-p" not in words or words[words.index("-p") - 1] == "!":
        return ()
    protocol = words[words.index("-p") + 1]
    ports: list[str] = []
    for at, word in enumerate(words):
        if word in _PORTS:
            ports += [*(("!",) if words[at - 1] == "!" else ()), *words[at : at + 2]]
    module = "multiport" if set(ports) & _MULTIPORT else protocol
    return ("-p", protocol, *(("-m", module, *ports) if ports else ()))


def _place(halt: Halt) -> int:
    rule = _rule(halt)
    return _LAST if rule is None or rule.index is None else rule.index


def _rule(halt: Halt) -> RuleReference | None:
    """The rule that an accept must come before, or the policy that drops at the end of its chain."""
    stop = halt.netfilter
    if stop is None:
        return halt.rule
    return stop.left_by or stop.rule


def _accepted(halt: Halt, subnets: Sequence[str]) -> tuple[str, ...]:
    """The chain in four words, and the matches of an accept there; empty where no rule stops it."""
    rule = _rule(halt)
    if rule is None:
        return ()
    matches = _nft_matches if rule.backend == "nft" else _iptables_matches
    return (rule.backend, rule.family, rule.table, rule.chain, *matches(rule, halt, subnets))


def _accept(halt: Halt, matches: Sequence[str], ports: Sequence[str]) -> Change:
    rule = _rule(halt)
    assert rule is not None  # noqa: S101 - those without one were left out
    if rule.backend == "nft":
        mark = " ".join((_mark(halt.direction, halt.packet), *ports))
        return _nft_rule(rule, f"{' '.join((*matches, *ports))} counter accept", mark)
    return _iptables_rule(rule, halt.packet.family, (*matches, *ports, "-j", "ACCEPT"))


def _mark(direction: str, packet: Packet) -> str:
    family = None if packet.in_link and packet.out_link else f"ipv{packet.family}"
    return " ".join(word for word in (MARK, direction, packet.in_link, packet.out_link, family) if word)


def _iptables_rule(rule: RuleReference, family: int, spec: Sequence[str]) -> Change:
    tool = iptables(rule.backend, family)
    table = ("-t", rule.table) if rule.table != "filter" else ()
    place = ("-A", rule.chain) if rule.index is None else ("-I", rule.chain, str(rule.index))
    do = sh(tool, *table, *place, *spec)
    undo = sh(tool, *table, "-D", rule.chain, *spec)
    again = do
    if rule.index is not None and _own_words(rule) is not None:
        # The engine puts rules of its own before others, so the place is another by then: that rule's, or the end.
        before = (
            f"{sh(tool, *table, '-S', rule.chain)} | sed {quote(f'/^{_pattern(rule.text)}$/,$d')} | wc -l"
        )
        again = f'{sh(tool, *table, "-I", rule.chain)} "$({before})" {sh(*spec)}'
    return Change(do, undo, f"{undo} 2>/dev/null; {again}")


def _nft_rule(rule: RuleReference, statement: str, mark: str) -> Change:
    where = (rule.family, rule.table, rule.chain)
    text = quote(f'{statement} comment "{mark}"')
    do = again = at_end = f"{sh('nft', 'add', 'rule', *where)} {text}"
    if rule.handle is not None and rule.index is not None:
        insert = ("nft", "insert", "rule", *where)
        do = f"{sh(*insert, 'handle', str(rule.handle))} {text}"
        # A boot gives other handles. nft counts from 0.
        again = f"{sh(*insert, 'index', str(rule.index - 1))} {text} || {at_end}"
    undo = delete_marked(where, mark)
    return Change(do, undo, f"{undo}; {again}")


def delete_marked(chain: Sequence[str], mark: str) -> str:
    """Deletes every rule of an nft chain (family, table and name) whose comment is `mark`."""
    listing = sh("nft", "-a", "list", "chain", *chain)
    pattern = f's/.*comment "{mark.replace(".", "[.]")}" # handle \\([0-9]*\\)$/\\1/p'
    delete = sh("nft", "delete", "rule", *chain, "handle")
    return f'for handle in $({listing} | sed -n {quote(pattern)}); do {delete} "$handle"; done'


def _pattern(text: str) -> str:
    """What sed finds exactly this by."""
    return re.sub(r"[][\\/.*^$]", r"\\\g<0>", text)


def _iptables_matches(rule: RuleReference, halt: Halt, subnets: Sequence[str]) -> tuple[str, ...]:
    packet = halt.packet
    if packet.asks_neighbours:
        # No router passes on what says 254, so this is from a neighbour: iptables takes no two types in one rule.
        return ("-p", "icmpv6", "-m", "hl", "--hl-eq", "255")
    hook = halt.netfilter.base_chain.chain if halt.netfilter is not None else rule.chain
    # iptables refuses a link that a hook does not know.
    entry = packet.in_link if hook not in ("POSTROUTING", "OUTPUT") else None
    leave = packet.out_link if hook not in ("PREROUTING", "INPUT") else None
    words = [*(("-i", entry) if entry else ()), *(("-o", leave) if leave else ())]
    if not (entry and leave):
        words += ["-d" if halt.direction == "reply" else "-s", _own(halt, subnets)]
    if (service := asked_service(halt)) is not None:
        words += ["-p", service[0], "-m", service[0], "--dport", str(service[1])]
    # The raw table sees packets before connection tracking does.
    if packet.connection.state in _TRACKED and rule.table != "raw":
        words += ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    return tuple(words)


def _nft_matches(rule: RuleReference, halt: Halt, subnets: Sequence[str]) -> tuple[str, ...]:
    packet = halt.packet
    if packet.asks_neighbours:
        kinds = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
        return tuple(("arp operation { request, reply }" if packet.protocol == "arp" else kinds).split())
    words: list[str] = []
    # In the bridge family iifname is the port, whose name changes whenever its container starts.
    if packet.in_link and rule.family != "bridge":
        words += ["iifname", f'"{packet.in_link}"']
    if packet.out_link and rule.family != "bridge":
        words += ["oifname", f'"{packet.out_link}"']
    if rule.family in ("netdev", "bridge") or not (packet.in_link and packet.out_link):
        words += ["ip" if packet.family == 4 else "ip6", "daddr" if halt.direction == "reply" else "saddr"]
        words.append(_own(halt, subnets))
        if (service := asked_service(halt)) is not None:
            words += [service[0], "dport", str(service[1])]
    elif packet.connection.state in _TRACKED:
        words += ["ct", "state", "established,related"]
    return tuple(words)


def asked_service(halt: Halt) -> tuple[str, int] | None:
    """Protocol and port of the host's own service that is asked for; None where it is not the host that is asked."""
    port = halt.packet.addresses.destination_port
    if halt.place != "input" or halt.direction != "out" or halt.packet.protocol not in ("tcp", "udp"):
        return None
    return (halt.packet.protocol, port.low) if port is not None and port.low == port.high else None


def _own(halt: Halt, subnets: Sequence[str]) -> str:
    addresses = halt.packet.addresses
    own = addresses.destination if halt.direction == "reply" else addresses.source
    return next((subnet for subnet in subnets if own in ip_network(subnet, strict=False)), str(own))


def masquerade(backend: str, family: int, subnet: str, bridge: str, before: RuleReference | None) -> Change:
    """Translates what a network sends out, before the rule that now settles it, else at the end of the chain.

    In nft, where no chain is always there, that is one of a table of its own.
    """
    if (backend if before is None else before.backend) == "nft":
        protocol = "ip" if family == 4 else "ip6"
        statement = f'oifname != "{bridge}" {protocol} saddr {subnet} counter masquerade'
        mark = f"{MARK} masquerade {bridge}"
        return (
            _nft_rule(before, statement, mark)
            if before is not None
            else _in_own_table(protocol, statement, mark)
        )
    # Beside the engine's own rule it is another, or the engine would take this one for its own, and the undo its.
    unlike = ("!", "-d", subnet) if before is not None else ()
    spec = ("-s", subnet, *unlike, "!", "-o", bridge, "-j", "MASQUERADE")
    end = RuleReference(_variant(backend), "ip", "nat", "POSTROUTING", None, None, "", None)
    return _iptables_rule(before or end, family, spec)


def _in_own_table(family: str, statement: str, mark: str) -> Change:
    chain = (family, MARK, "postrouting")
    rule = f'{statement} comment "{mark}"'
    do = own_nat_chain(chain, 100, f"{sh('nft', 'add', 'rule', *chain)} {quote(rule)}")
    undo = delete_marked(chain, mark)
    return Change(do, undo, f"{undo}; {do}")


def own_nat_chain(chain: tuple[str, str, str], priority: int, *lines: str) -> str:
    """A line that makes a base chain of NAT, at the hook of its name, and its table, and goes on with others."""
    hooking = f"{{ type nat hook {chain[2]} priority {priority}; }}"
    table = sh("nft", "add", "table", *chain[:2])
    return " && ".join((table, f"{sh('nft', 'add', 'chain', *chain)} {quote(hooking)}", *lines))


def let_too_big_pass(rule: RuleReference, version: int, bridge: str) -> Change:
    """Accepts the host's own "too big" into a bridge, before the rule that stops it or at its chain's end."""
    if rule.backend == "nft":
        code = (
            "icmp type destination-unreachable icmp code frag-needed"
            if version == 4
            else "icmpv6 type packet-too-big"
        )
        return _nft_rule(rule, f'oifname "{bridge}" {code} counter accept', f"{MARK} too big {bridge}")
    kind = (
        ("-p", "icmp", "--icmp-type", "fragmentation-needed")
        if version == 4
        else ("-p", "icmpv6", "--icmpv6-type", "packet-too-big")
    )
    return _iptables_rule(rule, version, ("-o", bridge, *kind, "-j", "ACCEPT"))


@dataclass(frozen=True, slots=True)
class Deletion:
    """What deletes a rule, and what puts it back at its place."""

    do: str
    undo: tuple[str, ...]
    """Empty where its whole text is not known."""

    @property
    def lasts(self) -> str:
        """What is to be known of any deletion, for a remedy's risk."""
        return "Who added it will add it again unless it is removed there too." + (
            "" if self.undo else f" {FOR_GOOD} Note its text first."
        )


def delete_rule(rule: RuleReference) -> Deletion | None:
    """Deletes it; None for a chain's policy, and where its place is not known.

    By its handle or its own words rather than by its place: an accept that was put before it has moved that.
    """
    if rule.backend == "nft":
        return _delete_nft_rule(rule)
    if rule.index is None:
        return None
    tool = iptables(rule.backend, 6 if rule.family == "ip6" else 4)
    table = ("-t", rule.table) if rule.table != "filter" else ()
    words = _own_words(rule)
    if words is None:
        return Deletion(sh(tool, *table, "-D", rule.chain, str(rule.index)), ())
    return Deletion(
        sh(tool, *table, "-D", rule.chain, *words),
        (sh(tool, *table, "-I", rule.chain, str(rule.index), *words),),
    )


def _own_words(rule: RuleReference) -> list[str] | None:
    """An iptables rule without its chain; None where its tool could not print all of it."""
    append, chain, *words = (word.text for word in split_words(rule.text))
    whole = (
        (append, chain) == ("-A", rule.chain) and MASK not in rule.text and "[unsupported" not in rule.text
    )
    return words if whole else None


def _delete_nft_rule(rule: RuleReference) -> Deletion | None:
    if rule.handle is None:
        return None
    place = (rule.family, rule.table, rule.chain)
    do = sh("nft", "delete", "rule", *place, "handle", str(rule.handle))
    # What nft's text is not known for stays JSON.
    if rule.index is None or MASK in rule.text or '{"' in rule.text:
        return Deletion(do, ())
    first = rule.index == 1
    put = ("nft", "insert", "rule", *place) if first else ("nft", "add", "rule", *place)
    # nft counts from 0, and adds after the rule that it is given.
    after = () if first else ("index", str(rule.index - 2))
    return Deletion(do, (f"{sh(*put, *after)} {quote(rule.text)}",))


def iptables(backend: str, family: int) -> str:
    """The command of one variant: `iptables-nft`, `ip6tables-legacy`."""
    return f"{'iptables' if family == 4 else 'ip6tables'}-{_variant(backend).removeprefix('iptables-')}"


def _variant(backend: str) -> Literal["iptables-nft", "iptables-legacy"]:
    return "iptables-legacy" if backend == "iptables-legacy" else "iptables-nft"
