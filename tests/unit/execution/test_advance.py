"""What is ready now follows from the plan and from what has been tried."""

import dataclasses

import pytest

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import (
    AttemptReport,
    BlobPointer,
    Entry,
    EntryId,
    JobInput,
    JobOptions,
    Lane,
    Lease,
    PartKind,
    ScriptId,
    VersionId,
)
from penstock.core.plan import Attempt, Plan, PlannedTask, Run, RunId, TaskName
from penstock.core.work import Ended, PiecesDone, Work
from penstock.execution.advance import Step, after_attempt, after_back_off, after_chunk, after_delivery, ready


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


def _work(**changes) -> Work:
    pointer = BlobPointer("w/jobs/j/input", 10, "")
    work = Work(
        run=RunId("job_1"),
        workspace=WorkspaceId("ws_1"),
        state="running",
        script=ScriptId("scr_1"),
        version=VersionId("ver_1"),
        input=JobInput(pointer),
        options=JobOptions(),
        pieces=None,
    )
    return dataclasses.replace(work, **changes)


def _ended(part: PartKind = "whole", *, attempt: int = 1, **report) -> Ended:
    entry = Entry(EntryId("att_1"), WorkspaceId("ws_1"), Lane("scr_1"), RunId("job_1"), "script", part, attempt=attempt)
    lease = Lease(entry, 1, "wrk_1", 0.0, 2.0)
    return Ended(lease, AttemptReport(**{"outcome": "succeeded"} | report), 0.0, 1.0)


_COUNTS = {"records": 5, "produced": 3, "dropped": 1, "failed": 1, "rows": 3}


def test_a_whole_job_that_succeeded_ends_with_its_account_and_result():
    result = BlobPointer("w/jobs/j/result", 3, "abc")
    step = after_attempt(_work(), _ended(report=_COUNTS, output=result), now=9.0, chance=0.5)
    assert step.ending is not None
    assert (step.ending.state, step.ending.result, step.ending.at) == ("succeeded", result, 9.0)
    assert step.ending.account is not None
    assert step.ending.account["counts"] == _COUNTS
    assert step.entries == ()


def test_an_outage_costs_no_attempt_and_says_why_it_waits():
    ended = _ended(attempt=3, outcome="transient", error={"code": "blobs_unavailable"})
    (entry,) = after_attempt(_work(), ended, now=100.0, chance=1.0).entries
    assert (entry.attempt, entry.reason, entry.not_before) == (3, "blobs_unavailable", 105.0)
    assert entry.id != ended.lease.entry.id


@pytest.mark.parametrize(("attempt", "most_s"), [(1, 1), (2, 2)])
def test_a_crash_is_tried_again_after_a_pause_drawn_from_a_span_that_doubles(attempt, most_s):
    ended = _ended(attempt=attempt, outcome="crashed", error={"code": "runner_lost"})
    for chance in (0.0, 0.25, 1.0):
        (entry,) = after_attempt(_work(), ended, now=100.0, chance=chance).entries
        assert (entry.attempt, entry.not_before) == (attempt + 1, 100.0 + chance * most_s)


def test_the_last_attempt_that_crashes_ends_the_job_with_its_error():
    step = after_attempt(
        _work(), _ended(attempt=3, outcome="crashed", error={"code": "runner_lost"}), now=1.0, chance=0.0
    )
    assert step.ending is not None
    assert (step.ending.state, step.ending.error) == ("failed", {"code": "runner_lost"})
    assert step.alone


def test_what_a_script_did_wrong_is_not_tried_again_and_its_dead_letters_are_kept():
    letters = BlobPointer("w/jobs/j/letters", 3, "abc")
    failed = _ended(outcome="failed", report=_COUNTS, dead_letters=letters, error={"code": "too_many_errors"})
    ending = after_attempt(_work(), failed, now=1.0, chance=0.0).ending
    assert ending is not None
    assert (ending.state, ending.dead_letters, ending.result) == ("failed", letters, None)


def test_a_job_that_was_asked_to_end_is_cancelled_whatever_its_attempt_gave():
    step = after_attempt(_work(cancel_asked=True), _ended(report=_COUNTS), now=1.0, chance=0.0)
    assert step.ending is not None
    assert step.ending.state == "cancelled"


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_nothing_follows_once_a_job_has_ended(state):
    assert after_attempt(_work(state=state), _ended(report=_COUNTS), now=1.0, chance=0.0) == Step()


def test_a_split_queues_each_chunk_in_order_with_the_priority_of_the_job():
    chunks = [{"number": n, "key": f"w/jobs/j/{n}", "size_bytes": 1, "sha256": "", "records": 2} for n in range(3)]
    ended = _ended("split", report={"chunks": chunks})
    step = after_attempt(_work(), ended, now=1.0, chance=0.0)
    assert [(entry.part, entry.number, entry.attempt) for entry in step.entries] == [
        ("chunk", 0, 1),
        ("chunk", 1, 1),
        ("chunk", 2, 1),
    ]
    assert [piece.number for piece in step.pieces] == [0, 1, 2]
    assert len({entry.id for entry in step.entries}) == 3


def test_an_input_without_records_goes_on_to_the_join_at_once():
    (entry,) = after_attempt(_work(), _ended("split", report={"chunks": []}), now=1.0, chance=0.0).entries
    assert entry.part == "join"


@pytest.mark.parametrize(
    ("errors_max", "done", "joins"),
    [
        ("10%", PiecesDone(1, 10_000, 0), False),
        ("10%", PiecesDone(2, 20_000, 1_999), True),
        ("10%", PiecesDone(1, 10_000, 1_001), False),  # the chunks before it may make up for it
        ("1000", PiecesDone(1, 10_000, 1_001), True),  # no need to run the others
        ("1000", PiecesDone(1, 10_000, 1_000), False),
    ],
)
def test_the_join_follows_the_last_chunk_or_the_first_with_too_many_errors(errors_max, done, joins):
    work = dataclasses.replace(_work(pieces=2), options=JobOptions(errors_max=errors_max))
    step = after_chunk(work, _ended("chunk").lease.entry, done)
    assert [entry.part for entry in step.entries] == (["join"] if joins else [])
    assert step.alone is joins


def test_a_webhook_that_did_not_arrive_is_tried_again_until_its_last_attempt():
    webhook = dataclasses.replace(_ended("webhook").lease.entry, attempts_max=2)
    refused = _ended("webhook", outcome="crashed", error={"code": "webhook_refused"})
    (entry,) = after_delivery(webhook, refused, now=1.0, chance=0.5).entries
    assert (entry.attempt, entry.reason) == (2, "webhook_refused")
    assert after_delivery(entry, refused, now=1.0, chance=0.5) == Step()
    assert after_delivery(webhook, _ended("webhook"), now=1.0, chance=0.5) == Step()


def test_a_back_off_never_passes_its_bound():
    entry = dataclasses.replace(_ended().lease.entry, attempt=60, attempts_max=99)
    assert after_back_off(entry, now=0.0, chance=1.0, error=None).not_before == limits.BACK_OFF_MOST.value


def test_work_of_a_process_that_was_killed_is_tried_again_at_once():
    killed = _ended(outcome="crashed", error={"code": "worker_lost"})
    (entry,) = after_attempt(_work(), killed, now=7.0, chance=0.9).entries
    assert (entry.attempt, entry.not_before, entry.reason) == (2, 7.0, "worker_lost")
