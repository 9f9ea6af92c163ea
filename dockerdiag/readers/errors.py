"""Why something could not be read, in words for an admin."""

import errno
import os

from dockerdiag.snapshot.secrets import mask_text

_REFUSED = (errno.EPERM, errno.EACCES)
"""What pyroute2's errors carry as `code`; they are no OSError."""


class ReadError(Exception):
    """A source that could not be read; the message is the reason, without the source's name."""


def denied(capability: str = "CAP_NET_ADMIN") -> str:
    """The reason for a refusal: what the reader lacks."""
    if os.geteuid() == 0:
        return f"permission denied: {capability} is missing"
    return "permission denied: run as root"


def reason(error: BaseException, capability: str = "CAP_NET_ADMIN") -> str:
    """One plain sentence for any exception."""
    if isinstance(error, ReadError):
        return str(error)
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    if isinstance(error, PermissionError) or getattr(error, "code", None) in _REFUSED:
        return denied(capability)
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "too many symbolic links"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = mask_text(" ".join(str(error).split())).text[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
