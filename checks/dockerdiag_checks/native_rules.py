"""The engine's own tables of nftables, `docker-bridges`: what of them packets meet."""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.packet.rules import Chain
from dockerdiag.report import RuleReference

DIRECT_ACCESS = "raw-PREROUTING"
"""The chain that drops packets straight to containers' addresses."""
_TABLE = "docker-bridges"


def is_native(rule: RuleReference) -> bool:
    """Whether it is a rule, or a policy, of the engine's tables."""
    return rule.backend == "nft" and rule.table == _TABLE


def native_bases(case: Case, family: str) -> tuple[Chain, ...]:
    """The base chains of one family's table, through which packets come to all its others; none where it is gone."""
    return tuple(chain for chain in _chains(case) if chain.family == family and chain.hooking is not None)


def native_chains(case: Case, name: str) -> tuple[Chain, ...]:
    """The chain of that name in each family's table."""
    return tuple(chain for chain in _chains(case) if chain.name == name)


def _chains(case: Case) -> Iterator[Chain]:
    for table in case.ruleset.tables:
        if table.backend == "nft" and table.name == _TABLE:
            yield from table.chains.values()
