"""Remedies for a network whose addresses are not translated."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import islice

from dockerdiag.case import MASQUERADE_OPTION, Case, Hit, is_default_bridge, without_translation
from dockerdiag.packet.indexing import holds
from dockerdiag.packet.packet import IPAddress
from dockerdiag.packet.rules import Chain, Nat
from dockerdiag.report import Evidence, Remedy, RuleReference
from dockerdiag.snapshot import Container, Network, Unread
from dockerdiag_checks.commands import AtEngineStart, Change, sh
from dockerdiag_checks.engine_restart import restart_risk, rules_made_again
from dockerdiag_checks.rule_commands import masquerade
from dockerdiag_checks.rule_remedies import where
from dockerdiag_checks.wording import listed, retry

HOST_ADDRESS_OPTION = "com.docker.network.host_ipv4"


def translate(
    case: Case, hit: Hit, network: Network | None, before: RuleReference | None
) -> tuple[Remedy, ...]:
    """A masquerade rule for one network, before the rule that now settles its packets, else at the chain's end."""
    if network is None or network.bridge is None:
        return ()
    makes_it = _engine_translates(case, network, hit.halt.packet.family)
    if before is None and case.backend() == "nft" and makes_it and not without_translation(network):
        return (rules_made_again(case),)
    return (_masquerades(case, [(hit, network)], before),)


def translate_all(case: Case, hits: Iterable[Hit]) -> tuple[Remedy, ...]:
    """The masquerade rules of all networks of some hits, at the chain's end."""
    parts = [
        (hit.of_network(name), network)
        for hit in hits
        for name in hit.networks
        if (network := case.network(name)) is not None and network.bridge is not None
    ]
    return (_masquerades(case, parts, None),) if parts else ()


def _masquerades(case: Case, parts: Sequence[tuple[Hit, Network]], before: RuleReference | None) -> Remedy:
    changes: list[Change] = []
    lasting: list[str] = []
    undo: list[str] = []
    later: list[str] = []
    for hit, network in parts:
        family, bridge = hit.halt.packet.family, str(network.bridge)
        change = masquerade(case.backend(), family, subnet_of(hit, network), bridge, before)
        kept, taken_back, told = _lasting(case, network, before, change, family)
        changes.append(change)
        lasting += kept
        undo += taken_back
        later.append(told)
    names = list(dict.fromkeys(network.name for _, network in parts))
    of_them = listed(names, "network")
    gone = "The rule itself is" if len(parts) == 1 else "The rules themselves are"
    return Remedy(
        summary=f"Translate the addresses of {of_them}",
        now=tuple(change.do for change in changes),
        lasting=tuple(dict.fromkeys(lasting)),
        verify=retry(case),
        undo=(*(change.undo for change in reversed(changes)), *dict.fromkeys(undo)),
        risk=(
            f"Containers of {of_them} reach what the host reaches, with the host's address. "
            f"{gone} gone after a reboot. {' '.join(dict.fromkeys(later))}"
        ),
    )


def subnet_of(hit: Hit, network: Network) -> str:
    """The network's subnet that the packet comes from; its address alone where it is of none."""
    source = hit.halt.packet.connection.original.source
    for pool in network.pools:
        if pool.subnet and ip_address(source) in ip_network(pool.subnet, strict=False):
            return pool.subnet
    return f"{source}/{source.max_prefixlen}"


def near_misses(case: Case, hit: Hit) -> tuple[Evidence, ...]:
    """Rules that translate sources, and would this packet's but for the link or the subnet that they name."""
    nat = {
        id(table): table
        for table, chain in case.ruleset.base_chains("inet", "postrouting")
        if chain.hooking is not None and chain.hooking.type == "nat"
    }
    addresses = case.snapshot.network.addresses
    own = None if isinstance(addresses, Unread) else [ip_address(one.address) for one in addresses]
    near = (
        Evidence(f"{where(found)}, rule {found.index}, does not match: {why}", found.text)
        for table in nat.values()
        for chain in table.chains.values()
        for found, why in _missing_narrowly(hit, chain, own)
    )
    return tuple(islice(near, 3))


def _missing_narrowly(
    hit: Hit, chain: Chain, own: list[IPAddress] | None
) -> Iterator[tuple[RuleReference, str]]:
    """With `own`, the host's addresses; None where they were not read."""
    packet = hit.halt.packet
    source, leaves_by = packet.addresses.source, packet.out_link or hit.halt.link
    for rule in chain.rules:
        _, out_link, subnet, _ = rule.key()
        if out_link in (None, leaves_by):
            # A subnet that is some link's has a rule of its own by right.
            missed = (
                subnet is not None
                and own is not None
                and not any(holds(subnet, one) for one in (source, *own))
            )
            why = f"the packet comes from {source}"
        else:
            missed = leaves_by is not None and (subnet is None or holds(subnet, source))
            why = f"the packet leaves by {leaves_by}"
        if missed and any(isinstance(item, Nat) and item.manipulation == "source" for item in rule.items):
            yield chain.reference(rule), why


def _lasting(
    case: Case, network: Network, before: RuleReference | None, change: Change, family: int
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Commands, what takes them back, and what they do in words."""
    own = {MASQUERADE_OPTION: without_translation(network), HOST_ADDRESS_OPTION: before is not None}
    to_blame = [option for option, blamed in own.items() if blamed and option in network.options]
    if to_blame and network.compose_project is None:
        without = {key: value for key, value in network.options.items() if key != to_blame[0]}
        return (
            _created_anew(case, network, without),
            _created_anew(case, network, network.options),
            (
                "The lasting commands make the network anew without that option, and connect its containers, which "
                "interrupts them; the undo makes it with the option again. What the network has of labels and "
                "--attachable, and addresses given to containers by --ip, are not known here and are lost: add them."
            ),
        )
    if to_blame or before is not None or not _engine_translates(case, network, family):
        each_start = AtEngineStart(f"masquerade-ipv{family}-{network.name}", [change.again])
        return (
            each_start.lines,
            each_start.undo,
            "The lasting commands repeat it at each start of the engine.",
        )
    restart = sh("systemctl", "restart", "docker")
    return (
        (restart,),
        (),
        f"The lasting command has the engine make its own rules again. {restart_risk(case)}",
    )


def _engine_translates(case: Case, network: Network, family: int) -> bool:
    """Whether a restart of the engine makes the network's rule: before engine 27 none for IPv6, unless told to."""
    told_not_to = is_default_bridge(network) and case.presumed_value("ip-masq") is False
    return case.presumed_value("iptables" if family == 4 else "ip6tables") is True and not told_not_to


def _created_anew(case: Case, network: Network, options: Mapping[str, str]) -> tuple[str, ...]:
    """A network's options are fixed when it is made: the same one again, with these."""
    members = [one for one in case.containers if any(end.network == network.name for end in one.endpoints)]
    create = ["docker", "network", "create", "--driver", network.driver]
    for pool in network.pools:
        parts = (("--subnet", pool.subnet), ("--gateway", pool.gateway), ("--ip-range", pool.ip_range))
        create += [word for flag, value in parts if value for word in (flag, value)]
    if network.ipv6:
        create.append("--ipv6")
    for key, value in options.items():
        create += ["--opt", f"{key}={value}"]
    return (
        *(sh("docker", "network", "disconnect", network.name, member.name) for member in members),
        sh("docker", "network", "rm", network.name),
        sh(*create, network.name),
        *(_connected(network, member) for member in members),
    )


def _connected(network: Network, member: Container) -> str:
    aliases = [alias for end in member.endpoints if end.network == network.name for alias in end.aliases]
    words = [word for alias in aliases if not member.id.startswith(alias) for word in ("--alias", alias)]
    return sh("docker", "network", "connect", *words, network.name, member.name)
