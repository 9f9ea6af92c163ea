"""Do all rules of the host let the containers' packets out, and the answers back?

## What it asks

Each container's packet, and the answer to it, is walked through every base chain that it meets on this host: both
iptables variants (nft and legacy), Docker's chains and every table of nftables, at every hook. The rule or the
chain's policy that drops or rejects it is named.

## Why it breaks containers

An accept ends the chain that says it, and no other: the kernel asks every base chain at a hook, and one drop wins.
So Docker's own rules may all be in place while a second table, an older rule in DOCKER-USER, or a forgotten
`iptables-legacy` policy drops every packet. Rules that are meant for connections from outside often match the
answers to connections from inside too, for both come in by the same link.

## What is normal and not reported

- `-P FORWARD DROP`. Docker sets it itself; it matters only where no rule accepts before it is reached.
- Empty chains, chains whose policy is accept, and legacy tables that drop nothing.
- Docker's isolation: from one bridge network to another, and into or out of internal networks.
- Drops that a container's packet does not meet, such as those for ports of the host.

A ban by fail2ban or CrowdSec that meets a container's own address, or the address that it asks, is told as such.

A rule whose match cannot be judged from a snapshot (a rate limit, a rule of unknown make) is *unknown* only where
the outcome depends on it. A rule that stops what is above a rate limit, or what has some content, and that has stopped
nothing so far by its own counter, is taken as one that the packet does not meet.

## Remedy

An accept for these packets, put right before the rule that drops them, or at the end of the chain whose policy
does. It names the bridge and the uplink, and takes effect at once; nothing that an earlier rule refuses is let
through. What firewalld stops is mended by firewalld: its panic mode ended, the bridge or the subnet put into a zone
that accepts it, a rule in the policy that drops it. Where Docker's own rules are gone, a restart of the engine makes
them again, which restarts containers unless live-restore is on. `iptables -P FORWARD ACCEPT` also helps, and makes a
router of a host with several links: it is not what is proposed here.

## References

- [Packet filtering and firewalls](https://docs.docker.com/engine/network/packet-filtering-firewalls/)
- moby/moby#36151, docker/for-linux#1472, moby/libnetwork#2331, docker/for-linux#179
- `man 8 nft`, section CHAINS: the verdict of one base chain does not bind the next
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Located
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag_checks import firewalld
from dockerdiag_checks.bans import ban_of, unbanned
from dockerdiag_checks.name_resolution import names_lost
from dockerdiag_checks.next_steps import to_find_out
from dockerdiag_checks.other_services import after_engine
from dockerdiag_checks.rule_commands import let_pass, with_alike
from dockerdiag_checks.rule_remedies import accepted, hands_to_program, stopped_in_turn, where
from dockerdiag_checks.variants import (
    in_other_variant,
    is_leftover,
    left_behind_accepted,
    other_variant_emptied,
)
from dockerdiag_checks.wording import containers_of, subnets_of

NEEDS = ("engine",)
UNSERVED = ", which hands them to a queue that no program takes from"
READS = ("network.firewall", "service", "services")


def _on_host(halt: Halt) -> bool:
    return halt.netfilter is not None and halt.kind in ("rule", "policy") and halt.namespace is None


@check(
    "forward-policy",
    title="Do all rules of the host let the containers' packets out, and the answers back?",
    group="Packets",
    place=40,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located]:  # noqa: N802 - a module's check is its constant
    """One finding for each rule or policy that stops packets."""
    told: list[tuple[Remedy, ...]] = []
    for hit in case.hits(_on_host):
        # What firewalld's zones refuse they refuse at several places, and one command mends them all.
        if firewalld.owns(hit.halt.rule) and hit.halt.certain:
            remedies = _remedies(case, hit)
            if remedies in told:
                continue
            told.append(remedies)
        status = case.severity(hit)
        yield Located(
            _undecided(case, hit) if status is Status.UNKNOWN else _stopped(case, hit, status), hit.place
        )


def _stopped(case: Case, hit: Hit, status: Status) -> Finding:
    rule = hit.halt.rule
    policy = hit.halt.kind == "policy"
    word = (
        "rejected"
        if any(halt.netfilter and halt.netfilter.verdict == "reject" for halt in hit.halts)
        else "dropped"
    )
    way = {"out": "on the way out", "reply": "on the way back"}
    directions = " and ".join(way[direction] for direction in hit.directions)
    what = f"by {'the policy of ' if policy else ''}{where(rule)}" if rule else f"at {hit.halt.place}"
    ban = ban_of(case, hit)
    return Finding(
        code=_code(case, hit, word) if ban is None else "container-banned",
        status=status,
        subject=case.subject(hit),
        summary=f"{_packets(hit)} of {containers_of(hit)} are {word} {directions} {what}"
        + (f": {firewalld.PANIC}" if firewalld.panics(rule) else "")
        + (UNSERVED if rule is not None and hands_to_program(rule) else "")
        + (f": {ban.who} has banned {ban.member}" if ban is not None else _other_variant(case, hit)),
        count=hit.count,
        explains=(*names_lost(hit), *(("egress-stopped *",) if firewalld.panics(rule) else ())),
        evidence=(*_evidence(hit), *(ban.evidence if ban is not None else ()), *_who(case, hit)),
        remedies=_remedies(case, hit) if ban is None else (unbanned(case, ban),),
    )


def _code(case: Case, hit: Hit, word: str) -> str:
    if is_leftover(case, hit):
        return "leftover-forward-drop"
    if in_other_variant(case, hit):
        return "iptables-variant-mix"
    if firewalld.panics(hit.halt.rule):
        return "firewalld-panic"
    if hit.halt.kind == "policy":
        return "forward-accepts-missing" if case.lacks_accepts(hit.halt) else "policy-drops"
    return "rule-rejects" if word == "rejected" else "rule-drops"


def _other_variant(case: Case, hit: Hit) -> str:
    if is_leftover(case, hit):
        return ", left by an engine that made its rules with iptables; this one makes them with nftables"
    return f"; the engine makes its rules with {case.backend()}" if in_other_variant(case, hit) else ""


def _who(case: Case, hit: Hit) -> tuple[Evidence, ...]:
    """Who may have brought the rule, where a service loaded rules after the engine did."""
    rule = hit.halt.rule
    if rule is None:
        return ()
    if rule.table == "firewalld":
        return after_engine(case, ("firewalld.service",))
    if case.lacks_accepts(hit.halt):
        return after_engine(case)
    return after_engine(case, ("nftables.service",)) if rule.backend == "nft" else ()


def _undecided(case: Case, hit: Hit) -> Finding:
    return Finding(
        code="rule-undecided",
        status=Status.UNKNOWN,
        subject=case.subject(hit),
        summary=f"Whether packets of {containers_of(hit)} pass cannot be told: {hit.halt.reason}",
        count=hit.count,
        evidence=_evidence(hit),
        remedies=to_find_out(case, hit),
    )


def _evidence(hit: Hit) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    rule = hit.halt.rule
    if rule is not None:
        handle = f", handle {rule.handle}" if rule.handle is not None else ""
        index = f", rule {rule.index}" if rule.index is not None else ""
        found.append(Evidence(f"{where(rule)}{index}{handle}", rule.text))
        if rule.packets:
            found.append(Evidence("its counter", f"{rule.packets} packets"))
    stop = hit.halt.netfilter
    if stop is not None and rule is not None and stop.base_chain.chain != rule.chain:
        jumps = " → ".join((stop.base_chain.chain, *(f"{jump.chain}" for jump in stop.path[1:]), rule.chain))
        found.append(Evidence("reached by", jumps))
    elif stop is not None and stop.left_by is not None:
        found.append(Evidence(f"left to it by rule {stop.left_by.index}", stop.left_by.text))
    found.extend(Evidence(f"packet, {halt.direction}", _packet(halt)) for halt in _one_each_way(hit))
    return tuple(found)


def _one_each_way(hit: Hit) -> tuple[Halt, ...]:
    first = {halt.direction: halt for halt in reversed(hit.halts)}
    return tuple(sorted(first.values(), key=lambda halt: halt.direction != "out"))


def _packets(hit: Hit) -> str:
    if not hit.halt.packet.asks_neighbours:
        return "Packets"
    return ("ARP" if hit.halt.packet.family == 4 else "Neighbour discovery") + " for packets"


def _packet(halt: Halt) -> str:
    packet = halt.packet
    links = f"{packet.in_link or '-'} → {packet.out_link or '-'}"
    return f"{packet.protocol} {packet.addresses.source} → {packet.addresses.destination}, {links}"


def _remedies(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    if hit.halt.rule is not None and firewalld.owns(hit.halt.rule):
        return (firewalld.remedy(case, hit),)
    if is_leftover(case, hit):
        return left_behind_accepted(case, hit)
    beside = (halt for other in case.hits(_on_host) for halt in other.halts if halt.certain)
    # Such as the answer: mended by itself, neither mends anything.
    following = stopped_in_turn(hit)
    stopped = (*hit.halts, *following, *_later(hit))
    chains = [halt.rule.chain for halt in (*hit.halts, *following) if halt.rule is not None]
    subnets = subnets_of(case, hit)
    passed = with_alike(stopped, subnets, beside)
    remedies = accepted(case, hit, let_pass(passed, subnets), chains, passed)
    return (*remedies, *other_variant_emptied(case, hit)) if in_other_variant(case, hit) else remedies


def _later(hit: Hit) -> tuple[Halt, ...]:
    """What the same rule will stop once neighbours are asked for again: an accept for packets alone would not last."""
    return tuple(halt for traced in hit.traced for halt in traced.journey.later if halt.rule == hit.halt.rule)
