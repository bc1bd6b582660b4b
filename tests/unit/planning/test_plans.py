"""A job is a plan with one task, known by a fingerprint of all that matters."""

import dataclasses
from typing import Any

import pytest

from penstock.core.processing import ErrorBudget, ScriptSpec
from penstock.core.scripts import ScriptLimits, ScriptVersion
from penstock.planning.plans import one_task_plan

SCRIPT = ScriptVersion("clean.py", b"def process(data): ...", "python", "std")
SPEC = ScriptSpec(
    script=SCRIPT,
    inputs=("a.csv", "b.csv"),
    input_format=None,
    output="out.ndjson",
    output_format="ndjson",
    dead_letters=None,
    dead_letters_default="dead.ndjson",
    errors_max=ErrorBudget(share=0.1),
)


def fingerprint_of(spec, *, kind="script"):
    """The fingerprint of the one task."""
    [task] = one_task_plan("process", kind=kind, spec=spec).tasks
    return task.fingerprint


def test_a_job_has_one_task_and_nothing_before_it():
    [task] = one_task_plan("process", kind="script", spec=SPEC).tasks
    assert (task.name, task.kind, task.spec, task.after) == ("process", "script", SPEC, ())


def test_the_same_request_has_the_same_fingerprint():
    again = dataclasses.replace(SPEC, script=dataclasses.replace(SCRIPT))
    assert fingerprint_of(again) == fingerprint_of(SPEC)


CHANGES: dict[str, Any] = {
    "script": dataclasses.replace(SCRIPT, source=b"def process(data): return data"),
    "inputs": ("b.csv", "a.csv"),
    "input_format": "csv",
    "output": "other.ndjson",
    "output_format": "csv",
    "dead_letters": "bad.ndjson",
    "dead_letters_default": "other.ndjson",
    "errors_max": ErrorBudget(records=0),
    "chunk_records": 1,
    "seed": "another",
    "chunks_max": 1,
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ScriptSpec)])
def test_any_change_of_the_request_has_another_fingerprint(name):
    assert fingerprint_of(dataclasses.replace(SPEC, **{name: CHANGES[name]})) != fingerprint_of(SPEC)


SCRIPT_CHANGES: dict[str, Any] = {
    "name": "other.py",
    "source": b"",
    "language": "javascript",
    "profile": "arrow",
    "tier": "warm",
    "limits": ScriptLimits(cpu_s=1),
    "input_schema": "{}",
    "output_schema": "{}",
    "limits_from": "scripts/other.yml",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ScriptVersion)])
def test_any_change_of_the_script_has_another_fingerprint(name):
    changed = dataclasses.replace(SCRIPT, **{name: SCRIPT_CHANGES[name]})
    assert fingerprint_of(dataclasses.replace(SPEC, script=changed)) != fingerprint_of(SPEC)


def test_another_kind_has_another_fingerprint():
    assert fingerprint_of(SPEC, kind="sql") != fingerprint_of(SPEC)
