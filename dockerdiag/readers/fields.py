"""Fields of an engine's answer, whose shape changes between versions: of the expected type, or empty."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any


def text(told: Mapping[str, Any], key: str) -> str:
    """A text; empty where there is none."""
    value = told.get(key)
    return value if isinstance(value, str) else ""


def address(told: Mapping[str, Any], key: str) -> str:
    """An IP address, without the length of its subnet; empty where there is none."""
    value = text(told, key).partition("/")[0]
    try:
        ip_address(value)
    except ValueError:
        return ""
    return value


def subnet(told: Mapping[str, Any], key: str) -> str:
    """A network's address and length; empty where there is none."""
    value = text(told, key)
    try:
        ip_network(value, strict=False)
    except ValueError:
        return ""
    return value


def number(told: Mapping[str, Any], key: str) -> int:
    """A number; 0 where there is none."""
    value = told.get(key)
    return value if isinstance(value, int) else 0


def boolean(told: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    """A truth value; `default` where there is none."""
    value = told.get(key)
    return value if isinstance(value, bool) else default


def mapping(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object; empty where there is none (Go writes null for an empty one)."""
    value = told.get(key)
    return value if isinstance(value, dict) else {}


def items(told: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    """A list's objects; none where there is no list."""
    value = told.get(key)
    return tuple(one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def texts(told: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list's texts; none where there is no list."""
    value = told.get(key)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
