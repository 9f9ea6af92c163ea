"""Snapshots as JSON: saved, loaded, and their JSON Schema.

A snapshot may come from a stranger: it is data, bounded in size, and nothing in it is executed.
"""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerdiag.bounded_file import decompressed, read_bounded
from dockerdiag.snapshot.model import SCHEMA_VERSION, Snapshot, Unread
from dockerdiag.validation import InvalidError, refuse_too_many_values, validator

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAXIMUM_SIZE = 256 * 1024 * 1024
"""Bytes of JSON that are read at most; a host with 50,000 rules makes about 30 MB."""


class SnapshotError(Exception):
    """A file that is no snapshot that this version reads; the message says why."""


@cache
def _adapter() -> "TypeAdapter[Snapshot]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - building validators is what costs, so only where needed

    return TypeAdapter(Snapshot)


@cache
def _validated() -> Callable[[Any], Snapshot]:
    return validator(_adapter())


def dump(snapshot: Snapshot, *, compress: bool = False) -> bytes:
    """The snapshot as JSON, one line; gzipped with `compress`."""
    from pydantic_core import PydanticSerializationError  # noqa: PLC0415 - see _adapter

    try:
        content = _adapter().dump_json(snapshot) + b"\n"
    except PydanticSerializationError:
        # A file's name may be no UTF-8; Python's text of it then has no form in JSON.
        plain = without_surrogates(_adapter().dump_python(snapshot))
        content = json.dumps(plain, ensure_ascii=False).encode() + b"\n"
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
        content = read_bounded(path, MAXIMUM_SIZE)
    except OSError as error:
        raise SnapshotError(error.strerror or str(error)) from None
    return loads(content)


def loads(content: bytes) -> Snapshot:
    """Reads a snapshot from bytes, gzipped or not.

    Raises:
        SnapshotError: where they are too many, or not a snapshot of this schema version.
    """
    try:
        content = decompressed(content, MAXIMUM_SIZE)
        refuse_too_many_values(content)
    except ValueError as error:
        raise SnapshotError(str(error)) from None
    try:
        # Decoded here, for json itself lets lone surrogates pass; and no number that JSON has no word for.
        document = json.loads(content.decode(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise SnapshotError("it is not JSON") from None
    if b"\\ud" in content or b"\\uD" in content:
        document = without_surrogates(document)
    _refuse_other_versions(document)
    try:
        snapshot = _validated()(document)
    except InvalidError as error:
        raise SnapshotError(f"it is not a snapshot: {error}") from None
    _refuse_impossible_networks(snapshot)
    return snapshot


def _finite(written: str) -> float:
    number = float(written)
    if not isfinite(number):
        raise ValueError(f"{written} is no number")
    return number


def without_surrogates(value: Any) -> Any:
    """JSON types with U+FFFD in place of lone surrogates."""
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(item) for item in value]
    return value


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


def _refuse_impossible_networks(snapshot: Snapshot) -> None:
    """The kernel's and the engine's own fields hold networks and addresses; what is none cannot be walked."""
    try:
        for prefix in _prefixes(snapshot):
            ip_network(prefix, strict=False)
        for address in _addresses(snapshot):
            if address:
                ip_address(address)
    except ValueError as error:
        raise SnapshotError(f"it is not a snapshot: {error}") from None


def _prefixes(snapshot: Snapshot) -> Iterator[str]:
    for namespace in (snapshot.network, *snapshot.namespaces.values()):
        if not isinstance(namespace, Unread) and not isinstance(namespace.routes, Unread):
            for route in namespace.routes:
                yield route.destination
                if route.source:
                    yield route.source
        if not isinstance(namespace, Unread) and not isinstance(namespace.ipsec_policies, Unread):
            for policy in namespace.ipsec_policies:
                yield from (policy.source, policy.destination)
    if not isinstance(snapshot.engine, Unread) and not isinstance(snapshot.engine.networks, Unread):
        for network in snapshot.engine.networks:
            for pool in network.pools:
                yield from (prefix for prefix in (pool.subnet, pool.ip_range) if prefix)


def _addresses(snapshot: Snapshot) -> Iterator[str | None]:
    for namespace in (snapshot.network, *snapshot.namespaces.values()):
        if isinstance(namespace, Unread):
            continue
        if not isinstance(namespace.addresses, Unread):
            for own in namespace.addresses:
                yield own.address
                yield own.peer
        if not isinstance(namespace.routes, Unread):
            for route in namespace.routes:
                yield route.preferred_source
                yield from (hop.gateway for hop in route.next_hops)
        if not isinstance(namespace.listeners, Unread):
            yield from (listener.address for listener in namespace.listeners)
    if isinstance(snapshot.engine, Unread):
        return
    if not isinstance(snapshot.engine.networks, Unread):
        for network in snapshot.engine.networks:
            yield from ((pool.gateway or "").partition("/")[0] for pool in network.pools)
    if not isinstance(snapshot.engine.containers, Unread):
        for container in snapshot.engine.containers:
            for end in container.endpoints:
                yield from (end.address, end.address6, end.gateway, end.gateway6)
            yield from (port.host_address for port in container.ports)
