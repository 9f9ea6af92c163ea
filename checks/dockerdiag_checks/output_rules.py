"""Rules that stop what the host itself sends: whether they let out chosen destinations, and how to let more out."""

import json
import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from dockerdiag.case import Case
from dockerdiag.packet.flow import Flow, Halt
from dockerdiag.report import Remedy, RuleReference
from dockerdiag.snapshot import Unread
from dockerdiag_checks.commands import AtEngineStart, Change, sh
from dockerdiag_checks.rule_commands import MARK, delete_marked, iptables
from dockerdiag_checks.wording import listed, retry

_ACCEPTED = re.compile(r"^(?:\[\d+:\d+\] )?-A (?P<chain>\S+) (?P<rest>.*-j ACCEPT.*)$", re.MULTILINE)
_TO_ADDRESS = re.compile(r"(?<!! )-d (\S+)")
_DNS_PORT = "53"
_EARLY = re.compile(r"hook (?:ingress|prerouting|output)\b.* priority (?P<priority>-?\d+)")
_CONNECTION_TRACKING = -200
_TO_SET = re.compile(r"--match-set \S+ (?:src,)?dst")


def chosen_destinations_only(case: Case, halt: Halt) -> bool:
    """Whether the chain that stops packets to anywhere accepts some to addresses that somebody named."""
    rule, stop = halt.rule, halt.netfilter
    if rule is None or stop is None or halt.direction != "out":
        return False
    firewall = case.snapshot.network.firewall
    chains = {stop.base_chain.chain, rule.chain}
    if rule.backend == "nft":
        return any(_accepts_chosen(one) for one in _nft_rules(firewall.nft, rule, chains))
    saved = firewall.iptables_legacy if rule.backend == "iptables-legacy" else firewall.iptables_nft
    if not isinstance(saved, str):
        return False
    table = saved.partition(f"*{rule.table}\n")[2].partition("\nCOMMIT")[0]
    rules = [match["rest"] for match in _ACCEPTED.finditer(table) if match["chain"] in chains]
    return any(_TO_SET.search(rest) or _chosen(rest) for rest in rules)


def _chosen(rest: str) -> bool:
    match = _TO_ADDRESS.search(rest)
    if match is None or _DNS_PORT in rest.partition("--dport ")[2].split()[:1]:
        return False
    return _far(match[1])


def _far(prefix: str) -> bool:
    try:
        network = ip_network(prefix, strict=False)
    except ValueError:
        return False
    return not network.is_loopback and not network.is_multicast


def _nft_rules(text: str | Unread, rule: RuleReference, chains: set[str]) -> Iterator[list[Any]]:
    """The expressions of the rules in these chains of a rule's table."""
    if not isinstance(text, str) or not text:
        return
    for item in json.loads(text).get("nftables", ()):
        one = item.get("rule", {})
        if (one.get("family"), one.get("table")) == (rule.family, rule.table) and one.get("chain") in chains:
            yield one.get("expr", [])


def _accepts_chosen(expressions: list[Any]) -> bool:
    if not any("accept" in one for one in expressions):
        return False
    matches = [one["match"] for one in expressions if "match" in one]
    fields = [(_field(one.get("left")), one.get("right")) for one in matches]
    if ("dport", int(_DNS_PORT)) in fields:
        return False
    return any(field == "daddr" and (not isinstance(right, str) or _far(right)) for field, right in fields)


def _field(left: object) -> object:
    payload = left.get("payload") if isinstance(left, dict) else None
    return payload.get("field") if isinstance(payload, dict) else None


def let_out(case: Case, stopped: Sequence[tuple[Halt, Flow]]) -> Remedy | None:
    """Accepts what the engine sends, or the answers, where one rule stops them; None where no rule does."""
    changes = [change for halt, flow in stopped if (change := accept_own(halt, flow)) is not None]
    if len(changes) < len(stopped):
        return None
    changes = list(dict.fromkeys(changes))
    ports = list(dict.fromkeys(f"{flow.port}/{flow.protocol}" for _, flow in stopped))
    each_start = AtEngineStart("egress", [change.again for change in changes])
    way = "Let out what this host sends to" if stopped[0][0].direction == "out" else "Let in the answers from"
    return Remedy(
        summary=f"{way} {listed(ports, 'port')}",
        now=tuple(change.do for change in changes),
        lasting=each_start.lines,
        verify=retry(case),
        undo=(*(change.undo for change in changes), *each_start.undo),
        risk=(
            f"Every program of this host may use {listed(ports, 'port')}, not the engine alone. Who keeps this host's "
            "rules will want to write it there. The lasting commands repeat it at each start of the engine."
        ),
    )


def accept_own(halt: Halt, flow: Flow) -> Change | None:
    """Accepts what this host itself sends, or its answers, where a base chain stops them; None where none does."""
    rule = halt.rule
    if rule is None or flow.port is None or halt.netfilter is None:
        return None
    base = halt.netfilter.base_chain
    answers = halt.direction == "reply"
    way = "sport" if answers else "dport"
    client = halt.packet.addresses.destination_port if answers and not _sees_connections(base) else None
    if rule.backend == "nft":
        established = "ct state established,related " if answers else ""
        if client is not None:
            established = f"{flow.protocol} dport {client.low}-{client.high} "
        match = f"{flow.protocol} {way} {flow.port} {established}counter accept"
        place = (base.family, base.table, base.chain)
        mark = f"{MARK} egress {flow.protocol} {flow.port}"
        do = sh("nft", "insert", "rule", *place, match, "comment", f'"{mark}"')
        undo = delete_marked(place, mark)
        return Change(do, undo, f"{undo}; {do}")
    tool = iptables(rule.backend, 6 if rule.family == "ip6" else 4)
    state: tuple[str, ...] = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED") if answers else ()
    if client is not None:
        state = ("--dport", f"{client.low}:{client.high}")
    ports = ("-p", flow.protocol, "-m", flow.protocol, f"--{way}", str(flow.port))
    spec = (*ports, *state, "-j", "ACCEPT")
    do = sh(tool, "-t", rule.table, "-I", base.chain, "1", *spec)
    undo = sh(tool, "-t", rule.table, "-D", base.chain, *spec)
    return Change(do, undo, f"{undo} 2>/dev/null; {do}")


def _sees_connections(base: RuleReference) -> bool:
    """Whether packets belong to a connection where a base chain meets them: not so in frames, and in what is raw."""
    if base.family in ("bridge", "netdev"):
        return False
    if base.backend != "nft":
        return base.table != "raw"
    early = _EARLY.search(base.text)
    return early is None or int(early["priority"]) > _CONNECTION_TRACKING
