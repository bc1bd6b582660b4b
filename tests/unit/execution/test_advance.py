"""What is ready now follows from the plan and from what has been tried."""

import pytest

from penstock.core.plan import Attempt, Plan, PlannedTask, Run, RunId, TaskName
from penstock.execution.advance import ready


def run_of(plan, **states):
    """A run of tasks given as `name: names before it`, with the states of those that were tried."""
    tasks = tuple(
        PlannedTask(TaskName(name), "script", None, name, tuple(TaskName(each) for each in before.split()))
        for name, before in plan.items()
    )
    attempts = {
        TaskName(name): tuple(Attempt(TaskName(name), each) for each in state.split()) for name, state in states.items()
    }
    return Run(RunId("run_1"), Plan(tasks), attempts)


DIAMOND = {"load": "", "left": "load", "right": "load", "join": "left right"}


@pytest.mark.parametrize(
    ("states", "names"),
    [
        ({}, ["load"]),
        ({"load": "running"}, []),
        ({"load": "succeeded"}, ["left", "right"]),
        ({"load": "succeeded", "left": "running"}, ["right"]),
        ({"load": "succeeded", "left": "succeeded"}, ["right"]),
        ({"load": "succeeded", "left": "succeeded", "right": "running"}, []),
        ({"load": "succeeded", "left": "succeeded", "right": "succeeded"}, ["join"]),
        ({"load": "succeeded", "left": "succeeded", "right": "failed"}, []),
        ({"load": "failed"}, []),
        ({"load": "failed succeeded"}, ["left", "right"]),
        ({"load": "succeeded", "left": "succeeded", "right": "succeeded", "join": "succeeded"}, []),
    ],
)
def test_a_task_is_ready_when_all_before_it_have_succeeded(states, names):
    assert [task.name for task in ready(run_of(DIAMOND, **states))] == names


def test_tasks_with_nothing_before_them_are_ready_in_the_order_of_the_plan():
    assert [task.name for task in ready(run_of({"b": "", "a": ""}))] == ["b", "a"]


def test_an_empty_plan_has_nothing_ready():
    assert ready(run_of({})) == ()


def test_a_task_after_one_that_is_not_in_the_plan_never_is():
    assert ready(run_of({"a": "ghost"})) == ()
