"""Files from strangers that are made to cost: each ends with a sentence, and in time."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.asked import AskedError
from dockerdiag.cli import delivery
from dockerdiag.cli.sources import load_file
from dockerdiag.formatting import RenderOptions
from dockerdiag.registry import formats
from dockerdiag.snapshot.store import dump
from dockerdiag.time_limit import TimeLimit
from tests.packet.hosts import snapshot
from tests.reports.samples import OK
from tests.unbreakable.running import check

SIZE = 16 * 1024 * 1024


def _with(part: str, content: bytes) -> bytes:
    values = json.loads(dump(snapshot()))
    target = values["network"] if part == "routes" else values
    target[part] = "@"
    return json.dumps(values).encode().replace(b'"@"', content)


def _list(piece: bytes, size: int = SIZE) -> bytes:
    return b"[" + b",".join([piece] * (size // (len(piece) + 1))) + b"]"


def _mapping(piece: bytes) -> bytes:
    return b"{" + b",".join(b'"n%d":%b' % (number, piece) for number in range(SIZE // 16)) + b"}"


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "nested": (lambda: b"[" * SIZE, "it is not JSON"),
    "no end": (lambda: b'{"schema_version":' * (SIZE // 18), "it is not JSON"),
    "digits": (lambda: b'{"schema_version":' + b"1" * SIZE + b"}", "it is not JSON"),
    "empty lists": (lambda: _with("routes", _list(b"[]", 4 * SIZE)), "it has more than 20,000,000 values"),
    "routes that are none": (lambda: _with("routes", _list(b"0")), "it is not a snapshot: network.routes"),
    "empty routes": (lambda: _with("routes", _list(b"{}")), "it is not a snapshot: network.routes"),
    "empty namespaces": (lambda: _with("namespaces", _mapping(b"{}")), "more than 1,000 values are not"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_made_to_cost_is_refused(name: str, tmp_path: Path) -> None:
    make, reason = FILES[name]
    file = tmp_path / "host.json.gz"
    file.write_bytes(gzip.compress(make(), compresslevel=1))
    ended = check("--from", file, timeout=20, namespaces=()).in_good_order(64)
    assert reason in " ".join(ended.errors.replace("│", " ").split()), ended.errors


def test_the_deadline_ends_the_reading_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "host.json"
    file.write_bytes(dump(snapshot()))
    assert load_file(file, {}, TimeLimit(600)) == snapshot()
    with pytest.raises(AskedError, match="cannot be read: the deadline of 0 s passed first"):
        load_file(file, {}, TimeLimit(0))


def test_a_format_that_takes_for_ever_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(*_: object) -> str:
        while True:
            pass

    text = formats(plugins=False)[0]["text"]
    assert delivery.rendered(text, OK, RenderOptions()) is not None
    # Not before: the first one also imports and compiles.
    monkeypatch.setattr(delivery, "RENDERING_SECONDS", 0.2)
    assert delivery.rendered(replace(text, render=endless), OK, RenderOptions()) is None
    assert "the report in format text was not ready within 0.2 s" in capsys.readouterr().err
