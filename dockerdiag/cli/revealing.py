"""The command that puts names back into a redacted file."""

import gzip
from pathlib import Path
from typing import Annotated

import typer

from dockerdiag.bounded_file import decompressed, read_bounded
from dockerdiag.cli.application import app
from dockerdiag.cli.delivery import print_result, write
from dockerdiag.cli.errors import fail_usage

MAXIMUM_FILE = 256 * 1024 * 1024
"""Bytes that are read at most."""


@app.command("reveal", help="Put real names back into a redacted file, on the host that made it.")
def reveal(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A report in any format or a snapshot, redacted here.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to, instead of stdout.")
    ] = None,
    map_id: Annotated[
        str | None,
        typer.Option("--map", metavar="ID", help="Which map, where the file does not name it."),
    ] = None,
) -> int:
    """Writes a file again with what its map restores."""
    from dockerdiag.redaction_maps import RedactionMaps  # noqa: PLC0415

    text = _text(file)
    try:
        maps = RedactionMaps()
        named = maps.named_in(map_id or text)
        if len(named) != 1:
            told = "no map that is on this host" if not named else f"several maps ({', '.join(named)})"
            fail_usage(f"{map_id or file} names {told}; a map is in {maps.folder}, --map ID names one")
        revealed = maps.load(named[0]).revealed(text)
    except (OSError, ValueError) as error:
        fail_usage(f"the map of {file} cannot be read: {getattr(error, 'strerror', None) or error}")
    return print_result(revealed) if output is None else write(output, _packed(revealed, output))


def _text(file: Path) -> str:
    try:
        return decompressed(read_bounded(file, MAXIMUM_FILE), MAXIMUM_FILE).decode()
    except (OSError, ValueError) as error:
        fail_usage(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}")


def _packed(text: str, output: Path) -> bytes:
    content = text.encode()
    return gzip.compress(content, mtime=0) if output.name.endswith(".gz") else content
