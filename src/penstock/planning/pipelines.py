"""What a run of a pipeline will do: which tasks, in which order, and why each runs or does not. Pure: no I/O.

A task's fingerprint is the hash of all that its result depends on: its kind and settings, the code it names, the date
and parameters it uses, and the marks of what it reads: of a whole table its snapshot, of one day of it the files of
that day. The same fingerprint as the last time means the same result, so the task is up to date. Where a task before it
will run, its inputs are not known yet: then the plan says so, and the run itself decides once they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from penstock.base.nearest import nearest
from penstock.core.errors import RequestInvalid
from penstock.core.plan import TaskName
from penstock.core.projects import Pipeline, Task
from penstock.core.tables import SnapshotId, TableName
from penstock.planning.fingerprints import task_fingerprint
from penstock.project.order import in_order, predecessors

Action = Literal["run", "skip", "decide"]


class PlanState(Protocol):
    """What has been done so far, as a plan needs to know it."""

    def head(self, table: TableName, /) -> SnapshotId | None:
        """Return the published snapshot of a table, None when there is none."""

    def mark(self, task: Task, table: TableName, /) -> str | None:
        """Return what tells what a task reads of a table now from what it read before, None when it is not there."""

    def last_fingerprints(self, task: Task, /) -> Collection[str]:
        """Return the fingerprints of a task's last successes: of the run's date, and of no date."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is planned for one task.

    Attributes:
        action: `run`; `skip`, it is up to date; `decide`, once the tasks before it have shown whether anything changed.
        reason: in words.
        reads: the snapshots that it would read now; None where there is none yet.
        fingerprint: None while its inputs are not known.
    """

    task: TaskName
    kind: str
    action: Action
    reason: str
    after: tuple[TaskName, ...]
    reads: Mapping[TableName, SnapshotId | None]
    writes: tuple[TableName, ...]
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a run is for.

    Attributes:
        date: the logical date, `YYYY-MM-DD`, in the schedule's time zone; None for a run without one.
        params: those of the pipeline, with what this run sets.
        again: whether tasks run though they are up to date.
    """

    date: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """The decisions of one run, each after those it waits for.

    Attributes:
        timezone: in which the run's date is a day: that of the pipeline's schedule.
    """

    pipeline: str
    revision: str
    occasion: Occasion
    decisions: tuple[Decision, ...]
    timezone: str = "UTC"


def plan_pipeline(
    pipeline: Pipeline,
    *,
    revision: str,
    code: Mapping[TaskName, str],
    occasion: Occasion,
    state: PlanState,
    selected: Collection[TaskName] | None = None,
    always: Collection[str] = (),
) -> PipelinePlan:
    """Return what a run will do.

    Args:
        pipeline: checked.
        revision: of its project.
        code: hash of the code that each task names, where it names some.
        occasion: what the run is for.
        state: what has been done so far.
        selected: only these tasks; all when not given.
        always: kinds whose inputs are outside: nobody knows whether they are up to date.

    Raises:
        RequestInvalid: when a parameter is not one of the pipeline.
    """
    params = _params(pipeline, occasion.params)
    before = predecessors(pipeline)
    decided: dict[TaskName, Decision] = {}
    for name in in_order(before):
        if selected is not None and name not in selected:
            continue
        task = pipeline.tasks[name]
        after = tuple(sorted(each for each in before[name] if each in decided))
        forced = "asked to run again" if occasion.again else "what it reads is outside" if task.kind in always else ""
        asked = Occasion(occasion.date, params)
        decided[name] = _decide(task, after, decided, code.get(name, ""), asked, state, forced)
    settled = Occasion(occasion.date, params, again=occasion.again)
    timezone = pipeline.schedule.timezone if pipeline.schedule else "UTC"
    return PipelinePlan(pipeline.name, revision, settled, tuple(decided.values()), timezone)


def select(pipeline: Pipeline, words: Sequence[str]) -> frozenset[TaskName] | None:
    """Return the tasks that words choose: `name`, `name+` with all that follow it, `+name` with all before it.

    Raises:
        RequestInvalid: when a word names no task.
    """
    if not words:
        return None
    before = predecessors(pipeline)
    following = {name: {other for other, names in before.items() if name in names} for name in before}
    chosen: set[TaskName] = set()
    for word in words:
        name = TaskName(word.strip("+"))
        if name not in pipeline.tasks:
            raise RequestInvalid(
                f"--select {word}: the pipeline {pipeline.name} has no task {name!r}",
                hint=nearest(name, pipeline.tasks),
            )
        chosen.add(name)
        if word.startswith("+"):
            chosen |= _reach(name, before)
        if word.endswith("+"):
            chosen |= _reach(name, following)
    return frozenset(chosen)


def _decide(
    task: Task,
    after: tuple[TaskName, ...],
    decided: Mapping[TaskName, Decision],
    code: str,
    occasion: Occasion,
    state: PlanState,
    forced: str,
) -> Decision:
    reads = {table: state.head(table) for table in task.reads}
    changing = [name for name in after if decided[name].action != "skip"]
    known = None
    if not any(set(decided[name].writes) & set(task.reads) for name in changing):
        marks = {table: state.mark(task, table) for table in task.reads}
        known = task_fingerprint(task, code=code, marks=marks, date=occasion.date, params=occasion.params)
    reason, action = _judge(changing, known, state.last_fingerprints(task), forced)
    return Decision(task.name, task.kind, action, reason, after, reads, task.writes, known)


def _judge(changing: Sequence[TaskName], known: str | None, lasts: Collection[str], forced: str) -> tuple[str, Action]:
    if forced:
        return forced, "run"
    if not lasts:
        return "it has not succeeded for this date yet", "run"
    if known is None:
        return f"what it reads may change: {', '.join(changing)} before it", "decide"
    if known in lasts:
        return "up to date: same code, settings and inputs as the last time", "skip"
    return "its code, its settings or its inputs have changed", "run"


def _params(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [name for name in given if name not in pipeline.params]
    if unknown:
        raise RequestInvalid(
            f"--param {unknown[0]}: the pipeline {pipeline.name} has no such parameter",
            hint=nearest(unknown[0], pipeline.params),
        )
    for name, value in given.items():
        _require_kind(name, value, pipeline.params[name])
    return {**pipeline.params, **given}


def _require_kind(name: str, value: Any, default: Any) -> None:
    """Raise when a default is a number, true or false, and what is given instead of it is none.

    SQL may have such a parameter without quotes around it; a text there would be SQL.
    """
    is_flag = isinstance(default, bool)
    if value is None or not isinstance(default, int | float):
        return
    if isinstance(value, bool) != is_flag or not isinstance(value, int | float):
        words = "true or false" if is_flag else "a number"
        raise RequestInvalid(
            f"--param {name}: {str(value)[:80]!r} is not {words}, and its default is {str(default).lower()}",
            hint=f"Give {words}; or, where it is to be any text, a text as its default in the pipeline.",
        )


def _reach(start: TaskName, links: Mapping[TaskName, Collection[TaskName]]) -> set[TaskName]:
    reached: set[TaskName] = set()
    waiting = list(links[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += links[name]
    return reached
