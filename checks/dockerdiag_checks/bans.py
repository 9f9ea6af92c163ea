"""Bans of fail2ban and CrowdSec that meet a container's packets: who set them, and how one is taken back."""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from dockerdiag.case import Case, Hit
from dockerdiag.dataclass import dataclass
from dockerdiag.packet.nft_json import read_listing
from dockerdiag.packet.nft_literals import Json, read_element
from dockerdiag.packet.packet import IPAddress
from dockerdiag.packet.values import covers
from dockerdiag.report import Evidence, Remedy, RuleReference
from dockerdiag.snapshot import Unread
from dockerdiag_checks.commands import sh
from dockerdiag_checks.other_services import service_state
from dockerdiag_checks.rule_commands import delete_rule
from dockerdiag_checks.wording import FOR_GOOD, retry

_SET = re.compile(r"--match-set (\S+) \S*(src|dst)|(saddr|daddr)\S* @(\S+)")
_FAIL2BAN = re.compile(r"^(?:f2b|fail2ban|addr6?-set)-(?:table|chain)?(.*)$")
_CROWDSEC = re.compile(r"^crowdsec", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ban:
    """One banned address or subnet."""

    who: str
    """`fail2ban (jail sshd)`, `CrowdSec`."""
    jail: str | None
    member: str
    """As the set or the rule has it."""
    set_name: str | None
    rule: RuleReference
    left: str = ""
    """How long it still lasts, as the set's tool takes it; empty where it has no end."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The member, and the set that it is in."""
        return (Evidence(f"set {self.set_name}", self.member),) if self.set_name is not None else ()


def ban_of(case: Case, hit: Hit) -> Ban | None:
    """The ban that a rule carries out, None where it is no ban."""
    rule = hit.halt.rule
    if rule is None or hit.halt.kind != "rule":
        return None
    match = _SET.search(rule.text)
    name = (match[1] or match[4]) if match is not None else None
    who, jail = _banner(name or "", rule)
    if who is None:
        return None
    addresses = hit.halt.packet.addresses
    if match is not None and name is not None:
        address = (
            addresses.source
            if "src" in (match[2], match[3]) or match[3] == "saddr"
            else addresses.destination
        )
        in_nft = rule.backend == "nft"
        members = _nft_members(case, rule, name, address) if in_nft else _members(case, name, address)
        member, left = next(members, (str(address), ""))
        return Ban(who, jail, member, name, rule, left)
    written = re.search(r"(?:-s|-d|saddr|daddr) (\S+)", rule.text)
    return Ban(who, jail, written[1].removesuffix("/32"), None, rule) if written is not None else None


def _banner(name: str, rule: RuleReference) -> tuple[str | None, str | None]:
    for word in (name, rule.chain):
        if _CROWDSEC.match(word):
            return "CrowdSec", None
        if (match := _FAIL2BAN.match(word)) is not None and (match[1] or name):
            jail = match[1].lstrip("-") or None
            return f"fail2ban (jail {jail})" if jail else "fail2ban", jail
    return None, None


def _members(case: Case, name: str, address: IPAddress) -> Iterator[tuple[str, str]]:
    """The members of an ipset that hold an address, as they are written, and their time."""
    sets = case.snapshot.network.firewall.ipsets
    for one in () if isinstance(sets, Unread) else sets:
        if one.name != name:
            continue
        for member in one.members:
            first, *options = member.split()
            first = first.partition(",")[0]
            at = options.index("timeout") if "timeout" in options[:-1] else None
            try:
                if ip_address(address) in ip_network(first, strict=False):
                    yield first, "" if at is None else " ".join(options[at : at + 2])
            except ValueError:
                continue


def _nft_members(case: Case, rule: RuleReference, name: str, address: IPAddress) -> Iterator[tuple[str, str]]:
    """The elements of a set of nft that hold an address, likewise."""
    listing = case.snapshot.network.firewall.nft
    tables = read_listing(listing, ()) if isinstance(listing, str) else []
    for listed in tables:
        if (listed.table.family, listed.table.name) != (rule.family, rule.table):
            continue
        for literal in listed.sets.declared.get(name, {}).get("elem") or ():
            whole = literal["elem"] if isinstance(literal, dict) and "elem" in literal else {"val": literal}
            if covers(read_element("address", literal), address) is True:
                left = whole.get("expires")
                yield _written(whole["val"]), f"timeout {max(left, 1)}s" if isinstance(left, int) else ""


def _written(element: Json) -> str:
    """An address, prefix or range as nft takes it."""
    if isinstance(element, dict):
        if "prefix" in element:
            return f"{element['prefix']['addr']}/{element['prefix']['len']}"
        return "-".join(map(str, element["range"]))
    return str(element)


def unbanned(case: Case, ban: Ban) -> Remedy:
    """Takes the one ban back, by the program that set it where that runs."""
    spared = [subnet for subnet in subnets_of_all(case) if _overlap(ban.member, subnet)] or [ban.member]
    again = f"Whoever was banned may be banned again: name {', '.join(spared)} in "
    if ban.jail and _runs(case, "fail2ban.service"):
        now: tuple[str, ...] = (sh("fail2ban-client", "set", ban.jail, "unbanip", ban.member),)
        undo: tuple[str, ...] = (sh("fail2ban-client", "set", ban.jail, "banip", ban.member),)
    elif ban.who == "CrowdSec" and _runs(case, "crowdsec-firewall-bouncer.service"):
        flag = "--range" if "/" in ban.member else "--ip"
        now = (sh("cscli", "decisions", "delete", flag, ban.member),)
        undo = (sh("cscli", "decisions", "add", flag, ban.member),)
    else:
        now, undo = _from_rules(ban)
    return Remedy(
        summary=f"Take the ban of {ban.member} back",
        now=now,
        verify=retry(case),
        undo=undo,
        risk=f"That address is let in again wherever it was refused. {again}"
        + (
            "ignoreip of fail2ban's jail.local."
            if ban.who != "CrowdSec"
            else "CrowdSec's allowlist (whitelists.yaml)."
        )
        + ("" if undo else f" {FOR_GOOD}"),
    )


def _overlap(member: str, subnet: str) -> bool:
    try:
        one, other = ip_network(member, strict=False), ip_network(subnet, strict=False)
    except ValueError:
        return False
    return one.version == other.version and one.overlaps(other)


def _runs(case: Case, name: str) -> bool:
    state = service_state(case, name)
    return state is not None and state.active_state == "active"


def _from_rules(ban: Ban) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if ban.set_name is None:
        deletion = delete_rule(ban.rule)
        return ((deletion.do,), deletion.undo) if deletion is not None else ((), ())
    if ban.rule.backend == "nft":
        place = (ban.rule.family, ban.rule.table, ban.set_name)
        again = " ".join(("{", ban.member, *ban.left.split(), "}"))
        return (sh("nft", "delete", "element", *place, f"{{ {ban.member} }}"),), (
            sh("nft", "add", "element", *place, again),
        )
    back = sh("ipset", "add", ban.set_name, ban.member, *ban.left.split())
    return (sh("ipset", "del", ban.set_name, ban.member),), (back,)


def subnets_of_all(case: Case) -> tuple[str, ...]:
    """The subnets of the engine's bridge networks."""
    return tuple(
        pool.subnet
        for network in case.networks
        if network.bridge is not None
        for pool in network.pools
        if pool.subnet
    )[:4]
