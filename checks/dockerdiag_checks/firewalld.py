"""What lets packets pass that firewalld stops: nobody but firewalld itself may write into its tables."""

import re
from ipaddress import ip_network

from dockerdiag.case import Case, Hit
from dockerdiag.report import Remedy, RuleReference
from dockerdiag_checks.commands import sh
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.wording import listed, retry, subnets_of

PANIC = "firewalld is in panic mode"

_TABLE = "firewalld"
_PANIC_TABLE = "firewalld_policy_drop"
_PANIC_CHAINS = ("raw_prerouting", "raw_output")
_POLICY_CHAIN = re.compile(r"_policy_(?P<name>.+?)(?:_(?:pre|log|deny|allow|post))?$")
_SOURCE = re.compile(r"\bip6? saddr (?P<net>\S+)")
_FIRST = "-32768"
"""The least priority of a rich rule: it comes before all others."""


def owns(rule: RuleReference | None) -> bool:
    """Whether firewalld made a rule or a chain, in nftables."""
    return rule is not None and rule.table in (_TABLE, _PANIC_TABLE)


def panics(rule: RuleReference | None) -> bool:
    """Whether it is of the table that `firewall-cmd --panic-on` makes.

    While firewalld starts or reloads the table of that name has other chains.
    """
    return rule is not None and rule.table == _PANIC_TABLE and rule.chain in _PANIC_CHAINS


def remedy(case: Case, hit: Hit) -> Remedy:
    """What has firewalld itself let the packets pass, narrowest first."""
    rule = hit.halt.rule
    if panics(rule):
        return _calm(case)
    subnets = tuple(one for one in subnets_of(case, hit) if ip_network(one).version == hit.halt.packet.family)
    if rule is not None and subnets and hit.directions == ("out",):
        policy = _POLICY_CHAIN.search(rule.chain)
        if policy is not None:
            return _past_policy(case, hit, policy["name"], subnets)
        if _by_source(hit, rule, subnets):
            return _source_in(case, hit, "docker", subnets)
        if _is_in_zone(case, hit):
            return _source_in(case, hit, "trusted", subnets)
    return _bridge_in_zone(case, hit)


def _calm(case: Case) -> Remedy:
    return Remedy(
        summary="End firewalld's panic mode",
        now=("firewall-cmd --panic-off",),
        verify=("! firewall-cmd --query-panic", *retry(case)),
        undo=("firewall-cmd --panic-on",),
        risk=(
            "The host is on the network again, as firewalld's zones allow: make sure that whoever turned panic mode on "
            "is done. It does not outlive a restart of firewalld."
        ),
    )


def _past_policy(case: Case, hit: Hit, policy: str, subnets: tuple[str, ...]) -> Remedy:
    family = f"ipv{hit.halt.packet.family}"
    rules = [
        f'rule priority="{_FIRST}" family="{family}" source address="{subnet}" accept' for subnet in subnets
    ]

    def each(verb: str, *more: str) -> tuple[str, ...]:
        return tuple(
            sh("firewall-cmd", *more, f"--policy={policy}", f"--{verb}-rich-rule={rule}") for rule in rules
        )

    return Remedy(
        summary=f"Have firewalld's policy {policy} accept what {listed(hit.networks, 'network')} sends",
        now=each("add"),
        lasting=each("add", "--permanent"),
        verify=retry(case),
        undo=(*each("remove"), *each("remove", "--permanent")),
        risk=f"All that {listed(hit.networks, 'network')} sends passes policy {policy}, wherever it goes; "
        "firewalld's other policies and zones hold as before.",
    )


def _by_source(hit: Hit, rule: RuleReference, subnets: tuple[str, ...]) -> bool:
    """Whether a zone that has one of these subnets as its source refuses it."""
    jumps = hit.halt.netfilter.path if hit.halt.netfilter is not None else ()
    found = [_SOURCE.search(one.text) for one in (*jumps, rule)]
    return any(one is not None and one["net"] in subnets for one in found)


def _source_in(case: Case, hit: Hit, zone: str, subnets: tuple[str, ...]) -> Remedy:
    def each(verb: str, *more: str) -> tuple[str, ...]:
        return tuple(sh("firewall-cmd", *more, f"--zone={zone}", f"--{verb}-source={one}") for one in subnets)

    return Remedy(
        summary=f"Put {listed(subnets, 'the subnet')} into firewalld's zone {zone}, whose packets it accepts",
        now=each("change"),
        lasting=each("change", "--permanent"),
        verify=retry(case),
        undo=(*each("remove"), *each("remove", "--permanent")),
        risk=(
            f"firewalld accepts what {listed(hit.networks, 'network')} sends, for the host as well, and no zone that "
            "had the subnet before holds for it any more."
        ),
    )


def _is_in_zone(case: Case, hit: Hit) -> bool:
    """Whether the bridges are in Docker's zone already, so that it is the zone that refuses them."""
    bridges = _bridges(case, hit)
    texts = [
        rule.write()
        for table in case.ruleset.tables
        if table.name == _TABLE
        for chain in table.chains.values()
        for rule in chain.rules
    ]
    return bool(bridges) and all(
        any(
            re.match(rf'iifname "{re.escape(bridge)}" (?:jump|goto) \w+_docker(?:_|$)', text)
            for text in texts
        )
        for bridge in bridges
    )


def _bridges(case: Case, hit: Hit) -> list[str]:
    return [network.bridge for name in hit.networks if (network := case.network(name)) and network.bridge]


def _bridge_in_zone(case: Case, hit: Hit) -> Remedy:
    bridges = _bridges(case, hit)
    # The engine makes the zone when it starts and finds firewalld running: before that there is none.
    change = " && ".join(
        sh("firewall-cmd", "--quiet", "--zone=docker", f"--change-interface={bridge}") for bridge in bridges
    )
    restart = sh("systemctl", "restart", "docker")
    return Remedy(
        summary=f"Put {listed(bridges, 'the bridge')} into firewalld's zone docker, whose packets it accepts",
        now=(f"{{ {change}; }} 2>/dev/null || {restart}" if bridges else restart,),
        lasting=(restart,),
        verify=retry(case),
        undo=tuple(
            f"{sh('firewall-cmd', '--zone=docker', f'--remove-interface={bridge}')} || true"
            for bridge in bridges
        ),
        risk=(
            "firewalld accepts what comes in by these bridges, for the host as well. Where the zone is not there yet, "
            f"the engine must make it, which it does when it starts. {restart_risk(case)}"
        ),
    )
