"""What systemd keeps a service from on the network: its address filters and its sandbox."""

from collections.abc import Iterator

from dockerdiag.readers.command import checked
from dockerdiag.readers.deadline import Deadline

_PROPERTIES = (
    "Id",
    "IPAddressAllow",
    "IPAddressDeny",
    "NetworkNamespacePath",
    "PrivateNetwork",
    "RestrictAddressFamilies",
    "RestrictNetworkInterfaces",
)
_SECONDS = 10.0
_DEFAULTS = ("", "no", "~")
"""An empty list of what is denied shows as its sign alone, from some versions of systemd."""


def read_confinement(unit: str, slice_: str, deadline: Deadline) -> dict[str, dict[str, str]]:
    """The settings that are not at their default, of the unit and of every slice above it, by unit.

    Raises:
        ReadError: where the manager does not answer.
    """
    units = (unit, *_slices(slice_))
    command = ["systemctl", "show", "--no-pager", f"--property={','.join(_PROPERTIES)}", "--", *units]
    told = checked(command, deadline.at_most(_SECONDS))
    found: dict[str, dict[str, str]] = {}
    for block in told.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
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
