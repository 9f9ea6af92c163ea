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

A rule whose match cannot be judged from a snapshot (a rate limit, a rule of unknown make) is *unknown* only where
the outcome depends on it.

## Remedy

An accept for these packets, put right before the rule that drops them, or at the end of the chain whose policy
does. It names the bridge and the uplink, and takes effect at once; nothing that an earlier rule refuses is let
through. Where Docker's own rules are gone, a restart of the engine makes them again, which restarts containers
unless live-restore is on. `iptables -P FORWARD ACCEPT` also helps, and makes a router of a host with several
links: it is not what is proposed here.

## References

- [Packet filtering and firewalls](https://docs.docker.com/engine/network/packet-filtering-firewalls/)
- moby/moby#36151, docker/for-linux#1472
- `man 8 nft`, section CHAINS: the verdict of one base chain does not bind the next
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Located
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, RuleReference, Status
from dockerdiag_checks.commands import Change, at_engine_start, iptables, let_pass, sh
from dockerdiag_checks.wording import containers_of, listed, retry

NEEDS = ("engine",)


def _on_host(halt: Halt) -> bool:
    return halt.kind in ("rule", "policy") and halt.namespace is None


@check(
    "forward-policy",
    title="Do all rules of the host let the containers' packets out, and the answers back?",
    group="Packets",
    place=40,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located]:  # noqa: N802 - a module's check is its constant
    """One finding for each rule or policy that stops packets."""
    for hit in case.hits(_on_host):
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
    return Finding(
        code="policy-drops" if policy else "rule-rejects" if word == "rejected" else "rule-drops",
        status=status,
        subject=case.subject(hit),
        summary=f"Packets of {containers_of(hit)} are {word} {directions} {what}",
        count=hit.count,
        evidence=_evidence(hit),
        remedies=_remedies(case, hit),
    )


def _undecided(case: Case, hit: Hit) -> Finding:
    rule = hit.halt.rule
    chain = hit.halt.netfilter.base_chain if hit.halt.netfilter else rule
    trace = ("nft monitor trace",) if chain is not None else ()
    return Finding(
        code="rule-undecided",
        status=Status.UNKNOWN,
        subject=case.subject(hit),
        summary=f"Whether packets of {containers_of(hit)} pass cannot be told: {hit.halt.reason}",
        count=hit.count,
        evidence=_evidence(hit),
        remedies=(
            Remedy(
                summary="Let the kernel tell: trace one packet. This adds a rule, and takes it away again.",
                verify=trace,
                risk="Tracing adds a rule to the host for as long as it runs.",
            ),
        )
        if trace and rule is not None
        else (),
    )


def where(rule: RuleReference) -> str:
    """A rule's place in words."""
    if rule.backend == "nft":
        return f"nft table {rule.family} {rule.table}, chain {rule.chain}"
    return (
        f"{iptables(rule.backend, 6 if rule.family == 'ip6' else 4)} table {rule.table}, chain {rule.chain}"
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
    found.extend(Evidence(f"packet, {halt.direction}", _packet(halt)) for halt in _one_each_way(hit))
    return tuple(found)


def _one_each_way(hit: Hit) -> tuple[Halt, ...]:
    return tuple({halt.direction: halt for halt in reversed(hit.halts)}.values())


def _packet(halt: Halt) -> str:
    packet = halt.packet
    links = f"{packet.in_link or '-'} → {packet.out_link or '-'}"
    return f"{packet.protocol} {packet.addresses.source} → {packet.addresses.destination}, {links}"


def _remedies(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    if hit.halt.rule is not None and hit.halt.rule.table == "firewalld":
        return _firewalld(case, hit)
    changes = let_pass(hit.halts)
    if not changes:
        return ()
    return (
        _let_them_pass(case, hit, changes),
        *_remove_rule(hit),
    )


def _let_them_pass(case: Case, hit: Hit, changes: tuple[Change, ...]) -> Remedy:
    gone = hit.halt.kind == "policy" and hit.halt.rule is not None and hit.halt.rule.chain == "FORWARD"
    lasting = (
        (sh("systemctl", "restart", "docker"),)
        if gone
        else at_engine_start("50-dockerdiag-accept", [change.again for change in changes])
    )
    undo = [change.undo for change in changes]
    if not gone:
        undo += [
            "rm /etc/systemd/system/docker.service.d/50-dockerdiag-accept.conf",
            "systemctl daemon-reload",
        ]
    return Remedy(
        summary="Accept these packets where they are stopped",
        now=tuple(change.do for change in changes),
        lasting=lasting,
        verify=retry(case),
        undo=tuple(undo),
        risk=(
            f"Opens the way between {listed(hit.networks, 'the network')} and the uplink in this chain, and nothing "
            "else. "
            + (
                "The lasting command restarts the engine, which makes its rules again; containers stop unless "
                "live-restore is on."
                if gone
                else "The lasting commands repeat it at each start of the engine."
            )
        ),
    )


def _firewalld(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """Nobody but firewalld may write into its table (it owns it), and its next reload would take the rule away."""
    bridges = [network.bridge for name in hit.networks if (network := case.network(name)) and network.bridge]

    def zone(option: str) -> tuple[str, ...]:
        return tuple(
            sh("firewall-cmd", "--zone=docker", f"--{option}-interface={bridge}") for bridge in bridges
        )

    return (
        Remedy(
            summary=f"Put {listed(bridges, 'the bridge')} into firewalld's zone docker, whose packets it accepts",
            now=zone("change"),
            lasting=(sh("systemctl", "restart", "docker"),),
            verify=(
                *(sh("firewall-cmd", f"--get-zone-of-interface={bridge}") for bridge in bridges),
                *retry(case),
            ),
            undo=zone("remove"),
            risk=(
                "firewalld accepts what comes in by these bridges, for the host as well. The engine puts them there "
                "itself when it starts and finds firewalld running; a restart interrupts containers."
            ),
        ),
    )


def _remove_rule(hit: Hit) -> tuple[Remedy, ...]:
    rule = hit.halt.rule
    if rule is None or hit.halt.kind != "rule" or rule.index is None:
        return ()
    if rule.backend == "nft":
        if rule.handle is None:
            return ()
        remove = sh("nft", "delete", "rule", rule.family, rule.table, rule.chain, "handle", str(rule.handle))
    else:
        tool = iptables(rule.backend, 6 if rule.family == "ip6" else 4)
        remove = sh(tool, "-t", rule.table, "-D", rule.chain, str(rule.index))
    return (
        Remedy(
            summary="Or delete the rule, where nobody needs it",
            now=(remove,),
            risk="Opens all that the rule closed. Who added it will add it again unless it is removed there too.",
        ),
    )
