"""Snapshots as JSON: saved, loaded, and their JSON Schema.

A snapshot may come from a stranger: it is data, bounded in size, and nothing in it is executed.
"""

import gzip
import io
import json
import os
import stat
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerdiag.snapshot.model import SCHEMA_VERSION, Snapshot

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAXIMUM_SIZE = 256 * 1024 * 1024
"""Bytes of JSON that are read at most; a host with 50,000 rules makes about 30 MB."""

_GZIP_MAGIC = b"\x1f\x8b"


class SnapshotError(Exception):
    """A file that is no snapshot that this version reads; the message says why."""


@cache
def _adapter() -> "TypeAdapter[Snapshot]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - building validators is what costs, so only where needed

    return TypeAdapter(Snapshot)


def dump(snapshot: Snapshot, *, compress: bool = False) -> bytes:
    """The snapshot as JSON, one line; gzipped with `compress`."""
    content = _adapter().dump_json(snapshot) + b"\n"
    # No time stamp: the same snapshot gives the same bytes.
    return gzip.compress(content, mtime=0) if compress else content


def save(snapshot: Snapshot, path: Path) -> None:
    """Writes the snapshot, gzipped where the name ends in `.gz`, readable by its owner alone.

    Raises:
        OSError: where it cannot be written.
    """
    content = dump(snapshot, compress=path.name.endswith(".gz"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def load(path: Path) -> Snapshot:
    """Reads a snapshot that `dump` made, gzipped or not.

    Raises:
        SnapshotError: where it cannot be read, is too large, or is no snapshot of this schema version.
    """
    try:
        # Not blocking: the name may be a FIFO that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SnapshotError("it is not a regular file")
            content = file.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        raise SnapshotError(error.strerror or str(error)) from None
    return loads(content)


def loads(content: bytes) -> Snapshot:
    """Reads a snapshot from bytes, gzipped or not.

    Raises:
        SnapshotError: where they are too many, or not a snapshot of this schema version.
    """
    if content.startswith(_GZIP_MAGIC):
        content = _decompress(content)
    if len(content) > MAXIMUM_SIZE:
        raise SnapshotError(f"it is larger than {MAXIMUM_SIZE // 1024**2} MiB")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise SnapshotError("it is not JSON") from None
    _refuse_other_versions(document)
    from pydantic import ValidationError  # noqa: PLC0415 - see _adapter

    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SnapshotError(f"it is not a snapshot: {place}: {first['msg']}") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what `dump` writes."""
    schema = _adapter().json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "dockerdiag snapshot",
    }


def _refuse_other_versions(document: object) -> None:
    if not isinstance(document, dict) or "taken_at" not in document or "network" not in document:
        raise SnapshotError("it is not a snapshot")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise SnapshotError(
            f"it has snapshot schema version {version!r:.40}, this dockerdiag reads {SCHEMA_VERSION}"
        )


def _decompress(content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read(MAXIMUM_SIZE + 1)
    except (OSError, EOFError, ValueError, zlib.error):
        raise SnapshotError("its compression is damaged") from None
