"""Rules that stop what the host itself sends: whether they let out chosen destinations, and how to let more out."""

import re
from collections.abc import Sequence
from ipaddress import ip_network

from dockerdiag.case import Case
from dockerdiag.packet.flow import Flow, Halt
from dockerdiag.report import Remedy
from dockerdiag_checks.commands import AtEngineStart, Change, sh
from dockerdiag_checks.rule_commands import MARK, iptables
from dockerdiag_checks.wording import listed, retry

_ACCEPTED = re.compile(r"^(?:\[\d+:\d+\] )?-A (?P<chain>\S+) (?P<rest>.*-j ACCEPT.*)$", re.MULTILINE)
_TO_ADDRESS = re.compile(r"(?<!! )-d (\S+)")
_TO_SET = re.compile(r"--match-set \S+ (?:src,)?dst")


def chosen_destinations_only(case: Case, halt: Halt) -> bool:
    """Whether the chain that stops packets to anywhere accepts some to named addresses beyond this host's own."""
    rule = halt.rule
    if rule is None or halt.direction != "out":
        return False
    firewall = case.snapshot.network.firewall
    if rule.backend == "nft":
        # The JSON of every accept of a destination: enough to tell that somebody chose some.
        text = firewall.nft if isinstance(firewall.nft, str) else ""
        return '"daddr"' in text and '"accept"' in text and f'"chain": "{rule.chain}"' in text
    saved = firewall.iptables_legacy if rule.backend == "iptables-legacy" else firewall.iptables_nft
    if not isinstance(saved, str):
        return False
    base = halt.netfilter.base_chain.chain if halt.netfilter is not None else rule.chain
    chains = {base, rule.chain}
    table = saved.partition(f"*{rule.table}\n")[2].partition("\nCOMMIT")[0]
    rules = [match["rest"] for match in _ACCEPTED.finditer(table) if match["chain"] in chains]
    return any(_TO_SET.search(rest) or _far(rest) for rest in rules)


def _far(rest: str) -> bool:
    match = _TO_ADDRESS.search(rest)
    if match is None or "53" in rest.partition("--dport ")[2].split()[:1]:
        return False
    try:
        network = ip_network(match[1], strict=False)
    except ValueError:
        return False
    return not network.is_loopback and not network.is_multicast


def let_out(case: Case, stopped: Sequence[tuple[Halt, Flow]]) -> Remedy | None:
    """Accepts what the engine sends, or the answers, where one rule stops them; None where no rule does."""
    changes = [change for halt, flow in stopped if (change := _accept(halt, flow)) is not None]
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


def _accept(halt: Halt, flow: Flow) -> Change | None:
    rule = halt.rule
    if rule is None or flow.port is None or halt.netfilter is None:
        return None
    base = halt.netfilter.base_chain
    answers = halt.direction == "reply"
    way = "sport" if answers else "dport"
    if rule.backend == "nft":
        established = "ct state established,related " if answers else ""
        match = f"{flow.protocol} {way} {flow.port} {established}counter accept"
        place = (base.family, base.table, base.chain)
        mark = f"{MARK} egress {flow.protocol} {flow.port}"
        do = sh("nft", "insert", "rule", *place, match, "comment", f'"{mark}"')
        number = f"sed -n 's/.*{mark}.* # handle \\([0-9]*\\)$/\\1/p'"
        handle = f"$({sh('nft', '-a', 'list', 'chain', *place)} | {number} | head -n 1)"
        return Change(do, f"{sh('nft', 'delete', 'rule', *place)} handle {handle}", do)
    tool = iptables(rule.backend, 6 if rule.family == "ip6" else 4)
    state = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED") if answers else ()
    ports = ("-p", flow.protocol, "-m", flow.protocol, f"--{way}", str(flow.port))
    spec = (*ports, *state, "-j", "ACCEPT")
    do = sh(tool, "-t", rule.table, "-I", base.chain, "1", *spec)
    undo = sh(tool, "-t", rule.table, "-D", base.chain, *spec)
    return Change(do, undo, f"{undo} 2>/dev/null; {do}")
