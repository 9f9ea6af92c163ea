"""What the worker of the probes answers, read back."""

import json

from dockerdiag.dataclass import dataclass
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.probe_sockets import Met
from dockerdiag.snapshot.probes import RisenCounter


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe's answer."""

    met: Met
    counters: tuple[RisenCounter, ...]
    """Of the sender's own namespace."""
    uncounted: str | None


def parse_answer(line: bytes) -> Answer:
    """The answer in a line of JSON.

    Raises:
        ReadError: it is none.
    """
    try:
        values = json.loads(line)
        met = Met(**{**values["met"], "addresses": tuple(values["met"]["addresses"])})
        return Answer(met, tuple(RisenCounter(**one) for one in values["counters"]), values["uncounted"])
    except (ValueError, KeyError, TypeError):
        raise ReadError("the probe's process gave no answer that can be read") from None
