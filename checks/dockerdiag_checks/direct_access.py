"""Packets straight to containers' own addresses, which engines since 28 drop by rules of their own."""

import re
from collections.abc import Iterator, Sequence

from dockerdiag.case import Case
from dockerdiag.report import Evidence, Finding, Status
from dockerdiag.snapshot import Container, Unread
from dockerdiag_checks.native_rules import DIRECT_ACCESS, native_chains
from dockerdiag_checks.rule_remedies import where

_SAVED = re.compile(
    r"^\[(?P<packets>[1-9]\d*):\d+\] (?P<rule>-A PREROUTING -d (?P<address>[\da-f.:]+)/\d+ ! -i \S+ -j DROP)$",
    re.MULTILINE,
)
_NATIVE = re.compile(r"ip6? daddr (?P<address>[\da-f.:]+) iifname != .* drop\b")


def blocked_access(case: Case, containers: Sequence[Container]) -> Iterator[Finding]:
    """Packets to a container's own address that the engine's rule has dropped."""
    owners = {
        address: container.name
        for container in containers
        for endpoint in container.endpoints
        for address in (endpoint.address, endpoint.address6)
        if address
    }
    for rule, packets, address in _met_rules(case):
        name = owners.get(address)
        if name is not None:
            yield Finding(
                code="direct-access-blocked",
                status=Status.NOTE,
                subject=f"container:{name}",
                summary=f"{packets} packets straight to {address} of container {name} were dropped by the engine's own "
                "rule: from outside it is reached by published ports alone",
                evidence=(rule,),
            )


def _met_rules(case: Case) -> Iterator[tuple[Evidence, int, str]]:
    """The engine's rules that have dropped such packets, how many, and to whose address."""
    firewall = case.snapshot.network.firewall
    saved = (
        firewall.iptables_nft,
        firewall.iptables_legacy,
        firewall.ip6tables_nft,
        firewall.ip6tables_legacy,
    )
    for text in saved:
        for match in _SAVED.finditer("" if isinstance(text, Unread) else text):
            rule = Evidence("iptables table raw, chain PREROUTING", match["rule"])
            yield rule, int(match["packets"]), match["address"]
    for chain in native_chains(case, DIRECT_ACCESS):
        for native in chain.rules:
            found = _NATIVE.match(native.write())
            if found is not None and native.packets:
                reference = chain.reference(native)
                yield Evidence(where(reference), reference.text), native.packets, found["address"]
