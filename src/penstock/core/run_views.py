"""Runs, checks and tables as JSON: one form, for the API and for `--json` on a terminal. Pure.

Snapshots are text: they have up to 19 digits, more than a number of JavaScript keeps. Times are ISO 8601, UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from penstock.base.times import iso
from penstock.core.alerts import Delivery, Incident, telling
from penstock.core.columns import spelled
from penstock.core.jobs import ENDED
from penstock.core.projects import Pipeline
from penstock.core.runs import (
    Backfill,
    CheckResult,
    Item,
    LogLine,
    PipelineRun,
    Revision,
    RunTask,
    ScheduleState,
    TaskProgress,
)
from penstock.core.tables import Lineage, Maintained, Published, Reading, SnapshotId, TableName, TableState

View = dict[str, Any]
_NOBODY: Final[Mapping[str, str]] = {}


def show_run(
    run: PipelineRun,
    *,
    progress: Sequence[TaskProgress] = (),
    checks: Sequence[CheckResult] = (),
    revision: Revision | None = None,
    names: Mapping[str, str] = _NOBODY,
) -> View:
    """Return a run with its tasks.

    Args:
        run: as it stands.
        progress: how far its running attempts have come.
        checks: what became of its suites.
        revision: the revision of its project, which says who deployed it; None for a run of a folder.
        names: of members, by id.
    """
    return {
        **show_run_line(run, names=names),
        "params": dict(run.params),
        "again": run.again,
        "revision": {
            "revision": run.revision,
            "deployed_by": names.get(revision.created_by, revision.created_by) if revision else None,
            "deployed_at": iso(revision.created_at) if revision else None,
            "note": revision.note if revision else "",
        },
        "published": _snapshots(run.published),
        "tasks": [show_task(task) for task in run.tasks],
        "progress": [show_progress(each) for each in progress],
        "checks": [show_check(check) for check in checks],
    }


def show_change(
    run: PipelineRun,
    *,
    before: PipelineRun,
    progress: Sequence[TaskProgress] = (),
    checks: Sequence[CheckResult] = (),
    names: Mapping[str, str] = _NOBODY,
) -> View:
    """Return what has changed of a run: its head, and those of its tasks that are not as they were.

    Args:
        run: as it stands.
        before: as it was, with the same tasks.
        progress: of all attempts that run now.
        checks: those that were not there before.
        names: of members, by id.
    """
    known = {task.name: task for task in before.tasks}
    return {
        **show_run_line(run, names=names),
        "published": _snapshots(run.published),
        "tasks": [show_task(task) for task in run.tasks if task != known.get(task.name)],
        "progress": [show_progress(each) for each in progress],
        "checks": [show_check(check) for check in checks],
    }


def show_run_line(run: PipelineRun, *, names: Mapping[str, str] = _NOBODY) -> View:
    """Return what a list says of a run; `started_by` is a name, `created_by` an id."""
    counts: dict[str, int] = {}
    for task in run.tasks:
        counts[task.state] = counts.get(task.state, 0) + 1
    return {
        "id": run.id,
        "project": run.project,
        "pipeline": run.pipeline,
        "state": run.state,
        "ended": run.state in ENDED,
        "trigger": run.trigger,
        "date": run.date,
        "timezone": run.timezone,
        "backfill": run.backfill,
        "created_at": iso(run.created_at),
        "created_by": run.created_by,
        "started_by": names.get(run.created_by, run.created_by),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "published_at": iso(run.published_at),
        "cancel_asked_at": iso(run.cancel_asked_at),
        "resumes": run.resumes,
        "resumed_at": iso(run.resumed_at),
        "worked_s": round(run.worked_s, 3),
        "error": None if run.error is None else plain(run.error),
        "task_counts": counts,
    }


def show_task(task: RunTask) -> View:
    """Return a task of a run."""
    return {
        "name": task.name,
        "kind": task.kind,
        "spec": plain(task.spec),
        "after": list(task.after),
        "follows_publish": task.follows_publish,
        "action": task.action,
        "state": task.state,
        "reason": task.reason,
        "reads": _snapshots(task.reads),
        "wrote": _snapshots(task.wrote),
        "report": plain(task.report),
        "error": None if task.error is None else plain(task.error),
        "attempt": task.attempt,
        "items": task.items,
        "items_done": task.items_done,
        "started_at": iso(task.started_at),
        "finished_at": iso(task.finished_at),
    }


def show_progress(progress: TaskProgress) -> View:
    """Return how far an attempt has come."""
    return {
        "task": progress.task,
        "number": progress.number,
        "done": progress.done,
        "total": progress.total,
        "unit": progress.unit,
        "at": iso(progress.at),
    }


def show_log_line(line: LogLine) -> View:
    """Return what a task has said."""
    return {
        "task": line.task,
        "number": line.number,
        "attempt": line.attempt,
        "at": iso(line.at),
        "level": line.level,
        "text": line.text,
        "figures": plain(line.figures),
    }


def show_item(item: Item) -> View:
    """Return one of the things that a `for_each` is done for."""
    return {
        "number": item.number,
        "value": plain(item.value),
        "state": item.state,
        "report": plain(item.report),
        "error": None if item.error is None else plain(item.error),
    }


def show_check(check: CheckResult) -> View:
    """Return what became of a suite, with its verdicts in the shape of Great Expectations."""
    return {
        "run": check.run,
        "task": check.task,
        "table": check.table,
        "snapshot": str(check.snapshot),
        "suite": check.suite,
        "success": check.success,
        "evaluated": check.evaluated,
        "failed": check.failed,
        "blocks": check.blocks,
        "at": iso(check.at),
        "verdicts": [plain(verdict) for verdict in check.verdicts],
    }


def show_backfill(backfill: Backfill) -> View:
    """Return a pipeline for many dates."""
    return {
        "id": backfill.id,
        "project": backfill.project,
        "pipeline": backfill.pipeline,
        "revision": backfill.revision,
        "date_from": backfill.date_from,
        "date_to": backfill.date_to,
        "parallel": backfill.parallel,
        "created_at": iso(backfill.created_at),
        "created_by": backfill.created_by,
        "counts": dict(backfill.counts),
    }


def show_incident(incident: Incident, deliveries: Sequence[Delivery]) -> View:
    """Return an incident, with whom it was told."""
    return {
        "id": incident.id,
        "project": incident.project,
        "pipeline": incident.pipeline,
        "kind": incident.kind,
        "state": "open" if incident.closed_at is None else "closed",
        "revision": incident.revision,
        "run": incident.run,
        "date": incident.date,
        "opened_at": iso(incident.opened_at),
        "closed_at": iso(incident.closed_at),
        "closed_by": incident.closed_by,
        "runs": incident.runs,
        "telling": telling(deliveries),
        "told": [_delivery(each, incident) for each in deliveries if each.target or each.state != "sent"],
    }


def _delivery(delivery: Delivery, incident: Incident) -> View:
    over = incident.closed_at is not None and delivery.created_at >= incident.closed_at
    return {
        "to": delivery.target or None,
        "of": "end" if over else "begin",
        "subject": delivery.alert.subject,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "sent_at": iso(delivery.sent_at),
        "next_at": iso(delivery.due_at) if delivery.state == "waiting" else None,
        "error": delivery.last_error,
    }


def show_revision(revision: Revision) -> View:
    """Return one state of a project's files."""
    return {
        "project": revision.project,
        "revision": revision.revision,
        "files": revision.files,
        "size_bytes": revision.size_bytes,
        "created_at": iso(revision.created_at),
        "created_by": revision.created_by,
        "active": revision.active,
        "note": revision.note,
    }


def show_pipeline(project: str, pipeline: Pipeline, *, schedule: View | None = None) -> View:
    """Return a pipeline of a project, with the state of its schedule."""
    return {
        "project": project,
        "pipeline": pipeline.name,
        "description": pipeline.description,
        "deadline": pipeline.deadline,
        "params": plain(pipeline.params),
        "schedule": schedule,
        "tasks": [
            {
                "name": task.name,
                "kind": task.kind,
                "place": str(task.place),
                "reads": list(task.reads),
                "writes": list(task.writes),
                "after": list(task.after),
            }
            for task in pipeline.tasks.values()
        ],
    }


def show_schedule(state: ScheduleState) -> View:
    """Return a schedule, and how far it has come."""
    return {
        "project": state.project,
        "pipeline": state.pipeline,
        "cron": state.schedule.cron,
        "timezone": state.schedule.timezone,
        "catch_up": state.schedule.catch_up,
        "runs_max": state.schedule.runs_max,
        "deadline": state.deadline,
        "paused": state.paused,
        "last_date": state.last_date,
        "next_at": iso(state.next_at),
    }


def show_table(table: TableState) -> View:
    """Return a table as readers see it."""
    return {
        "name": table.name,
        "project": table.project,
        "task": table.task,
        "snapshot": _text(table.snapshot),
        "published_at": iso(table.published_at),
        "published_by": table.published_by,
    }


def show_lineage(lineage: Lineage) -> View:
    """Return where a snapshot comes from."""
    return {
        "table": lineage.table,
        "snapshot": str(lineage.snapshot),
        "run": lineage.author.run,
        "project": lineage.author.project,
        "task": lineage.author.task,
        "version": lineage.author.version or None,
        "fingerprint": lineage.author.fingerprint,
        "mode": lineage.mode,
        "parent": _text(lineage.parent),
        "rows": lineage.rows,
        "rows_added": lineage.rows_added,
        "at": iso(lineage.at),
        "published_at": iso(lineage.published_at),
        "expired": lineage.expired,
        "inputs": _snapshots(lineage.inputs),
    }


class Origin(Protocol):
    """A snapshot, and those that it was made from."""

    @property
    def lineage(self) -> Lineage:
        """Return where it comes from."""

    @property
    def inputs(self) -> Sequence[Origin]:
        """Return those that it was made from."""

    @property
    def repeated(self) -> bool:
        """Return whether it stands in the tree before, with its inputs."""


def show_origin(origin: Origin) -> View:
    """Return where a snapshot comes from and, as `upstream`, those that it was made from."""
    upstream = [show_origin(each) for each in origin.inputs]
    return {**show_lineage(origin.lineage), "repeated": origin.repeated, "upstream": upstream}


def show_reading(table: TableState, reading: Reading | None) -> View:
    """Return a table with its columns and how large it is; None as long as nothing of it is published."""
    return {
        **show_table(table),
        "columns": [{"name": column.name, "type": spelled(column.type)} for column in reading.columns]
        if reading
        else [],
        "partition_by": list(reading.partition_by) if reading else [],
        "rows": reading.rows if reading else 0,
        "files": len(reading.files) if reading else 0,
        "size_bytes": reading.size_bytes if reading else 0,
    }


def show_answer(
    columns: Sequence[Sequence[str]],
    rows: Sequence[Sequence[Any]],
    *,
    more: bool,
    read: Mapping[TableName, SnapshotId],
) -> View:
    """Return the rows of a query."""
    return {
        "columns": [{"name": name, "type": kind} for name, kind, *_ in columns],
        "rows": [plain(row) for row in rows],
        "truncated": more,
        "snapshots": _snapshots(read),
    }


def show_published(published: Published) -> View:
    """Return what publishing, or rolling back, has changed for readers."""
    return {"table": published.table, "snapshot": str(published.snapshot), "before": _text(published.before)}


def show_maintained(done: Maintained) -> View:
    """Return what the upkeep of a table has done."""
    return {
        "table": done.table,
        "files_before": done.files_before,
        "files_after": done.files_after,
        "snapshots_expired": done.snapshots_expired,
        "files_deleted": done.files_deleted,
    }


def plain(value: Any) -> Any:
    """Return a value as JSON can say it: numbers that are none as null, sets and tuples as lists, the rest as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return str(value)


def _snapshots(heads: Mapping[TableName, SnapshotId]) -> dict[str, str]:
    return {table: str(snapshot) for table, snapshot in heads.items()}


def _text(snapshot: SnapshotId | None) -> str | None:
    return None if snapshot is None else str(snapshot)
