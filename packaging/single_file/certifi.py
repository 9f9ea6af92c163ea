"""This host's own certificate authorities, in place of the package of this name.

requests asks where they are as soon as it is imported, and the package would unpack its own into /tmp.
"""

from pathlib import Path
from ssl import get_default_verify_paths

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)


def where() -> str:
    """The path of the bundle."""
    found = next((path for path in _BUNDLES if Path(path).is_file()), None)
    return found or get_default_verify_paths().openssl_cafile


def contents() -> str:
    """The bundle."""
    return Path(where()).read_text(encoding="ascii")
