"""What follows in a run of a pipeline? Pure: how its tasks stand in, how they stand next and what to queue out.

A run has two halves. The tasks of the first read and write on the run's own branches; when all of them have ended well,
one attempt publishes all the run's tables at once; then the tasks go that follow publishing, such as exports. When one
fails, nothing is published, and what it wrote waits on its branches for somebody to resume the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.conditions import ConditionInvalid, parse_condition
from penstock.core.jobs import Entry, EntryId, Lane
from penstock.core.plan import TaskName
from penstock.core.runs import PUBLISH, TASK_ENDED, PipelineRun, RunTask, TaskPart

_WELL: Final = frozenset(["succeeded", "skipped"])


@dataclass(frozen=True, slots=True)
class Following:
    """How a run stands next.

    Attributes:
        entries: attempts to queue.
    """

    run: PipelineRun
    entries: tuple[Entry, ...] = ()


def start(run: PipelineRun, *, now: float) -> Following:
    """Return how a run stands once it has begun, or begun again."""
    tasks = tuple(
        dataclasses.replace(task, state="skipped", finished_at=now) if task.action == "skip" else task
        for task in run.tasks
    )
    run = dataclasses.replace(run, state="running", tasks=tasks)
    begun = (
        dataclasses.replace(run, started_at=now) if run.started_at is None else dataclasses.replace(run, resumed_at=now)
    )
    return advance(begun, now=now)


def advance(run: PipelineRun, *, now: float) -> Following:
    """Return how a run stands once everything that can follow has followed."""
    entries: list[Entry] = []
    ready = _ready(run)
    while ready:
        begun = [_begin(run, task, now=now) for task in ready]
        for task, entry in begun:
            run = with_task(run, task)
            entries += [entry] if entry is not None else []
        ready = _ready(run) if any(task.state in TASK_ENDED for task, _ in begun) else []
    if all(task.state in TASK_ENDED for task in run.tasks if not task.follows_publish):
        if not _has_failed(run) and run.published_at is None:
            if any(task.wrote and not task.report.get("published") for task in run.tasks):
                return Following(run, (*entries, entry_of(run, PUBLISH, part="publish")))
            return advance(dataclasses.replace(run, published_at=now), now=now)
        if all(task.state in TASK_ENDED for task in run.tasks):
            return Following(ended(run, now=now), tuple(entries))
    return Following(run, tuple(entries))


def ended(run: PipelineRun, *, now: float) -> PipelineRun:
    """Return a run whose tasks have all ended as it stands then."""
    wrong = [task for task in run.tasks if task.state in ("failed", "blocked", "cancelled")]
    if not wrong:
        return dataclasses.replace(run, state="succeeded", finished_at=now, error=None)
    if run.cancel_asked_at is not None:
        error = {"code": "stopped", "message": "it was cancelled", "hint": f"Go on with it: penstock resume {run.id}"}
        return dataclasses.replace(run, state="cancelled", finished_at=now, error=error)
    first = next((task for task in wrong if task.state == "failed"), wrong[0])
    told = dict(first.error or {"code": "task_failed", "message": first.reason, "hint": "See its log."})
    told |= {"task": first.name, "resume": f"penstock resume {run.id}"}
    return dataclasses.replace(run, state="failed", finished_at=now, error=told)


def cancelled(run: PipelineRun, *, now: float, running: Collection[TaskName]) -> PipelineRun:
    """Return a run with all tasks cancelled that have not ended, but for those that still run."""
    tasks = tuple(
        task
        if task.state in TASK_ENDED or task.name in running
        else dataclasses.replace(task, state="cancelled", reason="the run was cancelled", finished_at=now)
        for task in run.tasks
    )
    run = dataclasses.replace(run, tasks=tasks)
    return ended(run, now=now) if all(task.state in TASK_ENDED for task in tasks) and not running else run


def interrupted(run: PipelineRun, *, now: float) -> PipelineRun:
    """Return a run as it stands once the process that carried it out has ended without it."""
    words = "the process that carried it out ended before it did"
    tasks = tuple(
        task if task.state in TASK_ENDED else dataclasses.replace(task, state="cancelled", reason=words)
        for task in run.tasks
    )
    hint = f"Go on with it: penstock resume {run.id}"
    error = {"code": "interrupted", "message": words, "hint": hint, "resume": f"penstock resume {run.id}"}
    return dataclasses.replace(run, tasks=tasks, state="failed", finished_at=now, error=error)


def worked_s(run: PipelineRun, *, until: float) -> float:
    """Return how long a run has been carried out, without the pauses from an end to a resume."""
    since = run.resumed_at or run.started_at
    return run.worked_s + (max(0.0, until - since) if since is not None else 0.0)


def again(run: PipelineRun, names: Iterable[TaskName], *, reason: str) -> PipelineRun:
    """Return a run in which some tasks, and all that come after them, wait to be done again."""
    wanted = set(names)
    for task in run.tasks:  # each comes after those that it waits for
        if wanted.intersection(task.after):
            wanted.add(task.name)
    tasks = tuple(
        dataclasses.replace(
            task, state="waiting", action="decide", reason=reason, error=None, started_at=None, finished_at=None
        )
        if task.name in wanted
        else task
        for task in run.tasks
    )
    return dataclasses.replace(run, tasks=tasks)


def resumed(run: PipelineRun, *, now: float) -> Following:
    """Return how a run that ended badly stands once it goes on: what did not succeed is done again, and only that."""
    wrong = [task.name for task in run.tasks if task.state not in _WELL]
    run = again(run, wrong, reason="resumed")
    run = dataclasses.replace(
        run,
        state="running",
        resumed_at=now,
        finished_at=None,
        error=None,
        cancel_asked_at=None,
        resumes=run.resumes + 1,
    )
    return advance(run, now=now)


def put_back(run: PipelineRun) -> PipelineRun:
    """Return a run that ended badly as it waits to begin again: with what has succeeded, and without what has not."""
    wrong = [task.name for task in run.tasks if task.state not in _WELL]
    return dataclasses.replace(
        again(run, wrong, reason="resumed"),
        state="queued",
        finished_at=None,
        error=None,
        cancel_asked_at=None,
        resumes=run.resumes + 1,
    )


def with_task(run: PipelineRun, task: RunTask) -> PipelineRun:
    """Return a run with one of its tasks replaced."""
    place = next(number for number, each in enumerate(run.tasks) if each.name == task.name)
    return dataclasses.replace(run, tasks=(*run.tasks[:place], task, *run.tasks[place + 1 :]))


def entry_of(run: PipelineRun, name: TaskName, *, part: TaskPart, number: int = 0) -> Entry:
    """Return the first attempt of a part of a task."""
    task = next((task for task in run.tasks if task.name == name), None)
    pool = task.pool if task is not None else None
    retries = task.retries if task is not None else 0
    return Entry(
        id=EntryId(new_id("att")),
        workspace=run.workspace,
        lane=lane_of(run.project, run.pipeline, pool),
        run=run.id,
        task=name,
        part=part,
        number=number,
        attempts_max=max(limits.TASK_KILLS.value, 1 + retries),
    )


def lane_of(project: str, pipeline: str, pool: str | None) -> Lane:
    """Return what bounds how many attempts of a task run at once: its pool, else its pipeline."""
    return Lane(f"pool:{project}/{pool}" if pool is not None else f"pipeline:{project}/{pipeline}")


def outdated(run: PipelineRun, *, tables: Collection[str], inputs: Collection[str]) -> list[TaskName]:
    """Return the tasks that are to be done again before a run can be published.

    Args:
        run: whose tasks.
        tables: that others have published meanwhile; what writes them is to be done again.
        inputs: likewise; what reads all of them is.
    """
    return [
        task.name
        for task in run.tasks
        if set(tables).intersection(task.wrote)
        or (task.spec.get("window", "all") != "day" and set(inputs).intersection(task.reads))
    ]


def _ready(run: PipelineRun) -> list[RunTask]:
    """Return the tasks that wait for nothing any more."""
    going = {task.name for task in run.tasks if task.state not in TASK_ENDED}
    return [
        task
        for task in run.tasks
        if task.state == "waiting"
        and going.isdisjoint(task.after)
        and (not task.follows_publish or run.published_at is not None or _first_half_failed(run))
    ]


def _begin(run: PipelineRun, task: RunTask, *, now: float) -> tuple[RunTask, Entry | None]:
    blocking = _blocking(run, task)
    if blocking and task.trigger == "all_succeeded":
        reason = f"{blocking[0].name} {'failed' if blocking[0].state == 'failed' else 'did not succeed'}"
        return dataclasses.replace(task, state="blocked", reason=reason, finished_at=now), None
    try:
        if task.when is not None and not _holds(task.when, run):
            return dataclasses.replace(task, state="skipped", reason=f"not now: {task.when}", finished_at=now), None
    except ConditionInvalid as wrong:
        error = {"code": "task_failed", "message": f"when: {wrong}", "hint": "Correct the condition, then resume."}
        failed = dataclasses.replace(task, state="failed", reason=error["message"], error=error, finished_at=now)
        return failed, None
    part: TaskPart = "expand" if task.for_each is not None else "task"
    begun = dataclasses.replace(task, state="queued", items=None, items_done=0, report={})
    return begun, entry_of(run, task.name, part=part)


def _holds(condition: str, run: PipelineRun) -> bool:
    outcomes: dict[str, str] = {task.name: task.state for task in run.tasks}
    parsed = parse_condition(condition, params=run.params, tasks=outcomes)
    return parsed.holds(date=run.date, params=run.params, outcomes=outcomes)


def _blocking(run: PipelineRun, task: RunTask) -> list[RunTask]:
    before = [each for each in run.tasks if each.name in task.after and each.state not in _WELL]
    if task.follows_publish and run.published_at is None:
        before += [each for each in run.tasks if not each.follows_publish and each.state not in _WELL]
    return sorted(before, key=lambda each: each.state != "failed")


def _first_half_failed(run: PipelineRun) -> bool:
    first = [task for task in run.tasks if not task.follows_publish]
    return all(task.state in TASK_ENDED for task in first) and _has_failed(run)


def _has_failed(run: PipelineRun) -> bool:
    """Return whether what comes before publishing did not go well."""
    return any(task.state not in _WELL for task in run.tasks if not task.follows_publish and task.state in TASK_ENDED)
