"""The long run: many inputs for each target, figures and what broke it on stdout.

All times are processor time: other work on the machine makes no input slow.
"""

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tests.fuzz.mutation import mutate
from tests.fuzz.targets import Target

SLOW_SECONDS = 10.0
"""One small input that takes longer is a bug by itself."""
_POOL = 400


@dataclass
class Figures:
    """What one target's run measured."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    slowest_size: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0
        worst = f"{self.slowest * 1000:.0f} ms for {self.slowest_size} bytes"
        told = f"| {self.target} | {self.inputs:,} | {self.seconds:.0f} | {rate:,.0f} | {worst} | {len(self.broken)} |"
        return told + "".join(f"\n    {count} x {what}" for what, count in self.broken.most_common(20))


class TooSlowError(BaseException):
    """An input that takes longer than any may."""


def _ring(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - signal.signal's signature
    raise TooSlowError


def run(target: Target, inputs: int, seconds: float, seed: int, keep: Path | None = None) -> Figures:
    """Gives a target mutated inputs until there were as many or so much time has gone."""
    chance = random.Random(f"{target.name} {seed}")
    first = target.seeds()
    pool = list(first)
    figures = Figures(target.name)
    signal.signal(signal.SIGPROF, _ring)
    began = time.process_time()
    while figures.inputs < inputs and figures.seconds < seconds:
        # Now and then a changed input is changed further.
        data = mutate(chance.choice(first if chance.random() < 0.6 else pool), chance.choice(first), chance)
        if len(pool) < len(first) + _POOL:
            pool.append(data)
        elif chance.random() < 0.02:
            pool[chance.randrange(len(first), len(pool))] = data
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SLOW_SECONDS)
        try:
            target.attempt(data)
        except TooSlowError:
            _note(figures, f"slower than {SLOW_SECONDS:g} s", data, keep)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            _note(figures, _place(error), data, keep)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        taken = time.process_time() - started
        if taken > figures.slowest:
            figures.slowest, figures.slowest_size = taken, len(data)
        figures.inputs += 1
        figures.seconds = time.process_time() - began
    return figures


def _place(error: BaseException) -> str:
    """Where it was raised, in words that are the same for the same bug."""
    trace = error.__traceback__
    inner = trace
    while trace is not None:
        if (
            "dockerdiag" in trace.tb_frame.f_code.co_filename
            and "/tests/" not in trace.tb_frame.f_code.co_filename
        ):
            inner = trace
        trace = trace.tb_next
    where = f"{Path(inner.tb_frame.f_code.co_filename).name}:{inner.tb_lineno}" if inner else "?"
    return (
        f"{type(error).__name__} at {where}: {str(error)[:100]!r}"
        if isinstance(error, AssertionError)
        else f"{type(error).__name__} at {where}"
    )


def _note(figures: Figures, what: str, data: bytes, keep: Path | None) -> None:
    figures.broken[what] += 1
    if keep is not None and figures.broken[what] == 1:
        folder = keep / figures.target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "".join(c if c.isalnum() else "-" for c in what)[:80]).write_bytes(data)
