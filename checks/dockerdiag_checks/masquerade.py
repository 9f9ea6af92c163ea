"""Will a container's address be rewritten to one that gets answers?

## What it asks

Which rule of which NAT chain gets the packet first when it leaves by the uplink, over both iptables variants and
every nftables table, and whether the source address that it leaves with is one that answers come back to.

## Why it breaks containers

A container's address means nothing beyond its host. Where nothing translates it, the packet leaves, and nobody can
answer it. The rule may be gone (a flushed nat table), switched off (`--ip-masq=false` for the default bridge,
`--ip6tables=false` for IPv6, `enable_ip_masquerade=false` for a network, `--iptables=false` for all), or there without
ever seeing the packet, because an earlier rule of the chain, or another chain, has already settled the flow, or
because a rule in a raw table takes the packets out of connection tracking, without which there is no translation.

## What is normal and not reported

- `gateway_mode_ipv4=routed`: the network is meant to be routed, and who routes it is not visible from here (a note).
- A rule of another kind that does the same: SNAT to an address of the host, a masquerade of the whole uplink, a
  firewall's zone that masquerades.
- Internal networks, macvlan, ipvlan and host networking, which need none.
- A network that lost its NAT by its own option is a warning; a fail where it was asked about by `-c`.

## Remedy

The masquerade rule for the one network, put where it takes effect. It lasts until the rules are made anew, so the
lasting commands mend what took it away: a restart of the engine, the flag, or the network's option (which can only be
set when a network is created).

## References

- [Docker: bridge network driver, options](https://docs.docker.com/engine/network/drivers/bridge/#options)
- moby/moby#13381, moby/moby#28133
- `man 8 nft`, NAT STATEMENTS: the first rule that binds a flow decides for all of its packets
"""

from collections.abc import Iterator

from dockerdiag.case import (
    MASQUERADE_OPTION,
    Case,
    Hit,
    Located,
    Traced,
    is_default_bridge,
    without_translation,
)
from dockerdiag.dataclass import replace
from dockerdiag.packet.flow import KNOWN_HERE_ALONE, Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, RuleReference, Status
from dockerdiag.snapshot import Network
from dockerdiag_checks.next_steps import to_find_out
from dockerdiag_checks.rule_commands import iptables, let_pass
from dockerdiag_checks.rule_remedies import accepted, where
from dockerdiag_checks.setting_files import evidence_of, file_origin, turn_on
from dockerdiag_checks.translation import HOST_ADDRESS_OPTION, near_misses, subnet_of, translate
from dockerdiag_checks.wording import containers_of, listed, subnets_of

NEEDS = ("engine",)
READS = ("network.addresses", "services")

_TRANSLATES_IPV6 = (27, 0)
"""The engine that makes rules for IPv6 unless told otherwise."""


def _unanswered(halt: Halt) -> bool:
    return halt.kind == "unanswered" or _untracked_reply(halt)


def _untracked_reply(halt: Halt) -> bool:
    return halt.kind == "rule" and halt.netfilter is None and halt.namespace is None


def _is_untracked(halt: Halt) -> bool:
    """Whether a rule takes the packet or its answer out of connection tracking for sure."""
    untracked = halt.packet.connection.state == "untracked" and halt.rule is not None
    return _unanswered(halt) and halt.certain and untracked


@check(
    "masquerade",
    title="Will a container's address be rewritten to one that gets answers?",
    group="Packets",
    place=50,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located | Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each network whose addresses leave as they are, or as nobody's."""
    for hit in case.hits(_unanswered):
        for name in hit.networks or (None,):
            part = hit.of_network(name)
            yield Located(_unanswered_network(case, part, case.network(name)), hit.place)
    for network in case.networks:
        if network.bridge and "routed" in _gateway_modes(network):
            yield _routed(network)


def _gateway_modes(network: Network) -> tuple[str, ...]:
    return tuple(
        network.options.get(f"com.docker.network.bridge.gateway_mode_ipv{version}", "") for version in (4, 6)
    )


def _unanswered_network(case: Case, hit: Hit, network: Network | None) -> Finding:
    traced = hit.traced[0]
    translation = traced.journey.translation
    rule = translation.rule if translation is not None else None
    status = case.severity(hit)
    if status is Status.UNKNOWN:
        found = _finding(case, hit, network, "masquerade-undecided", status, hit.halt.reason, ())
        return replace(found, remedies=to_find_out(case, hit))
    if _is_untracked(hit.halt) and hit.halt.rule is not None:
        return _untracked(case, hit, network, status, hit.halt.rule)
    if network is not None and without_translation(network):
        return _option_off(case, hit, network)
    told_not_to = case.running_value("ip-masq") is False and case.presumed_value("iptables") is not False
    if network is not None and is_default_bridge(network) and told_not_to:
        return _ip_masq_off(case, hit, network, status)
    if hit.halt.packet.family == 6 and _told_no_ipv6_rules(case):
        return _ip6tables_off(case, hit, network, status)
    if rule is not None or traced.journey.shadowed_nat:
        return _wrong_rule(case, hit, network, status, rule, traced)
    name = network.name if network is not None else "?"
    return _finding(
        case,
        hit,
        network,
        "masquerade-missing",
        status,
        f"No rule translates the addresses of network {name}: nobody can answer {containers_of(hit)}",
        (*_expected_rule(case, hit, network), *near_misses(case, hit)),
    )


def _option_off(case: Case, hit: Hit, network: Network) -> Finding:
    return _finding(
        case,
        hit,
        network,
        "network-masquerade-off",
        Status.FAIL if case.asked_about(hit.containers) else Status.WARN,
        f"Network {network.name} was created with enable_ip_masquerade=false: nobody can answer {containers_of(hit)}",
        (
            Evidence(
                f"docker network inspect {network.name}",
                f"{MASQUERADE_OPTION}={network.options[MASQUERADE_OPTION]}",
            ),
        ),
    )


def _told_no_ipv6_rules(case: Case) -> bool:
    """Whether ip6tables=false stands somewhere: before engine 27 it was the default, and true an experiment."""
    return case.running_value("ip6tables") is False and (case.settings.version or (0, 0)) >= _TRANSLATES_IPV6


def _ip6tables_off(case: Case, hit: Hit, network: Network | None, status: Status) -> Finding:
    setting = case.settings["ip6tables"]
    remedy = turn_on(setting, case)
    return Finding(
        code="ip6tables-off",
        status=status,
        subject=case.engine_subject if network is None else f"network:{network.name}",
        summary=(
            "The engine was told to make no rules for IPv6 (ip6tables=false), and nobody else translates: "
            f"nobody can answer {containers_of(hit)} over IPv6"
        ),
        count=hit.count,
        evidence=evidence_of(setting),
        remedies=(*((remedy,) if remedy is not None else ()), *translate(case, hit, network, None)),
    )


def _ip_masq_off(case: Case, hit: Hit, network: Network, status: Status) -> Finding:
    setting = case.settings["ip-masq"]
    origin = file_origin(setting)
    remedy = turn_on(setting, case)
    return Finding(
        code="ip-masq-off",
        status=status,
        subject=case.engine_subject,
        summary=(
            "The engine was told not to translate the default bridge (ip-masq=false): "
            f"nobody can answer {containers_of(hit)}"
        ),
        count=hit.count,
        evidence=evidence_of(setting)
        or (Evidence("dockerd", f"ip-masq=false{f' ({origin.source})' if origin else ''}"),),
        remedies=(*((remedy,) if remedy is not None else ()), *translate(case, hit, network, None)),
    )


def _untracked(case: Case, hit: Hit, network: Network | None, status: Status, rule: RuleReference) -> Finding:
    # Of the request and its answer, mended by itself, neither mends anything.
    untracked = [
        (traced, halt) for traced in hit.traced for halt in traced.journey.halts if _is_untracked(halt)
    ]
    # Where it is taken out, the packet has come in and is not yet routed.
    entered = [
        halt
        if halt.direction == "reply"
        else replace(halt, packet=replace(halt.packet, in_link=traced.journey.entry, out_link=None))
        for traced, halt in untracked
    ]
    way = " and ".join({"out": "on the way out", "reply": "on the way back"}[one] for one in hit.directions)
    return Finding(
        code="connection-untracked",
        status=status,
        subject=f"network:{network.name}" if network is not None else case.host,
        summary=(
            f"Packets of {containers_of(hit)} are taken out of connection tracking {way}, so their addresses are not "
            "translated: nobody can answer them"
        ),
        count=hit.count,
        evidence=(Evidence(where(rule), rule.text),),
        remedies=accepted(case, hit, let_pass(entered, subnets_of(case, hit)), passed=entered),
    )


def _wrong_rule(
    case: Case, hit: Hit, network: Network | None, status: Status, rule: RuleReference | None, traced: Traced
) -> Finding:
    translated = traced.journey.translation
    seen = [Evidence(where(rule), rule.text)] if rule is not None else []
    if (
        translated is not None
        and translated.rule is not None
        and translated.source != traced.journey.sent_from
    ):
        code, why = (
            "snat-to-foreign-address",
            f"are rewritten to {translated.source}, which {_whose(hit)}",
        )
        option = network.options.get(HOST_ADDRESS_OPTION) if network is not None else None
        if network is not None and option == str(translated.source):
            seen.append(Evidence(f"docker network inspect {network.name}", f"{HOST_ADDRESS_OPTION}={option}"))
    else:
        code, why = "masquerade-shadowed", "are settled by an earlier rule, which translates nothing"
    seen += [Evidence(f"never reached: {where(one)}", one.text) for one in traced.journey.shadowed_nat]
    return _finding(
        case,
        hit,
        network,
        code,
        status,
        f"Packets of {containers_of(hit)} {why}: nobody can answer them",
        tuple(seen),
        before=_first_in_chain(case, network, rule),
    )


def _whose(hit: Hit) -> str:
    return (
        f"is {KNOWN_HERE_ALONE}" if hit.halt.reason.endswith(KNOWN_HERE_ALONE) else "this host does not have"
    )


def _first_in_chain(case: Case, network: Network | None, rule: RuleReference | None) -> RuleReference | None:
    """The first rule of that chain that settles a packet of the network wrongly."""
    if rule is None or network is None:
        return rule
    settling = [
        traced.journey.translation.rule
        for hit in case.hits(_unanswered)
        for traced in hit.traced
        if traced.network == network.name and traced.journey.translation is not None
    ]
    chain = (rule.backend, rule.family, rule.table, rule.chain)
    same = [r for r in settling if r is not None and (r.backend, r.family, r.table, r.chain) == chain]
    return min(same, key=lambda one: one.index or 0, default=rule)


def _finding(
    case: Case,
    hit: Hit,
    network: Network | None,
    code: str,
    status: Status,
    summary: str,
    evidence: tuple[Evidence, ...],
    before: RuleReference | None = None,
) -> Finding:
    packet = hit.halt.packet
    way = Evidence(
        "packet", f"leaves by {packet.out_link or hit.halt.link or 'the uplink'} as {packet.addresses.source}"
    )
    return Finding(
        code=code,
        status=status,
        subject=f"network:{network.name}" if network is not None else case.host,
        summary=summary,
        count=hit.count,
        evidence=(*evidence, way),
        remedies=translate(case, hit, network, before)
        if status is not Status.UNKNOWN
        else to_find_out(case, hit),
    )


def _expected_rule(case: Case, hit: Hit, network: Network | None) -> tuple[Evidence, ...]:
    if network is None or network.bridge is None:
        return ()
    subnet = subnet_of(hit, network)
    if case.backend() == "nft":
        return (
            Evidence(
                "missing in nft ip docker-bridges",
                f"oifname != {network.bridge} ip saddr {subnet} masquerade",
            ),
        )
    return (
        Evidence(
            f"missing in {iptables(case.backend(), hit.halt.packet.family)} table nat",
            f"-A POSTROUTING -s {subnet} ! -o {network.bridge} -j MASQUERADE",
        ),
    )


def _routed(network: Network) -> Finding:
    return Finding(
        code="network-routed",
        status=Status.NOTE,
        subject=f"network:{network.name}",
        summary=(
            f"Network {network.name} is routed, not translated: answers need a route to "
            f"{listed([pool.subnet for pool in network.pools if pool.subnet], 'its subnet')} on the next router, "
            "which cannot be seen from here"
        ),
    )
