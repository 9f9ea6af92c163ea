"""The three hosts of the lab: a Debian suite brings an engine, a Python and an iptables of its own."""

import os

SUITES = ("bookworm", "trixie", "sid")


def chosen_suites() -> tuple[str, ...]:
    """The suites that DOCKERDIAG_LAB_ENGINE (a name, or several with commas) leaves over."""
    names = tuple(filter(None, os.environ.get("DOCKERDIAG_LAB_ENGINE", "").replace(",", " ").split()))
    unknown = set(names) - set(SUITES)
    if unknown:
        raise ValueError(f"DOCKERDIAG_LAB_ENGINE={sorted(unknown)}: there are {', '.join(SUITES)}")
    return names or SUITES
