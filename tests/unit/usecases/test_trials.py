"""Examples, tries and comparisons, in the real sandbox."""

from __future__ import annotations

import contextlib
import functools
import json

import pytest

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import (
    Conflict,
    ExamplesFailed,
    InputUnreadable,
    ScriptFailed,
    ScriptRejected,
    TooLarge,
    TooMany,
    VersionRevoked,
)
from penstock.core.scripts import ScriptLimits
from penstock.core.versions import Example
from penstock.usecases.trials import Sample, Trials
from penstock.usecases.versions import Content
from tests.scripting import DOUBLE, DOUBLES, KEEP, Scripting
from tests.twins import TwinSandbox


def test_a_version_that_does_what_its_examples_say_is_published(running):
    ada = running.actor()
    fails = Example("words", ({"a": None}, {}), error="script_error")
    running.draft(ada, DOUBLE, examples=(DOUBLES, fails))
    running.clock.advance(5)
    made = running.scripts.publish("clean", "1.0.0", actor=ada)
    assert (made.state, made.published_by, made.published_at) == ("published", ada.member, running.clock())


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        (
            Example("e", ({"a": 1}, {"a": 2}), ({"a": 2}, {"a": 5})),
            {"place": "examples.e/1/a", "expected": "5", "got": "4"},
        ),
        (Example("e", ({"a": 1},), ()), {"place": "examples.e/0", "expected": "nothing", "got": '{"a": 2}'}),
        (
            Example("e", ({"a": 1},), ({"a": 2}, {"a": 3})),
            {"place": "examples.e/1", "expected": '{"a": 3}', "got": "nothing"},
        ),
        (
            Example("e", ({"a": 1},), ({"a": 2, "b/c": None},)),
            {"place": "examples.e/0/b~1c", "expected": "null", "got": "nothing"},
        ),
        (Example("e", ({"a": 1},), ({"a": "2"},)), {"place": "examples.e/0/a", "expected": '"2"', "got": "2"}),
        (Example("e", ({"a": True},), ({"a": True},)), {"place": "examples.e/0/a", "expected": "true", "got": "2"}),
        (
            Example("e", ({"a": None},), ({"a": 2},)),
            {
                "place": "examples.e",
                "expected": "no error",
                "got": "script_error: TypeError: unsupported operand type(s) for *: 'NoneType' and 'int' (line 2)",
            },
        ),
        (
            Example("e", ({"a": 1}, {}), error="script_error"),
            {"place": "examples.e", "expected": "script_error", "got": "script_error"},
        ),
        (
            Example("e", ({"a": 1},), error="limit_cpu"),
            {"place": "examples.e", "expected": "limit_cpu", "got": "no error"},
        ),
    ],
    ids=["value", "more", "fewer", "member", "type", "boolean", "error", "some", "none"],
)
def test_a_version_that_does_not_is_refused_and_the_difference_is_shown(running, example, problem):
    ada = running.actor()
    running.draft(ada, DOUBLE, examples=(example,))
    with pytest.raises(ExamplesFailed, match=r"clean@1\.0\.0 does not do what its examples say: e") as refused:
        running.scripts.publish("clean", "1.0.0", actor=ada)
    shown = refused.value.problems[0]
    assert {name: shown.get(name) for name in problem} == problem
    assert running.scripts.read_version("clean", "1.0.0", actor=ada).state == "draft"


def test_the_values_of_examples_are_in_no_audit_event(running):
    ada = running.actor()
    running.draft(ada, DOUBLE, examples=(Example("e", ({"a": 123454321},), ({"a": 1},)),))
    with pytest.raises(ExamplesFailed):
        running.scripts.publish("clean", "1.0.0", actor=ada)
    running.scripts.try_("clean", "1.0.0", Sample(b'{"a": 123454321}\n'), actor=ada)
    assert "12345432" not in str(running.audited())
    assert "246908642" not in str(running.audited())


@pytest.mark.parametrize(
    ("code", "schema", "words"),
    [
        (b"def process(data:\n", None, r"clean@1\.0\.0:1: '\(' was never closed"),
        (b"import os\ndef process(data): return data", None, "cannot import 'os'"),
        (b"x = 1", None, "defines none of"),
        (KEEP, {"type": "objekt"}, 'the input schema at /type, "objekt"'),
        (KEEP, {"$ref": "https://example.com/schema"}, "cannot fetch"),
    ],
    ids=["syntax", "import", "function", "schema", "fetched"],
)
def test_what_does_not_compile_is_not_published(running, code, schema, words):
    ada = running.actor()
    running.draft(ada, code, input_schema=schema)
    with pytest.raises(ScriptRejected, match=words):
        running.scripts.publish("clean", "1.0.0", actor=ada)


def test_examples_meet_the_schemas_too(running):
    ada = running.actor()
    schema = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    examples = (DOUBLES, Example("no number", ({"a": "x"}, {}), error="input_schema"))
    running.draft(ada, DOUBLE, input_schema=schema, examples=examples)
    assert running.scripts.publish("clean", "1.0.0", actor=ada).state == "published"


def test_a_draft_that_changes_while_its_examples_run_is_not_published(scripting, ada):
    scripting.draft(ada)

    class Meddling(TwinSandbox):
        def check(self, script):
            scripting.scripts.change_draft("clean", "1.0.0", Content(DOUBLE), actor=ada)
            return []

    meddled = Scripting(scripting.database, Meddling(), blobs=scripting.blobs)
    with pytest.raises(Conflict, match="was changed while its examples ran"):
        meddled.scripts.publish("clean", "1.0.0", actor=ada)
    assert scripting.scripts.read_version("clean", "1.0.0", actor=ada).state == "draft"


def test_two_versions_are_compared(running):
    ada = running.actor()
    running.draft(ada, b"def process(data):\n    return data\n")
    running.draft(ada, b"def process(data):\n    return None", tier="warm", limits=ScriptLimits(cpu_s=5))
    found = running.scripts.diff("clean", before="1.0.0", after="1.0.1", actor=ada)
    assert found.code == (
        "--- clean@1.0.0\n+++ clean@1.0.1\n@@ -1,2 +1,2 @@\n def process(data):\n"
        "-    return data\n+    return None\n\\ No newline at end of file\n"
    )
    assert found.settings == [("tier", "isolated", "warm"), ("limits.cpu", "30 s", "5 s")]
    assert running.scripts.diff("clean", before="1.0.0", after="1.0.0", actor=ada).code == ""


def test_a_draft_is_tried_at_once(running):
    ada = running.actor()
    running.draft(ada, b"def process(data):\n    print('saw', data['a'])\n    return {'b': 1 / data['a']}\n")
    trial = running.scripts.try_("clean", "1.0.0", Sample(b'{"a": 2}\n{"a": 0}\nnothing\n'), actor=ada)
    assert trial.output == b'{"b":0.5}\n'
    assert [json.loads(line)["error"]["code"] for line in trial.dead_letters.splitlines()] == [
        "script_error",
        "ndjson_record_invalid",
    ]
    assert (trial.counts.records, trial.counts.produced, trial.counts.failed) == (3, 1, 2)
    assert trial.printed == "saw 2\nsaw 0\n"
    assert trial.elapsed_s > 0


@pytest.mark.parametrize(
    ("data", "data_format"),
    [(b'[{"a": 1}, {"a": 2}]', "json"), (b"a\n1\n2\n", "csv"), (b'{"a":1}\n{"a":2}\n', "ndjson")],
)
def test_a_sample_has_one_of_three_formats(running, data, data_format):
    ada = running.actor()
    running.draft(ada, b"def process(data):\n    return {'a': int(data['a'])}\n")
    trial = running.scripts.try_("clean", "1.0.0", Sample(data, data_format), actor=ada)
    assert trial.output == b'{"a":1}\n{"a":2}\n'


def test_tables_are_tried_too(running):
    ada = running.actor()
    code = b"import pyarrow as pa\ndef process_table(table):\n    return pa.table({'n': [table.num_rows]})\n"
    running.draft(ada, code, profile="arrow")
    assert running.scripts.try_("clean", "1.0.0", Sample(b'{"a": 2}\n{"a": 0}\n'), actor=ada).output == b'{"n":2}\n'


def test_an_empty_sample_gives_nothing(running):
    ada = running.actor()
    running.draft(ada)
    trial = running.scripts.try_("clean", "1.0.0", Sample(b""), actor=ada)
    assert (trial.output, trial.counts.records) == (b"", 0)


@pytest.mark.parametrize("data", [b"x" * (2**20 + 1), b"{}\n" * 1001], ids=["bytes", "records"])
def test_a_sample_is_small(running, data):
    ada = running.actor()
    running.draft(ada)
    with pytest.raises(TooLarge, match="the sample has"):
        running.scripts.try_("clean", "1.0.0", Sample(data), actor=ada)


def test_a_sample_that_cannot_be_read_says_so(running):
    ada = running.actor()
    running.draft(ada)
    with pytest.raises(InputUnreadable):
        running.scripts.try_("clean", "1.0.0", Sample(b"[{", "json"), actor=ada)


def test_a_top_level_that_fails_says_so(running):
    ada = running.actor()
    running.draft(ada, b"1 / 0\ndef process(data): return data\n")
    with pytest.raises(ScriptFailed, match="ZeroDivisionError"):
        running.scripts.try_("clean", "1.0.0", Sample(b"{}\n"), actor=ada)


def test_a_revoked_version_is_not_tried_any_more(scripting, ada):
    scripting.published(ada, "1.0.0")
    scripting.scripts.revoke("clean", "1.0.0", actor=ada)
    with pytest.raises(VersionRevoked):
        scripting.scripts.try_("clean", "1.0.0", Sample(b"{}\n"), actor=ada)


def test_a_try_has_tighter_limits_than_a_job(running, monkeypatch):
    monkeypatch.setattr(limits, "TRY_WALL", limits.Limit("try_wall", 1, "s", "a bound for the test"))
    ada = running.actor()
    running.draft(ada, b"import time\ndef process(data):\n    time.sleep(30)\n")
    trial = running.scripts.try_("clean", "1.0.0", Sample(b"{}\n"), actor=ada)
    assert [cause.code for cause in trial.causes] == ["limit_wall"]


def test_a_workspace_tries_one_at_a_time_and_only_so_many_do_at_once(running, monkeypatch):
    monkeypatch.setattr("penstock.usecases.trials._PATIENCE_S", 0.01)
    trials = Trials(running.sandbox)
    compare = functools.partial(trials.compare, b"a", b"b", names=("a", "b"))
    workspaces = [WorkspaceId(f"ws_{number}") for number in range(limits.TRIES.value + 1)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(trials._seat(workspaces[0]))
        with pytest.raises(TooMany, match="versions of this workspace") as refused:
            compare(workspace=workspaces[0])
        assert refused.value.retry_after_s
        assert compare(workspace=workspaces[1])
        for workspace in workspaces[1:-1]:
            stack.enter_context(trials._seat(workspace))
        with pytest.raises(TooMany, match="versions of 4 others"):
            compare(workspace=workspaces[-1])
    assert compare(workspace=workspaces[0])
