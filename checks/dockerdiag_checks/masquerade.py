"""Will a container's address be rewritten to one that gets answers?

## What it asks

Which rule of which NAT chain gets the packet first when it leaves by the uplink, over both iptables variants and
every nftables table, and whether the source address that it leaves with is one that answers come back to.

## Why it breaks containers

A container's address means nothing beyond its host. Where nothing translates it, the packet leaves, and nobody can
answer it. The rule may be gone (a flushed nat table), switched off (`--ip-masq=false` for the default bridge,
`enable_ip_masquerade=false` for a network, `--iptables=false` for all), or there without ever seeing the packet,
because an earlier rule of the chain, or another chain, has already settled the flow.

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
from ipaddress import ip_address, ip_network

from dockerdiag.case import Case, Hit, Located, Traced
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, RuleReference, Status
from dockerdiag.snapshot import Network
from dockerdiag_checks.commands import iptables, masquerade, sh
from dockerdiag_checks.forward_policy import where
from dockerdiag_checks.setting_files import RESTART_RISK, evidence_of, file_origin, turn_on
from dockerdiag_checks.wording import containers_of, listed, retry

NEEDS = ("engine",)

OPTION = "com.docker.network.bridge.enable_ip_masquerade"
FALSE = ("0", "f", "F", "false", "FALSE", "False")
"""What Go's strconv.ParseBool reads as false."""


def _unanswered(halt: Halt) -> bool:
    return halt.kind == "unanswered"


@check(
    "masquerade",
    title="Will a container's address be rewritten to one that gets answers?",
    group="Packets",
    place=50,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located | Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each network whose addresses leave as they are, or as nobody's."""
    for hit in case.hits(_unanswered):
        for name in hit.networks or (None,):
            part = hit.of_network(name)
            yield Located(_unanswered_network(case, part, name), hit.place)
    for network in case.networks:
        if network.bridge and "routed" in _gateway_modes(network):
            yield _routed(network)


def _gateway_modes(network: Network) -> tuple[str, ...]:
    return tuple(
        network.options.get(f"com.docker.network.bridge.gateway_mode_ipv{version}", "") for version in (4, 6)
    )


def _unanswered_network(case: Case, hit: Hit, name: str | None) -> Finding:
    network = case.network(name)
    traced = hit.traced[0]
    rule = traced.journey.translation.rule if traced.journey.translation else None
    status = case.severity(hit)
    if status is Status.UNKNOWN:
        return _finding(case, hit, network, "masquerade-undecided", status, hit.halt.reason, ())
    if network is not None and network.options.get(OPTION) in FALSE and not _is_default(network):
        asked = case.asked_about(hit.containers)
        return _finding(
            case,
            hit,
            network,
            "network-masquerade-off",
            Status.FAIL if asked else Status.WARN,
            f"Network {name} was created with enable_ip_masquerade=false: nobody can answer {containers_of(hit)}",
            (Evidence(f"docker network inspect {name}", f"{OPTION}={network.options[OPTION]}"),),
        )
    told_not_to = case.running_value("ip-masq") is False and case.running_value("iptables") is not False
    if network is not None and _is_default(network) and told_not_to:
        return _ip_masq_off(case, hit, network, status)
    if rule is not None or traced.journey.shadowed_nat:
        return _wrong_rule(case, hit, network, status, rule, traced)
    return _finding(
        case,
        hit,
        network,
        "masquerade-missing",
        status,
        f"No rule translates the addresses of network {name or '?'}: nobody can answer {containers_of(hit)}",
        _expected_rule(case, hit, network),
    )


def _is_default(network: Network) -> bool:
    return network.options.get("com.docker.network.bridge.default_bridge") in ("true", "1")


def _ip_masq_off(case: Case, hit: Hit, network: Network, status: Status) -> Finding:
    setting = case.settings["ip-masq"]
    origin = file_origin(setting)
    remedy = turn_on(setting, case.settings)
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
        remedies=(*((remedy,) if remedy is not None else ()), *_add_rule(case, hit, network)),
    )


def _wrong_rule(
    case: Case, hit: Hit, network: Network | None, status: Status, rule: RuleReference | None, traced: Traced
) -> Finding:
    translated = traced.journey.translation
    shadowed = tuple(
        Evidence(f"never reached: {where(one)}", one.text) for one in traced.journey.shadowed_nat
    )
    seen = (Evidence(where(rule), rule.text),) if rule is not None else ()
    if (
        translated is not None
        and translated.rule is not None
        and translated.source != traced.journey.sent_from
    ):
        code, why = (
            "snat-to-foreign-address",
            f"are rewritten to {translated.source}, which this host does not have",
        )
    else:
        code, why = "masquerade-shadowed", "are settled by an earlier rule, which translates nothing"
    return _finding(
        case,
        hit,
        network,
        code,
        status,
        f"Packets of {containers_of(hit)} {why}: nobody can answer them",
        (*seen, *shadowed),
    )


def _finding(
    case: Case,
    hit: Hit,
    network: Network | None,
    code: str,
    status: Status,
    summary: str,
    evidence: tuple[Evidence, ...],
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
        remedies=_add_rule(case, hit, network) if status is not Status.UNKNOWN else (),
    )


def _expected_rule(case: Case, hit: Hit, network: Network | None) -> tuple[Evidence, ...]:
    if network is None or network.bridge is None:
        return ()
    subnet = _subnet(hit, network)
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


def _subnet(hit: Hit, network: Network) -> str:
    source = hit.halt.packet.connection.original.source
    for pool in network.pools:
        if pool.subnet and ip_address(source) in ip_network(pool.subnet, strict=False):
            return pool.subnet
    return f"{source}/{source.max_prefixlen}"


def _add_rule(case: Case, hit: Hit, network: Network | None) -> tuple[Remedy, ...]:
    if network is None or network.bridge is None:
        return ()
    traced = hit.traced[0]
    first = traced.journey.translation.rule if traced.journey.translation else None
    before = first or (hit.halt.rule if hit.halt.rule is not None else None)
    change = masquerade(case.backend(), hit.halt.packet.family, _subnet(hit, network), network.bridge, before)
    return (
        Remedy(
            summary=f"Translate the addresses of network {network.name}",
            now=(change.do,),
            lasting=_lasting(case, network),
            verify=retry(case),
            undo=(change.undo,),
            risk=(
                f"Containers of {network.name} reach what the host reaches, with the host's address. "
                f"The rule is gone after a reboot; the lasting commands mend what took it away. {RESTART_RISK}"
            ),
        ),
    )


def _lasting(case: Case, network: Network) -> tuple[str, ...]:
    if network.options.get(OPTION) in FALSE and not _is_default(network):
        return _created_anew(case, network)
    return (sh("systemctl", "restart", "docker"),)


def _created_anew(case: Case, network: Network) -> tuple[str, ...]:
    """A network's options are fixed when it is made: the same one again, without the option."""
    if network.compose_project is not None:
        return ()
    members = [
        one.name for one in case.containers if any(end.network == network.name for end in one.endpoints)
    ]
    create = ["docker", "network", "create", "--driver", network.driver]
    for pool in network.pools:
        create += [
            part
            for flag, value in (("--subnet", pool.subnet), ("--gateway", pool.gateway))
            if value
            for part in (flag, value)
        ]
    if network.ipv6:
        create.append("--ipv6")
    for key, value in network.options.items():
        if key != OPTION:
            create += ["--opt", f"{key}={value}"]
    return (
        *(sh("docker", "network", "disconnect", network.name, name) for name in members),
        sh("docker", "network", "rm", network.name),
        sh(*create, network.name),
        *(sh("docker", "network", "connect", network.name, name) for name in members),
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
