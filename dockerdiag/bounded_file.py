"""Reads a file that somebody named: bounded, and never waiting for a FIFO or a device."""

import errno
import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import IO

_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1024 * 1024


def read_bounded(path: Path, maximum: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `maximum` bytes.
    """
    # Not blocking: the name may be a FIFO that nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = _beginning(file, maximum + 1)
    if len(content) > maximum:
        raise OSError(errno.EFBIG, f"it is larger than {maximum // 1024**2} MiB")
    return content


def decompressed(content: bytes, maximum: int) -> bytes:
    """The content of a file that may be gzipped.

    Raises:
        ValueError: its compression is damaged, or it has more than `maximum` bytes.
    """
    if content.startswith(_GZIP_MAGIC):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                content = _beginning(file, maximum + 1)
        except (OSError, EOFError, ValueError, zlib.error):
            raise ValueError("its compression is damaged") from None
    if len(content) > maximum:
        raise ValueError(f"it is larger than {maximum // 1024**2} MiB")
    return content


def _beginning(file: IO[bytes] | gzip.GzipFile, size: int) -> bytes:
    """At most `size` bytes; read at once, they would take memory for all of them whatever the file has."""
    pieces: list[bytes] = []
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
