"""What is known of runs, in memory."""

from penstock.core.plan import Attempt, Plan, PlannedTask, TaskName
from penstock.storage.memory_records import MemoryRecords

TASK = TaskName("clean")
PLAN = Plan((PlannedTask(TASK, "script", None, "f"),))


def test_a_new_run_has_nothing_tried():
    run = MemoryRecords().start_run(PLAN)
    assert (run.plan, run.attempts) == (PLAN, {})


def test_every_run_has_its_own_id():
    records = MemoryRecords()
    assert len({records.start_run(PLAN).id for _ in range(3)}) == 3


def test_attempts_are_kept_in_order():
    records = MemoryRecords()
    run = records.start_run(PLAN)
    first, second = Attempt(TASK, "failed"), Attempt(TASK, "succeeded", report=1)
    records.close_attempt(run.id, first)
    after = records.close_attempt(run.id, second)
    assert after.attempts == {TASK: (first, second)}
    assert records.read_run(run.id) == after


def test_a_run_that_was_handed_out_does_not_change():
    records = MemoryRecords()
    run = records.start_run(PLAN)
    records.close_attempt(run.id, Attempt(TASK, "failed"))
    assert run.attempts == {}


def test_runs_do_not_mix():
    records = MemoryRecords()
    one, other = records.start_run(PLAN), records.start_run(PLAN)
    records.close_attempt(one.id, Attempt(TASK, "failed"))
    assert records.read_run(other.id).attempts == {}
