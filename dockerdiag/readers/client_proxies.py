"""The proxies that docker's client gives to new containers and builds: `proxies` of its users' config.json."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from dockerdiag.readers.endpoint import configuration_directory
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.snapshot import ClientProxies
from dockerdiag.snapshot.secrets import mask_variable

_VARIABLES = {
    "httpProxy": "http_proxy",
    "httpsProxy": "https_proxy",
    "ftpProxy": "ftp_proxy",
    "noProxy": "no_proxy",
    "allProxy": "all_proxy",
}
_ROOT = "/root/.docker"


def read_client_proxies(tree: Tree, environment: Mapping[str, str] = os.environ) -> tuple[ClientProxies, ...]:
    """Those of whoever runs this or ran sudo, and of root where this may read them; nothing else of the files is kept.

    Raises:
        ReadError: where a file cannot be read.
    """
    directories = [str(configuration_directory(environment)), *([_ROOT] if os.geteuid() == 0 else [])]
    return tuple(found for directory in dict.fromkeys(directories) for found in _of(tree, directory))


def _of(tree: Tree, directory: str) -> Iterator[ClientProxies]:
    path = f"{directory}/config.json"
    try:
        file = tree.read(path)
        content: Any = json.loads(file.text) if file is not None else None
    except ReadError as error:
        raise ReadError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        return  # the docker command, too, goes on without a file that is not JSON
    proxies = content.get("proxies") if isinstance(content, dict) else None
    for endpoint, values in proxies.items() if isinstance(proxies, dict) else ():
        if isinstance(values, dict):
            named = {
                name: mask_variable(name, values[key]).text
                for key, name in _VARIABLES.items()
                if isinstance(values.get(key), str) and values[key]
            }
            yield ClientProxies(path, endpoint, named)
