"""Makes many walks in several processes, which share what was parsed; few of them here alone."""

import gc
import os
import pickle
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from io import BytesIO
from typing import Any

from dockerdiag.apart import Apart, ApartError
from dockerdiag.packet.plan import Errand, journeys
from dockerdiag.packet.walk import Journey, Walker

_WORTH_A_PROCESS = 24
"""So many walks take longer than to begin a process and to hand over what it found."""
_MOST_PROCESSES = 2
"""Each has pages of its own where it counts references: of a host of a thousand containers 130 MB."""
_SECONDS = 3600.0
"""Walks end by themselves; whoever limits their time ends them by an exception."""
_MAXIMUM_ANSWER = 1 << 30

_Walked = list[tuple[Errand, Journey]]


def walked(walker: Walker, planned: Sequence[Errand]) -> tuple[tuple[Errand, Journey], ...]:
    """Each errand with its journey, in their order, as `journeys` makes them."""
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, len(planned) // _WORTH_A_PROCESS)
    if processes < 2:
        return tuple(journeys(walker, planned))
    # What is parsed when it is first met is met by the first walk, and then shared.
    first, planned = planned[:1], planned[1:]
    begun = tuple(journeys(walker, first))
    # Whole stretches: neighbours' rules lie together in memory, and what one alone looks at is copied for one alone.
    length = -(-len(planned) // processes)
    shares = [planned[at : at + length] for at in range(0, len(planned), length)]
    with ExitStack() as held:
        others = [_begin(held, walker, share) for share in shares[1:]]
        found = list(journeys(walker, shares[0]))
        for share, process in zip(shares[1:], others, strict=True):
            found += _answer(process, share) or journeys(walker, share)
    return (*begun, *found)


def _begin(held: ExitStack, walker: Walker, share: Sequence[Errand]) -> Apart | None:
    """A process that walks; None where no further one can be had."""
    with suppress(OSError):
        return held.enter_context(Apart(partial(_walk_there, walker, share)))
    return None


def _walk_there(walker: Walker, share: Sequence[Errand]) -> bytes:
    gc.disable()  # it would look at, and so copy, every page that is shared
    written = BytesIO()
    _Pickler(written, _known(share)).dump(list(journeys(walker, share)))
    return written.getvalue()


def _answer(process: Apart | None, share: Sequence[Errand]) -> _Walked | None:
    """What a process found; None where it gave no answer: it was killed, for want of memory maybe."""
    if process is None:
        return None
    try:
        content = process.answer(_SECONDS, maximum=_MAXIMUM_ANSWER).content
    except ApartError:
        return None
    found: _Walked = _Unpickler(BytesIO(content), _known(share)).load()
    return found


def _known(share: Sequence[Errand]) -> list[object]:
    """What both processes have: journeys are full of it, and namespaces are large."""
    sources = [errand.flow.source for errand in share]
    parts = ((*one.members, one.container, one.namespace, one.network) for one in sources)
    return [
        *(errand.flow for errand in share),
        *sources,
        *(part for found in parts for part in found if part),
    ]


class _Pickler(pickle.Pickler):
    """Writes a number for each object that both know."""

    def __init__(self, file: BytesIO, known: Sequence[object]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._numbers = {id(one): at for at, one in enumerate(known)}

    def persistent_id(self, one: Any) -> int | None:
        return self._numbers.get(id(one))


class _Unpickler(pickle.Unpickler):
    """Takes them for what they are here."""

    def __init__(self, file: BytesIO, known: Sequence[object]) -> None:
        super().__init__(file)
        self._known = known

    def persistent_load(self, pid: Any) -> object:
        return self._known[pid]
