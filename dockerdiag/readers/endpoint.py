"""Which engine is asked: as the docker command would choose for the user who runs this, or who ran sudo."""

import hashlib
import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerdiag.bounded_file import read_bounded
from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.readers.files import MAXIMUM_SIZE
from dockerdiag.readers.host import invoking_user

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


def choose_endpoint(environment: Mapping[str, str] = os.environ) -> EngineEndpoint:
    """The first of DOCKER_HOST, DOCKER_CONTEXT, the configuration's current context, the default socket.

    Raises:
        ReadError: where a context is chosen that does not exist or cannot be read.
    """
    directory = configuration_directory(environment)
    if url := environment.get("DOCKER_HOST", ""):
        tls = bool(environment.get("DOCKER_TLS") or environment.get("DOCKER_TLS_VERIFY"))
        certificates = Path(environment.get("DOCKER_CERT_PATH") or directory) if tls else None
        return EngineEndpoint(url, None, certificates, verify=bool(environment.get("DOCKER_TLS_VERIFY")))
    remark = None
    name = environment.get("DOCKER_CONTEXT", "")
    if not name:
        try:
            name = _current_context(directory)
        except ReadError as error:
            # The docker command, too, warns and goes on with what it has without this file.
            remark = f"{error}, so a context that it may name is not known"
    if name in ("", "default"):
        return EngineEndpoint(DEFAULT, remark=remark)
    return _context(directory / "contexts", name)


def configuration_directory(environment: Mapping[str, str]) -> Path:
    """DOCKER_CONFIG, or .docker in the home directory: under sudo in the invoking user's."""
    if told := environment.get("DOCKER_CONFIG", ""):
        return Path(told)
    user = invoking_user()
    if user is not None:
        try:
            return Path(pwd.getpwnam(user).pw_dir, ".docker")
        except KeyError:
            pass  # a user of another host's directory service
    return Path(environment.get("HOME") or "/root", ".docker")


def _current_context(directory: Path) -> str:
    configuration = _json(directory / "config.json")
    name = configuration.get("currentContext") if isinstance(configuration, dict) else None
    return name if isinstance(name, str) else ""


def _context(directory: Path, name: str) -> EngineEndpoint:
    digest = hashlib.sha256(name.encode()).hexdigest()
    metadata = _json(directory / "meta" / digest / "meta.json")
    endpoints = metadata.get("Endpoints") if isinstance(metadata, dict) else None
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(endpoint, dict) or not isinstance(endpoint.get("Host"), str):
        raise ReadError(f"the docker context {name!r} does not exist")
    certificates = directory / "tls" / digest / "docker"
    return EngineEndpoint(
        endpoint["Host"],
        name,
        certificates if certificates.is_dir() else None,
        verify=not endpoint.get("SkipTLSVerify"),
    )


def _json(path: Path) -> Any:
    """The file's content, None where it does not exist."""
    try:
        return json.loads(read_bounded(path, MAXIMUM_SIZE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RecursionError:
        raise ReadError(f"{path}: it is nested too deeply") from None
    except OSError as error:
        raise ReadError(f"{path}: {reason(error, 'CAP_DAC_READ_SEARCH')}") from None
    except ValueError:
        raise ReadError(f"{path}: it is not JSON") from None
