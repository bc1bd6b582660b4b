"""Records are held to the JSON Schemas of their version; what is said of one that does not fit holds no value of it."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import Any

import orjson
import pytest

from penstock.core.access import WorkspaceId
from penstock.core.scripts import ScriptVersion
from penstock.sandbox.strict import StrictSandbox
from penstock.usecases.trials import Sample, Trial, Trials
from penstock_guest.chunk import as_lines
from penstock_guest.failures import OutputUnfit
from penstock_guest.profiles import WITH_SCHEMAS
from penstock_guest.reading import Undecodable, decode
from penstock_guest.schemas import Schemas

ORDER = {
    "type": "object",
    "properties": {
        "price": {"type": "number", "minimum": 0},
        "sku": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "a/b": {"const": 1},
    },
    "required": ["price"],
    "$defs": {"line": {"properties": {"n": {"maximum": 9}}}},
}


def schemas(**given: Any) -> Schemas:
    return Schemas({name: json.dumps(schema) for name, schema in given.items()})


def said(record: Any, schema: Any = ORDER) -> str | None:
    """Return what is said about a record, None when it fits."""
    (found,) = schemas(input=schema).check_records(decode("ndjson", json.dumps(record).encode()))
    return found.message if isinstance(found, Undecodable) else None


def test_a_record_that_fits_goes_through_as_it_is():
    record = {"price": 1.5, "sku": "ABC", "lines": [{"n": 9}]}
    assert list(schemas(input=ORDER).check_records(decode("ndjson", orjson.dumps(record)))) == [record]


@pytest.mark.parametrize(
    ("record", "place", "rule"),
    [
        ({"price": "secret"}, "at /price:", 'rule type "number" (/properties/price/type)'),
        ({"price": -77777}, "at /price:", "rule minimum 0 (/properties/price/minimum)"),
        ({}, "at the record itself:", 'rule required ["price"] (/required)'),
        ({"price": 1, "sku": "secret"}, "at /sku:", 'rule pattern "^[A-Z]{3}$" (/properties/sku/pattern)'),
        (
            {"price": 1, "lines": [{}, {"n": 77777}]},
            "at /lines/1/n:",
            "rule maximum 9 (/$defs/line/properties/n/maximum)",
        ),
        ({"price": 1, "a/b": 77777}, "at /a~1b:", "rule const 1 (/properties/a~1b/const)"),
    ],
    ids=["type", "minimum", "required", "pattern", "ref", "escaped"],
)
def test_what_does_not_fit_is_said_with_place_and_rule_and_without_the_value(record, place, rule):
    words = said(record)
    assert words is not None
    assert place in words
    assert rule in words
    assert "secret" not in words
    assert "77777" not in words


def test_a_record_that_does_not_fit_keeps_its_place_and_its_data():
    records = schemas(input=ORDER).check_records(decode("ndjson", b'{"price":1}\n{"price":"x"}\nno json\n'))
    seen = [(type(record) is Undecodable and record.code, records.line(), records.original()) for record in records]
    assert seen == [
        (False, 0, {"price": 1}),
        ("input_schema", 1, {"price": "x"}),
        ("ndjson_record_invalid", 2, b"no json"),
    ]


def test_integers_past_64_bits_are_integers():
    assert said({"price": 2**80}, {"properties": {"price": {"type": "integer", "minimum": 2**63}}}) is None


def test_fields_of_csv_are_text():
    (record,) = schemas(input={"properties": {"n": {"type": "string"}}}).check_records(decode("csv", b"n\n1\n"))
    assert record == {"n": "1"}


def test_output_that_fits_comes_out_as_it_is():
    checked = schemas(output=ORDER).check_lines(as_lines)
    assert checked([{"price": 1}, {"price": 2}]) == as_lines([{"price": 1}, {"price": 2}])


def test_one_output_record_of_several_that_does_not_fit_is_enough():
    with pytest.raises(OutputUnfit, match="an output record does not fit the schema at /price: rule type"):
        schemas(output=ORDER).check_lines(as_lines)([{"price": 1}, {"price": "x"}])


def test_what_is_checked_is_the_json_that_comes_out():
    """A date is text there, as it will be for whoever reads it."""
    checked = schemas(output={"properties": {"day": {"type": "string"}}}).check_lines(as_lines)
    assert checked({"day": dt.date(2026, 1, 31)}) == (b'{"day":"2026-01-31"}\n', 1)


def test_without_a_schema_nothing_is_wrapped():
    records = decode("ndjson", b"{}\n")
    assert schemas(output={}).check_records(records) is records
    assert schemas(input={}).check_lines(as_lines) is as_lines


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, 'the input schema at /type, "objekt": '),
        ({"pattern": "("}, 'the input schema at /pattern, "(": '),
        ({"$ref": "#/$defs/none"}, "does not exist"),
        ({"$ref": "https://example.com/a.json"}, "https://example.com/a.json"),
        ({"$ref": "file:///etc/passwd"}, "file:///etc/passwd"),
        ({"$schema": "https://example.com/draft"}, "Unknown meta-schema"),
    ],
    ids=["type", "pattern", "pointer", "https", "file", "draft"],
)
def test_a_schema_that_cannot_be_used_is_a_problem(schema, words):
    (problem,) = schemas(input=schema).problems
    assert problem["code"] == "schema_invalid"
    assert words in problem["message"]
    assert problem["hint"]


def test_each_schema_has_its_problems():
    problems = schemas(input={"type": 1}, output={"type": 2}).problems
    assert [problem["message"].split()[1] for problem in problems] == ["input", "output"]


@pytest.mark.parametrize("draft", ["draft-04/schema#", "draft-07/schema#"])
def test_older_drafts_are_understood(draft):
    assert schemas(input={"$schema": f"http://json-schema.org/{draft}", "minimum": 1}).problems == []


# ---- in locked children ----


@pytest.fixture(scope="module")
def trials():
    with contextlib.closing(StrictSandbox()) as sandbox:
        yield Trials(sandbox)


def run(trials: Trials, version: ScriptVersion, sample: Sample) -> Trial:
    return trials.run(version, sample, workspace=WorkspaceId("ws_1"))


def script(code: str, **changed: Any) -> ScriptVersion:
    facts: dict[str, Any] = {"language": "python", "profile": "std"} | changed
    for name in ("input_schema", "output_schema"):
        if name in facts:
            facts[name] = json.dumps(facts[name])
    return ScriptVersion("clean@1.0.0", code.encode(), **facts)


LINES = b'{"price":1}\n{"price":"x"}\n{"price":20}\n'
SMALL = {"properties": {"total": {"maximum": 10}}}
BOTH = {"input_schema": ORDER, "output_schema": SMALL}


@pytest.mark.parametrize(
    "version",
    [
        script("def process(data):\n    return {'total': data['price']}", **BOTH),
        script("function process(r) { return {total: r.price} }", language="javascript", profile="js", **BOTH),
    ],
    ids=["python", "javascript"],
)
def test_each_record_is_held_to_both_schemas(trials, version):
    trial = run(trials, version, Sample(LINES))
    assert trial.output == b'{"total":1}\n'
    assert {(cause.code, cause.type, cause.records) for cause in trial.causes} == {
        ("input_schema", None, 1),
        ("output_schema", None, 1),
    }
    letters = [json.loads(line) for line in trial.dead_letters.splitlines()]
    assert [(letter["line"], letter["error"]["code"], letter["data"]) for letter in letters] == [
        (2, "input_schema", {"price": "x"}),
        (3, "output_schema", {"price": 20}),
    ]


def test_a_batch_sees_only_what_fits_and_fails_as_one(trials):
    code = "def process_batch(records):\n    return [{'total': len(records) * %d}]"
    good = run(trials, script(code % 1, **BOTH), Sample(LINES))
    assert (good.output, good.counts.failed) == (b'{"total":2}\n', 1)
    bad = run(trials, script(code % 100, **BOTH), Sample(LINES))
    assert (bad.output, bad.counts.failed) == (b"", 3)


def test_a_table_sees_only_what_fits(trials):
    code = "import pyarrow as pa\ndef process_table(table):\n    return pa.table({'total': table['price']})"
    lines = b'{"price":1}\n{"price":-1}\n{"price":3}\n'
    trial = run(trials, script(code, profile="arrow", **BOTH), Sample(lines))
    assert (trial.output, trial.counts.failed) == (b'{"total":1}\n{"total":3}\n', 1)
    assert json.loads(trial.dead_letters)["error"]["code"] == "input_schema"


def test_a_script_cannot_import_the_library(trials):
    problems = trials.sandbox.check(script("import jsonschema_rs\ndef process(data): return data", **BOTH))
    assert [problem["code"] for problem in problems] == ["import_not_allowed"]


def test_a_pattern_that_never_ends_is_stopped(trials):
    """Its engine gives up after so many steps; past that, the limits of the chunk hold."""
    greedy = {"properties": {"a": {"pattern": "^(?=(a+)+b)(a+)+$"}}}
    sample = Sample(orjson.dumps({"a": "a" * 40 + "!"}) + b"\n")
    trial = run(trials, script("def process(data): return data", input_schema=greedy), sample)
    assert (trial.counts.failed, trial.causes[0].code) == (1, "input_schema")


@pytest.mark.parametrize("profile", ["std", "arrow", "js"])
def test_children_with_schemas_are_locked_like_the_others(trials, profile):
    """The library could open connections and files; a child that has it loaded can do neither."""
    report = trials.sandbox.report(profile + WITH_SCHEMAS)
    assert report.safe
    assert [act.name for act in report.acts] == [act.name for act in trials.sandbox.report(profile).acts]
