"""Rules of the iptables variant, or of the backend, that the engine does not write to."""

from dockerdiag.case import Case, Hit
from dockerdiag.report import Remedy
from dockerdiag_checks.commands import AtEngineStart, sh
from dockerdiag_checks.rule_commands import iptables, let_pass
from dockerdiag_checks.wording import retry, subnets_of


def in_other_variant(case: Case, hit: Hit) -> bool:
    """Whether a rule of one iptables variant stops what the engine accepts in the other."""
    rule = hit.halt.rule
    if rule is None or not case.has_docker_rules():
        return False
    variants = {"iptables-nft", "iptables-legacy"}
    return {rule.backend, case.backend()} == variants


def is_leftover(case: Case, hit: Hit) -> bool:
    """Whether it is the policy that an engine with the iptables backend set, and its successor does not know of.

    Where somebody else has rules in that chain, such as ufw, the policy may be theirs.
    """
    rule = hit.halt.rule
    if case.backend() != "nft" or hit.halt.kind != "policy" or rule is None or rule.backend == "nft":
        return False
    if (rule.table, rule.chain) != ("filter", "FORWARD"):
        return False
    return all(
        one.write().startswith("-A FORWARD -j DOCKER")
        for table, chain in case.ruleset.base_chains("inet", "forward")
        if (chain.backend, chain.family, table.name, chain.name)
        == (rule.backend, rule.family, rule.table, rule.chain)
        for one in chain.rules
    )


def other_variant_emptied(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """Gives up the other variant's FORWARD policy, where that is what stops packets."""
    rule = hit.halt.rule
    if rule is None or hit.halt.kind != "policy":
        return ()
    tool = iptables(rule.backend, hit.halt.packet.family)
    table = ("-t", rule.table) if rule.table != "filter" else ()
    return (
        Remedy(
            summary=f"Or give {tool}'s chain {rule.chain} the policy accept, where its rules are of another day",
            now=(sh(tool, *table, "-P", rule.chain, "ACCEPT"),),
            verify=retry(case),
            undo=(sh(tool, *table, "-P", rule.chain, "DROP"),),
            risk=(
                "Opens all that this policy closed, between every two links of the host. Who sets it with "
                f"{tool} should use what the engine uses ({case.backend()}): update-alternatives --config iptables."
            ),
        ),
    )


def left_behind_accepted(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """Accepts these networks' packets at the end of the chain; or takes the policy back."""
    rule = hit.halt.rule
    if rule is None:
        return ()
    changes = let_pass(hit.halts, subnets_of(case, hit))
    each_start = AtEngineStart(
        "-".join(("leftover-forward", *hit.networks[:1])), [change.again for change in changes]
    )
    tool = iptables(rule.backend, hit.halt.packet.family)
    return (
        Remedy(
            summary="Accept these packets where the old policy drops them",
            now=tuple(change.do for change in changes),
            lasting=each_start.lines,
            verify=retry(case),
            undo=(*(change.undo for change in changes), *each_start.undo),
            risk=(
                "Lets what these networks send and get pass this chain, and opens nothing else: a published port that "
                "this policy closes stays closed."
            ),
        ),
        Remedy(
            summary="Or take the policy back, which is gone after a reboot if nobody saved it",
            now=(sh(tool, "-P", "FORWARD", "ACCEPT"),),
            verify=retry(case),
            undo=(sh(tool, "-P", "FORWARD", "DROP"),),
            risk="The host forwards between all its links then, but for what the engine's own tables refuse.",
        ),
    )
