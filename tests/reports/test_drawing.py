from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerdiag.report import Disposition
from dockerdiag_reports.drawing import RADIUS, ROW_HEIGHT, drawing, stages
from tests.reports.hostile import texts
from tests.reports.samples import DELIVERED, NO_REPLY, OUT, STOPPED, UNKNOWN, hop, walk


def test_hops_at_one_place_are_one_stage() -> None:
    made = stages(
        walk(hop("forward", "first chain"), hop("forward", "second chain"), hop("postrouting", "none"))
    )
    assert [(stage.place, len(stage.hops)) for stage in made] == [("forward", 2), ("postrouting", 1)]


def test_the_stage_of_a_stop_is_marked_by_shape_and_word() -> None:
    last = stages(STOPPED)[-1]
    assert (last.mark, last.word) == ("stop", "drop")
    assert stages(UNKNOWN.walks[0])[-1].mark == "unknown"


def test_a_verdict_that_does_not_end_the_walk_is_not_certain() -> None:
    unsure, passed = stages(
        walk(hop("forward", "may be dropped", "drop"), hop("process", "arrives", "delivered"))
    )
    assert (unsure.mark, unsure.word) == ("unknown", "unknown")
    assert (passed.mark, passed.word) == ("pass", "")


@pytest.mark.parametrize(
    ("drawn", "marks", "words"),
    [
        (STOPPED, ["stop", "target"], ["drop", "not reached"]),
        (UNKNOWN.walks[0], ["unknown", "target"], ["unknown", "not known"]),
        (NO_REPLY.walks[0], ["stop", "container"], ["drop", "no answer"]),
        (DELIVERED, ["pass", "container"], ["", "answered"]),
    ],
)
def test_what_comes_after_the_last_hop(drawn: object, marks: list[str], words: list[str]) -> None:
    assert isinstance(drawn, type(DELIVERED))
    stations = drawing(drawn, 880, 11).stations
    assert [station.mark for station in stations[-2:]] == marks
    assert [station.word for station in stations[-2:]] == words


def test_numbers_are_those_of_the_list() -> None:
    numbers = [station.number for station in drawing(DELIVERED, 880, 11).stations if station.number]
    assert numbers == list(range(1, len(stages(DELIVERED)) + 1))


def test_a_walk_without_hops_can_be_drawn() -> None:
    assert len(drawing(walk(disposition=Disposition.UNKNOWN), 880, 11).stations) == 2


@given(texts, st.integers(min_value=1, max_value=40), st.sampled_from([(880, 11), (264, 2)]))
def test_stations_stay_within_the_picture_and_apart(text: str, hops: int, size: tuple[int, int]) -> None:
    made = walk(*(hop(f"{text}{number}", text) for number in range(hops)), *OUT, containers=(text,), to=text)
    picture = drawing(replace(made, from_=text), *size)
    places = [(station.x, station.y) for station in picture.stations]
    assert len(set(places)) == len(places)
    assert all(RADIUS <= x <= picture.width - RADIUS and 0 < y < picture.height for x, y in places)
    assert picture.height % ROW_HEIGHT == 0
    assert all(len(station.labels) <= 2 for station in picture.stations)
