"""A run knows how far each of its tasks has come."""

from penstock.core.plan import Attempt, Plan, Run, RunId, TaskName

TASK = TaskName("clean")


def test_a_task_that_was_never_tried_waits():
    assert Run(RunId("r"), Plan(())).state(TASK) == "waiting"


def test_the_last_attempt_counts():
    attempts = {TASK: (Attempt(TASK, "failed"), Attempt(TASK, "succeeded"))}
    assert Run(RunId("r"), Plan(()), attempts).state(TASK) == "succeeded"
