"""One try of a task, from its spec to a recorded end."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.core.errors import PenstockError
from penstock.core.plan import Attempt, PlannedTask, Run
from penstock.core.ports import Records, TaskContext, TaskKind
from penstock.execution.advance import ready


def carry_out(run: Run, *, kinds: Mapping[str, TaskKind], context: TaskContext, records: Records) -> Run:
    """Try every task of a run as it becomes ready, and return the run as it then stands."""
    while tasks := ready(run):
        for task in tasks:
            run = records.close_attempt(run.id, attempt(task, kinds[task.kind], context))
    return run


def attempt(task: PlannedTask, kind: TaskKind, context: TaskContext) -> Attempt:
    """Try one task; an error that was raised on purpose is part of the outcome."""
    try:
        report = kind.run(task.spec, context)
    except PenstockError as error:
        return Attempt(task.name, "failed", error=error)
    return Attempt(task.name, "succeeded", report=report)
