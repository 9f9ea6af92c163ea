"""Which engine is asked: as the docker command would choose for the user who runs this, or who ran sudo.

Below another root it is the choice of that host's root, whose configuration is read there.
"""

import hashlib
import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockerdiag.bounded_file import read_bounded
from dockerdiag.dataclass import dataclass
from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.readers.files import MAXIMUM_SIZE, Tree
from dockerdiag.readers.host import invoking_user

_OWN = Tree("/")
DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class EngineEndpoint:
    """Where an engine listens."""

    url: str
    context: str | None = None
    """The context that named it; None for DOCKER_HOST or the default."""
    certificates: Path | None = None
    """Directory of ca.pem, cert.pem and key.pem; None for no TLS."""
    verify: bool = True
    remark: str | None = None
    """Why this may not be the engine that somebody means, None where the choice is sure."""


def choose_endpoint(environment: Mapping[str, str] = os.environ, tree: Tree = _OWN) -> EngineEndpoint:
    """The first of DOCKER_HOST, DOCKER_CONTEXT, the configuration's current context, the default socket.

    Raises:
        ReadError: where a context is chosen that does not exist or cannot be read.
    """
    if environment.get("DOCKER_CONFIG"):
        tree = _OWN  # what this process was told is a place that this process sees
    directory = configuration_directory(environment, tree)
    if url := environment.get("DOCKER_HOST", ""):
        tls = bool(environment.get("DOCKER_TLS") or environment.get("DOCKER_TLS_VERIFY"))
        certificates = Path(environment.get("DOCKER_CERT_PATH") or directory) if tls else None
        return EngineEndpoint(url, None, certificates, verify=bool(environment.get("DOCKER_TLS_VERIFY")))
    remark = None
    name = environment.get("DOCKER_CONTEXT", "")
    if not name:
        try:
            name = _current_context(tree, directory)
        except ReadError as error:
            # The docker command, too, warns and goes on with what it has without this file.
            remark = f"{error}, so a context that it may name is not known"
    if name in ("", "default"):
        return EngineEndpoint(DEFAULT, remark=remark)
    return _context(tree, directory / "contexts", name)


def configuration_directory(environment: Mapping[str, str], tree: Tree = _OWN) -> Path:
    """DOCKER_CONFIG, or .docker in the home directory: under sudo the invoking user's, in a tree that of its root."""
    if told := environment.get("DOCKER_CONFIG", ""):
        return Path(told)
    if tree.root != "/":
        return Path(_home_of_root(tree), ".docker")
    user = invoking_user()
    if user is not None:
        try:
            return Path(pwd.getpwnam(user).pw_dir, ".docker")
        except KeyError:
            pass  # a user of another host's directory service
    return Path(environment.get("HOME") or "/root", ".docker")


def _home_of_root(tree: Tree) -> str:
    try:
        accounts = tree.read("/etc/passwd")
    except ReadError:
        accounts = None
    for line in accounts.text.splitlines() if accounts else ():
        fields = line.split(":")
        if len(fields) > 5 and fields[2] == "0" and fields[5].startswith("/"):
            return fields[5]
    return "/root"


def _current_context(tree: Tree, directory: Path) -> str:
    configuration = _json(tree, directory / "config.json")
    name = configuration.get("currentContext") if isinstance(configuration, dict) else None
    return name if isinstance(name, str) else ""


def _context(tree: Tree, directory: Path, name: str) -> EngineEndpoint:
    digest = hashlib.sha256(name.encode()).hexdigest()
    metadata = _json(tree, directory / "meta" / digest / "meta.json")
    endpoints = metadata.get("Endpoints") if isinstance(metadata, dict) else None
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(endpoint, dict) or not isinstance(endpoint.get("Host"), str):
        raise ReadError(f"the docker context {name!r} does not exist")
    certificates = _place(tree, directory / "tls" / digest / "docker")
    return EngineEndpoint(
        endpoint["Host"],
        name,
        certificates if certificates is not None and certificates.is_dir() else None,
        verify=not endpoint.get("SkipTLSVerify"),
    )


def _place(tree: Tree, path: Path) -> Path | None:
    """Where a host's path is to be found from here, with no link that leads out of its tree; None where it is not."""
    if tree.root == "/":
        return path
    resolved = tree.resolve(str(path))
    return None if resolved is None else Path(tree.root, resolved.lstrip("/"))


def _json(tree: Tree, path: Path) -> Any:
    """The file's content, None where it does not exist."""
    place = _place(tree, path)
    if place is None:
        return None
    try:
        return json.loads(read_bounded(place, MAXIMUM_SIZE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RecursionError:
        raise ReadError(f"{path}: it is nested too deeply") from None
    except OSError as error:
        raise ReadError(f"{path}: {reason(error, 'CAP_DAC_READ_SEARCH')}") from None
    except ValueError:
        raise ReadError(f"{path}: it is not JSON") from None
