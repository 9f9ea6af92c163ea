"""What systemd keeps a service from on the network: its address filters and its sandbox."""

from collections.abc import Iterator

from dockerdiag.readers.manager import Manager

PROPERTIES = (
    "IPAddressAllow",
    "IPAddressDeny",
    "NetworkNamespacePath",
    "PrivateNetwork",
    "RestrictAddressFamilies",
    "RestrictNetworkInterfaces",
)
_DEFAULTS = ("", "no", "~")
"""An empty list of what is denied shows as its sign alone, from some versions of systemd."""


def read_confinement(unit: str, slice_: str, manager: Manager) -> dict[str, dict[str, str]]:
    """The settings that are not at their default, of the unit and of every slice above it, by unit.

    Raises:
        ReadError: where the manager does not answer.
    """
    found: dict[str, dict[str, str]] = {}
    for values in manager.shown(unit, *slices(slice_)):
        if kept := {key: values[key] for key in PROPERTIES if values.get(key, "") not in _DEFAULTS}:
            found[values.get("Id", "")] = kept
    return found


def slices(name: str) -> Iterator[str]:
    """A slice and those above it: a-b.slice lies in a.slice, and that in the root's."""
    stem = name.removesuffix(".slice")
    while stem and stem != "-":
        yield f"{stem}.slice"
        stem = stem.rpartition("-")[0]
    yield "-.slice"
