"""Walks that several processes make are those that one makes, whatever becomes of the others."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerdiag import apart, walking
from dockerdiag.packet.flow import Journey
from dockerdiag.packet.plan import Errand, errands, journeys
from dockerdiag.packet.walk import Walker
from dockerdiag.snapshot.model import Firewall
from dockerdiag.snapshot.store import load
from dockerdiag.time_limit import TimeIsUp, TimeLimit
from tests.bench.host import snapshot
from tests.bench.rules import Size
from tests.recorded import FOLDER

STOPPED = FOLDER / "docker-user-drops-replies-trixie.json.gz"
Found = tuple[tuple[Errand, Journey], ...]


@pytest.fixture
def walker() -> Walker:
    return Walker(snapshot(Size(64), Firewall(nft="")))


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were begun."""
    begun: list[int] = []
    fork = os.fork

    def noted() -> int:
        if child := fork():
            begun.append(child)
        return child

    monkeypatch.setattr(os, "fork", noted)
    return begun


@pytest.fixture(autouse=True)
def nothing_left(forks: list[int]) -> Iterator[None]:
    yield
    assert not [one for one in forks if Path(f"/proc/{one}").exists()]


def told(found: Found) -> list[tuple[object, ...]]:
    parts = (
        "sent_from",
        "disposition",
        "halts",
        "hops",
        "uplink",
        "entry",
        "network",
        "translation",
        "later",
    )
    return [(one.flow, *(getattr(journey, part) for part in parts)) for one, journey in found]


def alone(walker: Walker) -> Found:
    return tuple(journeys(walker, errands(walker.world)))


def test_many_walks_are_made_by_two_processes_and_are_the_same(walker: Walker, forks: list[int]) -> None:
    planned = errands(walker.world)
    found = walking.walked(walker, planned)
    assert len(forks) == 1
    assert len(found) == 64
    assert told(found) == told(alone(walker))
    for errand, (kept, journey) in zip(planned, found, strict=True):
        # What the snapshot holds is not there twice.
        assert kept.flow is errand.flow
        assert journey.flow is errand.flow


def test_what_stops_packets_comes_whole(monkeypatch: pytest.MonkeyPatch, forks: list[int]) -> None:
    monkeypatch.setattr(walking, "_WORTH_A_PROCESS", 0.1)
    monkeypatch.setattr(walking, "_MOST_PROCESSES", 2)
    walker = Walker(load(STOPPED))
    planned = (*errands(walker.world),) * 3
    found = walking.walked(walker, planned)
    assert len(forks) == 1
    assert all(journey.halts for _, journey in found[:1])
    assert told(found) == told(tuple(journeys(walker, planned)))


def test_few_walks_and_those_of_one_processor_are_made_here(
    monkeypatch: pytest.MonkeyPatch, walker: Walker, forks: list[int]
) -> None:
    few = Walker(snapshot(Size(8), Firewall(nft="")))
    assert len(walking.walked(few, errands(few.world))) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert len(walking.walked(walker, errands(walker.world))) == 64
    assert forks == []


def test_what_a_process_that_dies_should_have_walked_is_walked_here(
    monkeypatch: pytest.MonkeyPatch, walker: Walker, forks: list[int]
) -> None:
    monkeypatch.setattr(walking, "_walk_there", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert told(walking.walked(walker, errands(walker.world))) == told(alone(walker))
    assert len(forks) == 1


def test_without_another_process_all_is_walked_here(monkeypatch: pytest.MonkeyPatch, walker: Walker) -> None:
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(apart.os, "fork", refuse)
    assert told(walking.walked(walker, errands(walker.world))) == told(alone(walker))


def test_a_deadline_ends_all(monkeypatch: pytest.MonkeyPatch, walker: Walker, forks: list[int]) -> None:
    monkeypatch.setattr(walking, "_walk_there", lambda *_: signal.pause())
    with pytest.raises(TimeIsUp), TimeLimit(2).interrupting():
        walking.walked(walker, errands(walker.world))
    assert len(forks) == 1
