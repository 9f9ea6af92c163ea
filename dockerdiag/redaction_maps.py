"""Where the maps of redacted reports are kept: on the host that made them, readable by their owner alone."""

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path

from dockerdiag.snapshot.redact import RedactionMap

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")


def state_folder() -> Path:
    """Where this program keeps what outlives a run: $XDG_STATE_HOME, else /var/lib for root.

    Raises:
        OSError: for a user that has no home directory.
    """
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "dockerdiag"
    if os.geteuid() == 0:
        return Path("/var/lib/dockerdiag")
    try:
        return Path.home() / ".local/state/dockerdiag"
    except RuntimeError:
        raise FileNotFoundError(
            errno.ENOENT, "this user has no home directory, and XDG_STATE_HOME is not set"
        ) from None


class RedactionMaps:
    """The maps in one folder, each a file, and the key that they are made with.

    Every method, and the choice of the folder where none is given, raises OSError where that cannot be read or written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else state_folder() / "redaction"

    def key(self) -> bytes:
        """This host's key, made when it is asked for first: reports of one host stay comparable."""
        path = self.folder / "key"
        if not path.exists():
            self._write(path, secrets.token_bytes(32))
        return path.read_bytes()

    def save(self, redaction_map: RedactionMap) -> None:
        """Keeps a map under its id; the same map is kept once."""
        path = self._path(redaction_map.id)
        if not path.exists():
            self._write(path, redaction_map.dumps().encode())

    def load(self, id_: str) -> RedactionMap:
        """The map of that id.

        Raises:
            ValueError: the file is damaged.
        """
        return RedactionMap.loads(self._path(id_).read_text(encoding="utf-8"))

    def named_in(self, text: str) -> tuple[str, ...]:
        """Ids of the maps here that a text names."""
        return tuple(id_ for id_ in dict.fromkeys(_ID.findall(text)) if self._path(id_).is_file())

    def _path(self, id_: str) -> Path:
        return self.folder / f"{id_}.json"

    def _write(self, path: Path, content: bytes) -> None:
        # Each by itself: `parents` would leave those above the folder open to everybody.
        for folder in (*reversed(self.folder.parents), self.folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            # Two runs at once may both make the key: the first stays.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
