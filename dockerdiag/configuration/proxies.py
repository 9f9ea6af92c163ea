"""The proxy that dockerd itself uses: flags and daemon.json win over the environment, each setting by itself.

Go reads the upper-case variable first, the lower-case one where that is unset or empty.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dockerdiag.configuration.settings import State, Unknown

VARIABLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "http-proxy": ("HTTP_PROXY", "http_proxy"),
        "https-proxy": ("HTTPS_PROXY", "https_proxy"),
        "no-proxy": ("NO_PROXY", "no_proxy"),
    }
)
"""The variables behind each setting, the one that wins first."""


def from_environment(setting: str, look_up: Callable[[str], State | None]) -> State | None:
    """The variable that decides a proxy setting; None where none is set, unknown where one that could is.

    Args:
        setting: `http-proxy`, `https-proxy`, `no-proxy`, or the name of a variable.
        look_up: a variable by name.
    """
    for name in VARIABLES.get(setting, (setting,)):
        found = look_up(name)
        if isinstance(found, Unknown) or (found is not None and found.value):
            return found
    return None
