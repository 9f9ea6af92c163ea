"""A report as JSON, and back; and the JSON Schema that says which JSON is a report.

`python -m dockerdiag.report_json` prints the schema that docs/report.schema.json holds.

Within one `schema_version` keys are only added, never removed, renamed or given another meaning; enums stay
closed. Whatever breaks that raises the version. A reader of version 1 ignores keys that it does not know.
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from dockerdiag.report import SCHEMA_VERSION, Report
from dockerdiag.validation import InvalidError, refuse_too_many_values, validator

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_KEYS = (
    "schema_version",
    "tool",
    "host",
    "taken_at",
    "verdict",
    "cause",
    "results",
    "walks",
    "probes",
    "unread",
    "changes",
    "redaction",
)


class ReportError(ValueError):
    """Some text is not a report of a version that this program knows."""


@cache
def _adapter() -> "TypeAdapter[Report]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - a run that prints text needs none

    return TypeAdapter(Report)


@cache
def _validated() -> Callable[[Any], Report]:
    return validator(_adapter())


def to_dict(report: Report) -> dict[str, Any]:
    """The report as JSON types, with every key of the contract in the contract's order.

    What JSON has no form for is replaced: a lone surrogate by U+FFFD, a number that is not finite by None.
    """
    values = _json_types(_adapter().dump_python(report, by_alias=True))
    if values["cause"] is not None:
        values["cause"] = {"check": values["cause"]["check"], **values["cause"]}
    return {key: values[key] for key in _KEYS}


def from_dict(values: Any) -> Report:
    """The report that `to_dict` made `values` from.

    Raises:
        ReportError: `values` is no report, or one of another schema version.
    """
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version is None:
        raise ReportError("this is not a report: it has no schema_version")
    if version != SCHEMA_VERSION:
        raise ReportError(
            f"the report has schema version {version}; this program reads version {SCHEMA_VERSION}"
        )
    try:
        return _validated()(values)
    except InvalidError as error:
        raise ReportError(f"this is not a report: {error}") from None


def dumps(report: Report, *, indent: int | None = 2) -> str:
    """The report as JSON text, without a final newline.

    The text is printable ASCII: a terminal that shows it obeys no control character of the host's names.
    """
    text = json.dumps(to_dict(report), indent=indent, ensure_ascii=True, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def loads(text: str | bytes) -> Report:
    """The report that some JSON text holds.

    Raises:
        ReportError: the text is no JSON, or not that of a report.
    """
    try:
        refuse_too_many_values(text.encode(errors="replace") if isinstance(text, str) else text)
        values = json.loads(text)
    except InvalidError as error:
        raise ReportError(f"this is not a report: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ReportError(f"this is not JSON: {error}") from error
    return from_dict(values)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a report: every key required, no other key, closed enums."""
    raw = _adapter().json_schema(by_alias=True, mode="serialization")
    definitions = raw.pop("$defs")
    raw["properties"] = {key: raw["properties"][key] for key in _KEYS}
    raw["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    raw["properties"]["taken_at"]["format"] = "date-time"
    closed = _closed(raw)
    closed["$defs"] = {name: _closed(definition) for name, definition in sorted(definitions.items())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dockerdiag report",
        **closed,
    }


def _closed(node: Any) -> Any:
    """A schema node without generated titles and defaults, in which objects have their keys and no other."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {
        key: {name: _closed(value) for name, value in content.items()}
        if key == "properties"
        else _closed(content)
        for key, content in node.items()
        if key not in {"title", "default"}
    }
    if "properties" in closed:
        closed["required"] = list(closed["properties"])
        closed["additionalProperties"] = False
    return closed


def _json_types(value: Any) -> Any:
    # pydantic's own JSON mode raises at a lone surrogate, which a file name or an environment may well hold.
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {_json_types(key): _json_types(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_json_types(item) for item in value]
    return value


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
