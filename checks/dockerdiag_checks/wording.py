"""Phrases that several checks use."""

from collections.abc import Sequence

from dockerdiag.case import Case, Hit
from dockerdiag_checks.commands import sh

FOR_GOOD = "Nothing takes it back."
"""In the risk of a remedy that has no undo."""


def listed(names: Sequence[str], what: str, most: int = 3) -> str:
    """`the networks a, b and 4 more`; `what` is the singular, with its article."""
    if not names:
        return what
    shown, rest = names[:most], len(names) - most
    if rest > 0:
        text = f"{', '.join(shown)} and {rest} more"
    elif len(shown) > 1:
        text = f"{', '.join(shown[:-1])} and {shown[-1]}"
    else:
        text = shown[0]
    return f"{what}{'s' if len(names) > 1 else ''} {text}"


def sentence(text: str) -> str:
    """With a capital first letter; names within stay as they are."""
    return text[:1].upper() + text[1:]


def containers_of(*hits: Hit) -> str:
    """Whose packets meet them."""
    names = tuple(dict.fromkeys(name for hit in hits for name in hit.containers))
    if names:
        return listed(names, "container")
    return f"a container in {listed(tuple(dict.fromkeys(name for hit in hits for name in hit.networks)), 'network')}"


def retry(case: Case) -> tuple[str, ...]:
    """The command that shows whether a remedy worked: the same question again."""
    asked = {"-c": case.asked_containers, "-n": case.asked_networks, "--to": case.asked_destinations}
    words = [word for option, values in asked.items() for value in values for word in (option, str(value))]
    # A name that only DNS knows is looked up by a probe alone.
    probe = ("--probe",) if case.asked_of_dns else ()
    return (sh("dockerdiag", *words, *probe),)


def subnets_of(case: Case, hit: Hit) -> tuple[str, ...]:
    """The subnets of the networks whose packets meet it."""
    networks = [network for name in hit.networks if (network := case.network(name)) is not None]
    return tuple(pool.subnet for network in networks for pool in network.pools if pool.subnet)
