"""A run is carried out task by task, and each try has a recorded end."""

from typing import Any

import pytest

from penstock.core.errors import ScriptFailed
from penstock.core.plan import Plan, PlannedTask, TaskName
from penstock.execution.attempt import attempt, carry_out
from penstock.storage.memory_records import MemoryRecords

CONTEXT: Any = object()


class Kind:
    """A task kind whose tries end as their spec says."""

    def __init__(self):
        self.tried = []

    def run(self, spec, ctx, /):
        assert ctx is CONTEXT
        self.tried.append(spec)
        if isinstance(spec, Exception):
            raise spec
        return spec


def task(name, spec, *after):
    return PlannedTask(TaskName(name), "kind", spec, "f", tuple(map(TaskName, after)))


def carried_out(*tasks):
    kind, records = Kind(), MemoryRecords()
    run = records.start_run(Plan(tasks))
    run = carry_out(run, kinds={"kind": kind}, context=CONTEXT, records=records)
    assert records.read_run(run.id) == run
    return run, kind.tried


FAILED = ScriptFailed("no", hint="Try.")


def test_a_task_that_returns_has_succeeded_with_its_report():
    ended = attempt(task("a", "report"), Kind(), CONTEXT)
    assert (ended.state, ended.report, ended.error) == ("succeeded", "report", None)


def test_an_error_that_was_raised_on_purpose_is_part_of_the_outcome():
    ended = attempt(task("a", FAILED), Kind(), CONTEXT)
    assert (ended.state, ended.report, ended.error) == ("failed", None, FAILED)


def test_any_other_error_is_ours_and_goes_on_up():
    with pytest.raises(ZeroDivisionError):
        attempt(task("a", ZeroDivisionError()), Kind(), CONTEXT)


def test_tasks_are_tried_in_the_order_that_they_become_ready():
    run, tried = carried_out(task("last", 3, "middle"), task("first", 1), task("middle", 2, "first"))
    assert tried == [1, 2, 3]
    assert {run.state(TaskName(name)) for name in ("first", "middle", "last")} == {"succeeded"}


def test_what_comes_after_a_failed_task_is_not_tried():
    run, tried = carried_out(task("first", FAILED), task("after", 2, "first"), task("beside", 3))
    assert tried == [FAILED, 3]
    assert run.state(TaskName("after")) == "waiting"
