"""A rule of somebody's that gives packets another destination, where nobody takes them."""

from dockerdiag.case import Case, Hit
from dockerdiag.packet.adjacency import HAIRPIN_OFF
from dockerdiag.report import Remedy, RuleReference
from dockerdiag_checks.native_rules import is_native
from dockerdiag_checks.rule_commands import delete_rule
from dockerdiag_checks.wording import retry

REDIRECTED = "redirected-to-nobody"

_AT_THE_END = ("listener", "neighbour", "address", "no-route", "route")


def leading_astray(hit: Hit) -> RuleReference | None:
    """The host's rule that chose the destination at which packets are stopped; None where they ask for it themselves.

    Not the engine's own: those of published ports are another check's.
    """
    halt, journey = hit.halt, hit.traced[0].journey
    led_to = halt.packet.addresses.destination
    at_the_end = halt.kind in _AT_THE_END or halt.reason.endswith(HAIRPIN_OFF)
    if not at_the_end or halt.namespace is not None or halt.direction != "out":
        return None
    if led_to == journey.flow.destination:
        return None
    # Destinations are chosen before routing; what is rewritten after it is the source.
    rewrites = [
        hop.rule
        for hop in journey.hops
        if (hop.verdict, hop.direction, hop.place) == ("rewrite", "out", "prerouting")
    ]
    rule = rewrites[-1] if rewrites else None
    return None if rule is None or rule.chain == "DOCKER" or is_native(rule) else rule


def not_redirected(case: Case, rule: RuleReference) -> tuple[Remedy, ...]:
    """Without the rule; who meant it to be there has what it leads to started instead."""
    deletion = delete_rule(rule)
    if deletion is None:
        return ()
    return (
        Remedy(
            summary="Start what was to take the packets there (a proxy, a resolver), or delete the rule",
            now=(deletion.do,),
            verify=retry(case),
            undo=deletion.undo,
            risk=f"What a proxy was to see goes out directly. {deletion.lasts}",
        ),
    )
