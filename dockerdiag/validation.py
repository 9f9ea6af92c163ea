"""JSON types of a stranger's file against a dataclass: ends at the first faults.

Pydantic gathers every fault of an input, and one takes hundreds of bytes: a file of ten megabytes can hold millions.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAXIMUM_FAULTS = 1000
"""Values of mappings that may be wrong; alternatives of a type are tried in turn, so some are in a right file."""
MAXIMUM_VALUES = 20_000_000
"""Values in one file: an empty one has three bytes there, and takes twenty times as many in memory."""


class InvalidError(ValueError):
    """It is not what it should be; the message says where first."""


class _TooManyFaultsError(Exception):
    """Ends a validation, as no ValueError would."""


def validator(adapter: "TypeAdapter[Any]") -> Callable[[Any], Any]:
    """A function that makes an adapter's type of JSON types; it raises `InvalidError` where they are something else."""
    from pydantic_core import SchemaValidator, ValidationError  # noqa: PLC0415 - building validators is what costs

    faults = 0

    def counted(value: Any, validate: Callable[[Any], Any]) -> Any:
        nonlocal faults
        try:
            return validate(value)
        except ValidationError:
            faults += 1
            if faults > MAXIMUM_FAULTS:
                raise _TooManyFaultsError from None
            raise

    schema = SchemaValidator(_ending_early(adapter.core_schema, counted))

    def validated(values: Any) -> Any:
        nonlocal faults
        faults = 0
        try:
            return schema.validate_python(values)
        except _TooManyFaultsError:
            raise InvalidError(f"more than {MAXIMUM_FAULTS:,} values are not what they should be") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidError(f"{place}: {first['msg']}") from None

    return validated


def refuse_too_many_values(content: bytes) -> None:
    """Before JSON is read, for its values take many times its size.

    Raises:
        InvalidError: there are more than `MAXIMUM_VALUES`.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > MAXIMUM_VALUES:
        raise InvalidError(f"it has more than {MAXIMUM_VALUES:,} values")


def _ending_early(node: Any, counted: Callable[..., Any]) -> Any:
    """A core schema whose sequences end at their first fault, and whose mappings count theirs."""
    if isinstance(node, list):
        return [_ending_early(item, counted) for item in node]
    if isinstance(node, tuple):
        return tuple(_ending_early(item, counted) for item in node)
    if not isinstance(node, dict):
        return node
    inner = {key: _ending_early(item, counted) for key, item in node.items()}
    match inner.get("type"):
        case "list" | "tuple" | "set" | "frozenset":
            inner["fail_fast"] = True
        case "dict" if "values_schema" in inner:
            function = {"type": "no-info", "function": counted}
            inner["values_schema"] = {
                "type": "function-wrap",
                "function": function,
                "schema": inner["values_schema"],
            }
    return inner
