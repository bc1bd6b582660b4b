"""`penstock process` is a run of a plan with one task."""

import pytest

from penstock.core.errors import InputUnreadable
from penstock.core.processing import ScriptReport
from penstock.storage.memory_records import MemoryRecords
from penstock.usecases.process import process

CONTEXT = object()


class Kind:
    def __init__(self, outcome):
        self.outcome = outcome

    def run(self, spec, ctx, /):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def processed(outcome):
    """Process with a task kind that ends so, and return the report and the run."""
    records = MemoryRecords()
    try:
        return process("spec", records=records, kinds={"script": Kind(outcome)}, context=CONTEXT)  # type: ignore[arg-type]  # neither is looked at
    finally:
        [run] = records._runs.values()
        assert [task.kind for task in run.plan.tasks] == ["script"]
        assert run.state(run.plan.tasks[0].name) == ("failed" if isinstance(outcome, Exception) else "succeeded")


def test_the_report_of_the_task_is_returned():
    report = ScriptReport(records=5)
    assert processed(report) is report


def test_the_error_of_the_attempt_is_raised():
    error = InputUnreadable("torn", hint="Mend it.")
    with pytest.raises(InputUnreadable) as caught:
        processed(error)
    assert caught.value is error
