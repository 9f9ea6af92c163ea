"""Remedies for a rule that stops packets, and that rule's place in words."""

import re
from collections.abc import Iterator, Sequence

from dockerdiag.case import Case, Hit
from dockerdiag.packet.flow import Halt
from dockerdiag.report import Remedy, RuleReference
from dockerdiag_checks.commands import AtEngineStart, Change, sh
from dockerdiag_checks.engine_restart import restart_risk, rules_made_again
from dockerdiag_checks.native_rules import DIRECT_ACCESS, is_native
from dockerdiag_checks.other_services import in_use, service_state
from dockerdiag_checks.rule_commands import asked_service, delete_rule, iptables, narrowed
from dockerdiag_checks.wording import listed, retry

_FIREWALLS = {
    "csf.service": "/etc/csf/csfpost.sh",
    "ferm.service": "/etc/ferm/ferm.conf",
    "firehol.service": "/etc/firehol/firehol.conf",
    "ip6tables.service": "/etc/sysconfig/ip6tables",
    "iptables.service": "/etc/sysconfig/iptables",
    "netfilter-persistent.service": "the files in /etc/iptables",
    "nftables.service": "/etc/nftables.conf",
    "shorewall.service": "/etc/shorewall/rules",
    "ufw.service": "ufw's own rules (ufw route allow)",
}
"""The services that load rules of the admin's own, and where those are kept; firewalld's has remedies of its own."""
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
"""A comment or a log prefix, which may name anything."""
_QUEUES = {"nft": re.compile(r"(?:^| )queue(?: |$)")}
_QUEUE_TARGETS = re.compile(r" -j (?:NF)?QUEUE\b")


def where(rule: RuleReference) -> str:
    """A rule's place in words."""
    if rule.backend == "nft":
        return f"nft table {rule.family} {rule.table}, chain {rule.chain}"
    return (
        f"{iptables(rule.backend, 6 if rule.family == 'ip6' else 4)} table {rule.table}, chain {rule.chain}"
    )


def accepted(
    case: Case,
    hit: Hit,
    changes: Sequence[Change],
    chains: Sequence[str] = (),
    passed: Sequence[Halt] = (),
) -> tuple[Remedy, ...]:
    """Lets packets pass where a rule or a policy stops them; as the other way, deletes that rule.

    One that the engine has made is none to delete: it keeps others out too. `chains` are those that `changes` are made
    in, where that is not the rule's own alone, and `passed` all that they let pass, where that is more than the hit's.
    """
    rule = hit.halt.rule
    if rule is None or not changes:
        return ()
    places = listed(list(dict.fromkeys(chains)) or [rule.chain], "chain")
    return (
        _let_pass(case, hit, rule, changes, places, passed or hit.halts),
        *_without(case, hit, rule, passed),
    )


def _let_pass(
    case: Case,
    hit: Hit,
    rule: RuleReference,
    changes: Sequence[Change],
    places: str,
    passed: Sequence[Halt],
) -> Remedy:
    senders = dict.fromkeys(str(halt.packet.addresses.source) for halt in hit.halts)
    way = listed(hit.networks, "network") if hit.networks else " and ".join(senders)
    named = {" ".join(narrowed(halt)) for halt in passed}
    only = "" if "" in named else f" ({' and '.join(sorted(named))})"
    opens = f"Lets what {way} sends and gets{only} pass the rest of {places}, and opens nothing else."
    if all(halt.packet.asks_neighbours for halt in hit.halts):
        opens = f"Lets neighbours ask for hardware addresses, and answer, past the rest of {places}."
    services = {asked_service(halt) for halt in hit.halts}
    if None not in services:
        ports = [f"{port}/{protocol}" for protocol, port in sorted(one for one in services if one)]
        opens = f"Lets {way} ask this host at port {' and '.join(ports)}, and opens nothing else."
    before_routing = [halt for halt in passed if halt.direction == "reply" and halt.packet.out_link is None]
    if before_routing:
        # There an answer still has the host's own address, and looks like any packet for the host.
        answer = before_routing[0].packet
        sent = f"what {way} sends and " if any(halt.direction == "out" for halt in passed) else ""
        opens = (
            f"Lets {sent}all{only} that comes in by {answer.in_link} for {answer.addresses.destination} pass the rest "
            f"of {places}: what another rule there refuses is let in too."
        )
    flag = "ip6tables" if rule.family == "ip6" else "iptables"
    # What it drops on the way out it is meant to drop: the ports of another network that are not published.
    of_answers = is_native(rule) and rule.chain != DIRECT_ACCESS and hit.directions == ("reply",)
    comes_back = case.lacks_accepts(hit.halt) or of_answers
    if comes_back and case.running_value(flag) is True:
        lasting: tuple[str, ...] = (sh("systemctl", "restart", "docker"),)
        undo: tuple[str, ...] = ()
        later = f"The lasting command has the engine make its own rules again. {restart_risk(case)}"
    elif is_native(rule):
        lasting, undo = (), ()
        later = (
            "It lasts until the engine fills that chain anew, with its own rules alone: at its start, and whenever "
            "a container starts or stops."
        )
    else:
        names = "-".join((rule.family, rule.table, rule.chain, *hit.networks[:1]))
        each_start = AtEngineStart(names, [change.again for change in changes])
        lasting, undo = each_start.lines, each_start.undo
        later = " ".join(
            ("The lasting commands repeat it at each start of the engine.", *_taken_away(case, rule))
        )
    return Remedy(
        summary="Accept these packets where they are stopped",
        now=tuple(change.do for change in changes),
        lasting=lasting,
        verify=retry(case),
        undo=(*(change.undo for change in changes), *undo),
        risk=" ".join((opens, *_instead(case, hit, rule), later)),
    )


def _taken_away(case: Case, rule: RuleReference) -> Iterator[str]:
    """Which firewall's reload takes away what is put beside a rule, and where it would stay."""
    other_family = "iptables.service" if rule.family == "ip6" else "ip6tables.service"
    if rule.chain.startswith("ufw"):
        makers = {"ufw.service"}
    elif rule.backend == "nft":
        makers = {"nftables.service"}
    else:
        spared = {"nftables.service"} if rule.backend == "iptables-legacy" else set()
        makers = {*_FIREWALLS} - {"ufw.service", other_family} - spared
    for name, file in _FIREWALLS.items():
        if name in makers and in_use(service_state(case, name)):
            yield f"A reload of {name} may take it away before: it belongs into {file} too."


def _instead(case: Case, hit: Hit, rule: RuleReference) -> Iterator[str]:
    """What the admin may rather want to do than to let packets pass a rule that does what it is meant to."""
    if hands_to_program(rule):
        yield (
            "They pass unseen by the program that is to take them from the queue (an IDS, say): start that instead, "
            "where it is wanted."
        )
    elif "out" in hit.directions and _refuses_host(case, hit):
        yield (
            "This host's own packets there are refused too: where that is a VPN's kill switch, bring the VPN up "
            "instead."
        )


def hands_to_program(rule: RuleReference) -> bool:
    """Whether a rule that stops packets does so since no program takes them from its queue."""
    return _QUEUES.get(rule.backend, _QUEUE_TARGETS).search(_QUOTED.sub('""', rule.text)) is not None


def _refuses_host(case: Case, hit: Hit) -> bool:
    flow = hit.traced[0].journey.flow if hit.traced else None
    if flow is None or flow.port is None or flow.protocol not in ("tcp", "udp"):
        return False
    own = case.from_host(flow.destination, flow.port, flow.protocol)
    halts = own.halts if own is not None else ()
    return any(halt.certain and halt.place == "output" and halt.rule is not None for halt in halts)


def _without(case: Case, hit: Hit, rule: RuleReference, passed: Sequence[Halt]) -> tuple[Remedy, ...]:
    """Deletes the rule, and those behind it that would stop the same packets in the same base chain."""
    if _is_engines(case, rule):
        # It drops what no other rule of the engine's has let through, as they all do with answers; but for those that
        # come to a container's own address, which it lets nobody ask directly.
        made_again = hit.directions == ("reply",) and rule.chain != DIRECT_ACCESS
        return (rules_made_again(case),) if made_again else ()
    rules = _in_turn(hit, rule, passed)
    # A policy cannot be deleted; a map of verdicts lets others pass, who would be stopped without it.
    if any(_is_engines(case, one) or one.index is None or _maps(one) for one in rules):
        return ()
    deletions = [deletion for one in rules if (deletion := delete_rule(one)) is not None]
    if len(deletions) < len(rules):
        return ()
    several = len(rules) > 1
    comes_back = all(deletion.undo for deletion in deletions)
    return (
        Remedy(
            summary="Or delete the rules that stop them in turn, where nobody needs them"
            if several
            else "Or delete the rule, where nobody needs it",
            now=tuple(deletion.do for deletion in deletions),
            verify=retry(case),
            undo=tuple(line for deletion in deletions for line in deletion.undo) if comes_back else (),
            risk=f"Opens all that the {'rules' if several else 'rule'} closed. "
            f"{next((one.lasts for one in deletions if not one.undo), deletions[0].lasts)}",
        ),
    )


def _in_turn(hit: Hit, rule: RuleReference, passed: Sequence[Halt]) -> tuple[RuleReference, ...]:
    """That rule, and what else certainly stops its packets before their base chain lets them go; first places first.

    Where none is stopped, but taken out of connection tracking: what takes the request and its answer out.
    """
    following = [halt for halt in stopped_in_turn(hit) if halt.direction in hit.directions]
    found = {_place(rule): rule}
    for halt in following if hit.halt.netfilter is not None else passed:
        if halt.rule is not None:
            found.setdefault(_place(halt.rule), halt.rule)
    return tuple(found[place] for place in sorted(found))


def stopped_in_turn(hit: Hit) -> tuple[Halt, ...]:
    """All that certainly stops a hit's packets, or their answers, in the base chains of the host in which it does."""
    bases = {_chain(halt.netfilter.base_chain) for halt in hit.halts if halt.netfilter is not None}
    return tuple(
        halt
        for traced in hit.traced
        for halt in traced.journey.halts
        if halt.netfilter is not None and halt.certain and halt.namespace is None
        if _chain(halt.netfilter.base_chain) in bases
    )


def _chain(rule: RuleReference) -> tuple[str, str, str, str]:
    return rule.backend, rule.family, rule.table, rule.chain


def _place(rule: RuleReference) -> tuple[str, str, str, str, int]:
    return *_chain(rule), rule.index or 0


def _maps(rule: RuleReference) -> bool:
    return rule.backend == "nft" and " vmap " in rule.text


def _is_engines(case: Case, rule: RuleReference) -> bool:
    if rule.backend != case.backend():
        return False
    chain = rule.chain
    return is_native(rule) or (chain.startswith("DOCKER") and chain != "DOCKER-USER")
