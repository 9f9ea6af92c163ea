"""What systemd keeps a service from on the network: its address filters and its sandbox."""

from collections.abc import Iterator

from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.manager import shown

_PROPERTIES = (
    "Id",
    "IPAddressAllow",
    "IPAddressDeny",
    "NetworkNamespacePath",
    "PrivateNetwork",
    "RestrictAddressFamilies",
    "RestrictNetworkInterfaces",
)
_DEFAULTS = ("", "no", "~")
"""An empty list of what is denied shows as its sign alone, from some versions of systemd."""


def read_confinement(unit: str, slice_: str, deadline: Deadline) -> dict[str, dict[str, str]]:
    """The settings that are not at their default, of the unit and of every slice above it, by unit.

    Raises:
        ReadError: where the manager does not answer.
    """
    units = (unit, *_slices(slice_))
    found: dict[str, dict[str, str]] = {}
    for values in shown(units, _PROPERTIES, deadline):
        name = values.pop("Id", "")
        if kept := {key: value for key, value in values.items() if value not in _DEFAULTS}:
            found[name] = kept
    return found


def _slices(name: str) -> Iterator[str]:
    """A slice and those above it: a-b.slice lies in a.slice, and that in the root's."""
    stem = name.removesuffix(".slice")
    while stem and stem != "-":
        yield f"{stem}.slice"
        stem = stem.rpartition("-")[0]
    yield "-.slice"
