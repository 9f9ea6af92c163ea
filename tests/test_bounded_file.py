import gzip
import tracemalloc
from pathlib import Path

import pytest

from dockerdiag.bounded_file import decompressed, read_bounded

MAXIMUM = 3 * 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, MAXIMUM - 1, MAXIMUM])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * size)
    assert len(read_bounded(path, MAXIMUM)) == size
    assert len(decompressed(gzip.compress(b"a" * size), MAXIMUM)) == size


def test_one_that_is_larger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * (MAXIMUM + 1))
    with pytest.raises(OSError, match="it is larger than 3 MiB"):
        read_bounded(path, MAXIMUM)
    with pytest.raises(ValueError, match="it is larger than 3 MiB"):
        decompressed(gzip.compress(path.read_bytes()), MAXIMUM)


def test_a_small_file_takes_little_memory_whatever_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"a"))
    tracemalloc.start()
    try:
        assert decompressed(read_bounded(path, 256 * MAXIMUM), 256 * MAXIMUM) == b"a"
        assert tracemalloc.get_traced_memory()[1] < 2 * MAXIMUM
    finally:
        tracemalloc.stop()
