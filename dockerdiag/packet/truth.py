"""Three-valued logic: a match is true, false, or cannot be judged."""

from collections.abc import Iterable

from dockerdiag.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Unknown:
    """What cannot be judged, and why. It has no truth of its own: asking for it is a mistake."""

    reason: str
    rate: bool = False
    """Whether it is open since a packet matches only while a rate limit is not used up."""

    def __bool__(self) -> bool:
        raise TypeError(f"neither true nor false: {self.reason}")


Truth = bool | Unknown


def negate(truth: Truth, inverted: bool = True) -> Truth:
    """The opposite of `truth` where `inverted`; unknown stays unknown."""
    if isinstance(truth, Unknown) or not inverted:
        return truth
    return not truth


def first_doubt(*doubts: Unknown | None) -> Unknown | None:
    """The first that there is."""
    return next((doubt for doubt in doubts if doubt is not None), None)


def every(truths: Iterable[Truth]) -> Truth:
    """True if all are, false if one is, else unknown."""
    doubt: Unknown | None = None
    for truth in truths:
        if isinstance(truth, Unknown):
            doubt = first_doubt(doubt, truth)
        elif not truth:
            return False
    return True if doubt is None else doubt


def some(truths: Iterable[Truth]) -> Truth:
    """True if one is, false if none is, else unknown."""
    doubt: Unknown | None = None
    for truth in truths:
        if isinstance(truth, Unknown):
            doubt = first_doubt(doubt, truth)
        elif truth:
            return True
    return False if doubt is None else doubt
