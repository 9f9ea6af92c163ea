"""The picture of a walk: stations on a line that turns back at its end, as on a transit map.

Only geometry is made here; the template draws it. Stations carry the numbers of the list below the picture, which
says the same in words.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.report import Disposition, Hop, Walk
from dockerdiag_reports.layout import Layout, cut
from dockerdiag_reports.outline import PASSES, REWRITES

Mark = Literal["pass", "rewrite", "stop", "unknown", "container", "target"]

ROW_HEIGHT = 116
LINE_Y = 46
"""Where the line runs in its row: above it the direction, below it the labels."""
RADIUS = 14
_TURN = 12
_MARGIN = 14
"""Beside the columns, where the line turns without crossing a label."""
_CHARACTER = 6.5
"""Average width of a label's character, where its text is of the usual size."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Consecutive hops of one direction at one place: one station, one item of the list."""

    direction: str
    place: str
    mark: Mark
    word: str
    """What happens here, where it is not just a pass."""
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Station:
    """A point of the line."""

    x: float
    y: float
    mark: Mark
    number: int | None
    """The place in the list; None for the two ends."""
    labels: tuple[str, ...]
    word: str
    direction: str
    """Written above the first station of a direction."""
    reached: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """The line from one station to the next."""

    path: str
    arrow: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture with its size."""

    width: int
    height: int
    stations: tuple[Station, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class _Node:
    mark: Mark
    number: int | None
    labels: tuple[str, ...]
    word: str
    direction: str
    reached: bool


def stages(walk: Walk) -> tuple[Stage, ...]:
    """A walk's hops, those at one place together."""
    return tuple(
        _stage(direction, place, tuple(hops))
        for (direction, place), hops in groupby(walk.hops, key=lambda hop: (hop.direction, hop.place))
    )


def drawing(walk: Walk, width: int, most_columns: int, character: float = _CHARACTER) -> Drawing:
    """Lays a walk out in rows; every second one runs from right to left. Labels are cut to what their column holds."""
    nodes = _nodes(walk)
    out_length = next((index for index, node in enumerate(nodes) if node.mark == "target"), len(nodes)) + 1
    columns = min(max(out_length, min(6, most_columns)), most_columns)
    column = (width - 2 * _MARGIN) / columns
    stations = tuple(_station(node, index, columns, column, character) for index, node in enumerate(nodes))
    return Drawing(
        width=width,
        height=ROW_HEIGHT * -(-len(nodes) // columns),
        stations=stations,
        segments=tuple(_segment(*pair, turn=column / 2 + _MARGIN / 2) for pair in pairwise(stations)),
    )


def _stage(direction: str, place: str, hops: tuple[Hop, ...]) -> Stage:
    stop = next((hop for hop in hops if hop.stop), None)
    told = stop or next((hop for hop in hops if hop.verdict not in PASSES), hops[0])
    if told.verdict in PASSES:
        mark: Mark = "pass"
    elif told.verdict in REWRITES:
        mark = "rewrite"
    else:
        # A verdict that does not end the walk is one that may hold or not.
        mark = "stop" if stop and told.verdict != "unknown" else "unknown"
    word = "" if mark == "pass" else told.verdict if stop or mark == "rewrite" else "unknown"
    return Stage(direction, place, mark, word, hops)


def _nodes(walk: Walk) -> list[_Node]:
    arrived = walk.disposition is Disposition.DELIVERED
    made = stages(walk)
    out = [(number, stage) for number, stage in enumerate(made, start=1) if stage.direction == "out"]
    reply = [(number, stage) for number, stage in enumerate(made, start=1) if stage.direction != "out"]
    sender = walk.containers[0] if walk.containers else "a container"
    many = (f"and {len(walk.containers) - 1} more",) if len(walk.containers) > 1 else ()
    address, _, port = walk.to.rpartition(":")
    there = bool(reply) or arrived
    lost = walk.disposition is Disposition.UNKNOWN
    end = "" if there else "not known" if lost else "not reached"
    answer = "answered" if arrived else "not known" if lost else "no answer"
    return [
        _Node("container", None, (sender, *(many or (walk.from_,))), "", "out", reached=True),
        *_numbered(out),
        _Node("target", None, (address or walk.to, port), end, "", reached=there),
        *_numbered(reply),
        *([_Node("container", None, (sender,), answer, "", arrived)] if there else []),
    ]


def _numbered(numbered: Sequence[tuple[int, Stage]]) -> list[_Node]:
    return [
        _Node(
            stage.mark,
            number,
            (stage.place,),
            stage.word,
            "reply" if position == 0 and stage.direction == "reply" else "",
            reached=True,
        )
        for position, (number, stage) in enumerate(numbered)
    ]


def _station(node: _Node, index: int, columns: int, column: float, character: float) -> Station:
    row, place = divmod(index, columns)
    if row % 2:
        place = columns - 1 - place
    room = int(column / character)
    return Station(
        x=round(_MARGIN + column * (place + 0.5), 1),
        y=ROW_HEIGHT * row + LINE_Y,
        mark=node.mark,
        number=node.number,
        labels=_labels(node.labels, room),
        word=cut(node.word, room),
        direction=node.direction,
        reached=node.reached,
    )


def _labels(texts: Sequence[str], room: int) -> tuple[str, ...]:
    """Two lines at most: one text on both, or two texts on one each."""
    if len(texts) > 1:
        return tuple(cut(text, room) for text in texts[:2] if text)
    rows = Layout(room, colour=False).wrap(texts[0]).split("\n")
    return tuple(rows) if len(rows) < 3 else (rows[0], cut(rows[1] + "....", room))


def _segment(start: Station, end: Station, turn: float) -> Segment:
    if start.y == end.y:
        way = 1 if end.x > start.x else -1
        path = f"M{start.x + way * RADIUS:g} {start.y}H{end.x - way * RADIUS:g}"
        middle = (start.x + end.x) / 2
        arrow = f"M{middle - way * 3:g} {start.y - 4}l{way * 5} 4l{-way * 5} 4"
    else:
        # The margin beside the last station of a row is free: the line turns there.
        way = 1 if (start.y // ROW_HEIGHT) % 2 == 0 else -1
        side = start.x + way * turn
        path = (
            f"M{start.x + way * RADIUS:g} {start.y}H{side - way * _TURN:g}"
            f"Q{side:g} {start.y} {side:g} {start.y + _TURN}V{end.y - _TURN}"
            f"Q{side:g} {end.y} {side - way * _TURN:g} {end.y}H{end.x + way * RADIUS:g}"
        )
        arrow = f"M{side - 4:g} {(start.y + end.y) / 2 - 3:g}l4 5l4 -5"
    return Segment(path, arrow, end.reached)
