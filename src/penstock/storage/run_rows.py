"""Rows of the records database as runs, tasks and checks, and back."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Row

from penstock.core.access import WorkspaceId
from penstock.core.jobs import ENDED
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import BackfillId, CheckResult, PipelineRun, RunTask
from penstock.core.tables import SnapshotId, TableName


def run_of(row: Row[Any], tasks: tuple[RunTask, ...]) -> PipelineRun:
    """Return a run from its row."""
    return PipelineRun(
        id=RunId(row.id),
        workspace=WorkspaceId(row.workspace),
        project=row.project,
        pipeline=row.pipeline,
        revision=row.revision,
        state=row.state,
        trigger=row.trigger,
        created_at=row.created_at,
        created_by=row.created_by,
        date=row.date,
        timezone=row.timezone,
        params=orjson.loads(row.params),
        again=bool(row.again),
        selected=tuple(from_json(row.selected) or ()),
        backfill=row.backfill and BackfillId(row.backfill),
        started_at=row.started_at,
        finished_at=row.finished_at,
        published_at=row.published_at,
        published=_snapshots(row.published),
        cancel_asked_at=row.cancel_asked_at,
        resumes=row.resumes,
        resumed_at=row.resumed_at,
        worked_s=row.worked_s,
        error=from_json(row.error),
        tasks=tasks,
    )


def task_of(row: Row[Any]) -> RunTask:
    """Return a task from its row."""
    settings = orjson.loads(row.settings)
    return RunTask(
        name=TaskName(row.name),
        kind=row.kind,
        spec=orjson.loads(row.spec),
        **settings | {"after": tuple(settings["after"])},
        state=row.state,
        reason=row.reason,
        fingerprint=row.fingerprint,
        reads=_snapshots(row.reads),
        wrote=_snapshots(row.wrote),
        report=orjson.loads(row.report),
        error=from_json(row.error),
        attempt=row.attempt,
        items=row.items,
        items_done=row.items_done,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def check_of(row: Row[Any]) -> CheckResult:
    """Return the result of a suite from its row."""
    return CheckResult(
        id=row.id,
        run=RunId(row.run),
        task=TaskName(row.task),
        table=TableName(row.name),
        snapshot=SnapshotId(row.snapshot),
        suite=row.suite,
        success=bool(row.success),
        evaluated=row.evaluated,
        failed=row.failed,
        blocks=bool(row.blocks),
        at=row.at,
        verdicts=orjson.loads(row.verdicts),
    )


def run_state(run: PipelineRun) -> dict[str, Any]:
    """Return what of a run stands in the table that it shares with jobs."""
    return {
        "id": run.id,
        "state": run.state,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "cancel_asked_at": run.cancel_asked_at,
        "error": None if run.error is None else as_json(run.error),
    }


def own_state(run: PipelineRun) -> dict[str, Any]:
    """Return what of a run stands in a table of its own."""
    return {
        "id": run.id,
        "active": int(run.state not in ENDED),
        "published_at": run.published_at,
        "published": as_json(run.published),
        "resumes": run.resumes,
        "resumed_at": run.resumed_at,
        "worked_s": run.worked_s,
    }


def task_state(run: RunId, task: RunTask) -> dict[str, Any]:
    """Return what changes of a task while its run goes on."""
    return {
        "run": run,
        "name": task.name,
        "state": task.state,
        "reason": task.reason,
        "fingerprint": task.fingerprint,
        "reads": as_json(task.reads),
        "wrote": as_json(task.wrote),
        "report": as_json(task.report),
        "error": None if task.error is None else as_json(task.error),
        "attempt": task.attempt,
        "items": task.items,
        "items_done": task.items_done,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
    }


def _snapshots(text: str) -> dict[TableName, SnapshotId]:
    return {TableName(name): SnapshotId(snapshot) for name, snapshot in orjson.loads(text).items()}


def as_json(value: Any) -> str:
    """Return a value as the text of a column."""
    return orjson.dumps(value).decode()


def from_json(text: str | None) -> Any:
    """Return the value of such a column."""
    return None if text is None else orjson.loads(text)
