import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from dockerdiag.report import Report
from dockerdiag.report_json import ReportError, dumps, from_dict, loads, schema, to_dict
from tests.reports.hostile import texts
from tests.reports.samples import BROKEN, OK, SAMPLES, hostile

PUBLISHED = Path(__file__).parents[1] / "docs" / "report.schema.json"

KEYS = [
    "schema_version", "tool", "host", "taken_at", "verdict", "cause", "results", "walks", "probes", "unread",
    "changes", "redaction",
]  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def test_the_published_schema_is_the_one_in_force() -> None:
    """Remade by `python -m dockerdiag.report_json > docs/report.schema.json`."""
    assert json.loads(PUBLISHED.read_text()) == schema()


def test_the_schema_is_one_and_closed() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    for definition in (schema(), *schema()["$defs"].values()):
        if "properties" in definition:
            assert definition["additionalProperties"] is False
            assert definition["required"] == list(definition["properties"])


@pytest.mark.parametrize("name", SAMPLES)
def test_every_report_fits_the_schema(name: str, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(json.loads(dumps(SAMPLES[name])))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_comes_back_equal(name: str) -> None:
    report = SAMPLES[name]
    assert to_dict(loads(dumps(report))) == to_dict(report)
    assert dumps(loads(dumps(report))) == dumps(report)


def test_keys_come_in_the_order_of_the_contract() -> None:
    values = json.loads(dumps(BROKEN))
    assert list(values) == KEYS
    finding = [
        "code",
        "status",
        "subject",
        "summary",
        "count",
        "explains",
        "expected",
        "evidence",
        "remedies",
    ]
    assert list(values["cause"]) == ["check", *finding]
    assert list(values["results"][3]) == ["check", "title", "status", "reason", "findings"]
    assert list(values["results"][3]["findings"][0]) == finding
    assert list(values["walks"][0]) == [
        "containers", "network", "family", "from", "to", "disposition", "at", "hops",
    ]  # fmt: skip
    assert list(values["walks"][0]["hops"][0]) == ["direction", "place", "verdict", "stop", "rule", "text"]
    assert list(values["walks"][0]["hops"][5]["rule"]) == [
        "backend", "family", "table", "chain", "handle", "index", "text", "packets",
    ]  # fmt: skip


def test_none_is_null_and_no_key_is_ever_absent() -> None:
    values = json.loads(dumps(OK))
    assert values["cause"] is None
    assert values["changes"] is None
    assert values["probes"] == []


@settings(deadline=None, max_examples=60)
@given(texts)
def test_hostile_text_survives_the_round_trip(planted: str) -> None:
    text = dumps(hostile(planted))
    assert dumps(loads(text)) == text
    expected = planted.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert loads(text).host["hostname"] == expected


def changed(report: Report, **values: Any) -> dict[str, Any]:
    return {**to_dict(report), **values}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "no schema_version"),
        ("text", "no schema_version"),
        ({}, "no schema_version"),
        (changed(OK, schema_version=2), "schema version 2; this program reads version 1"),
        (changed(OK, verdict="fine"), "verdict"),
        (changed(OK, results=[{"check": "x"}]), "results.0"),
        (changed(OK, walks=None), "walks"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(values: Any, reason: str) -> None:
    with pytest.raises(ReportError, match=reason):
        from_dict(values)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", b"\xff\xfe\x00"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ReportError):
        loads(text)


def test_a_key_that_a_later_release_added_is_ignored() -> None:
    assert from_dict(changed(OK, added_later=1)) == from_dict(to_dict(OK))


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert json.loads(dumps(replace(OK, host={"load": float("nan")})))["host"]["load"] is None
