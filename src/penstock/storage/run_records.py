"""Runs of pipelines in the records database."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import orjson
import sqlalchemy
from sqlalchemy import Connection

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import NotFound
from penstock.core.jobs import RunState
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import (
    Backfill,
    BackfillId,
    CheckResult,
    Item,
    LogLine,
    Once,
    PipelineRun,
    RunFilter,
    RunTask,
    TaskProgress,
)
from penstock.database.schema import (
    backfills,
    check_results,
    pipeline_runs,
    run_items,
    runs,
    task_logs,
    task_progress,
)
from penstock.database.statements import ManyStatement, Statement
from penstock.storage.known_tasks import KnownTasks
from penstock.storage.request_keys import bind_key, find_key
from penstock.storage.run_rows import as_json, check_of, from_json, own_state, run_of, run_state, task_of, task_state

_INSERT_RUN: Final = Statement(
    "INSERT INTO runs (id, workspace, kind, state, created_at, created_by)"
    " VALUES (:id, :workspace, 'pipeline', :state, :created_at, :created_by)"
)
_INSERT: Final = Statement(
    "INSERT INTO pipeline_runs (id, workspace, project, pipeline, revision, date, timezone, params, trigger, again,"
    " backfill, active, selected, tasks_mark) VALUES (:id, :workspace, :project, :pipeline, :revision, :date,"
    " :timezone, :params, :trigger, :again, :backfill, 1, :selected, :mark)"
)
_INSERT_TASK: Final = Statement(
    "INSERT INTO run_tasks (run, name, workspace, position, kind, spec, settings, state, reason, fingerprint)"
    " VALUES (:run, :name, :workspace, :position, :kind, :spec, :settings, :state, :reason, :fingerprint)"
)
_SAVE_RUN: Final = Statement(
    "UPDATE runs SET state = :state, started_at = :started_at, finished_at = :finished_at,"
    " cancel_asked_at = :cancel_asked_at, error = :error WHERE id = :id"
)
_SAVE: Final = Statement(
    "UPDATE pipeline_runs SET active = :active, published_at = :published_at, published = :published,"
    " resumes = :resumes, resumed_at = :resumed_at, worked_s = :worked_s WHERE id = :id"
)
_MARK: Final = Statement("UPDATE pipeline_runs SET tasks_mark = :mark WHERE id = :id")
_SAVE_TASK: Final = Statement(
    "UPDATE run_tasks SET state = :state, reason = :reason, fingerprint = :fingerprint, reads = :reads, wrote = :wrote,"
    " report = :report, error = :error, attempt = :attempt, items = :items, items_done = :items_done,"
    " started_at = :started_at, finished_at = :finished_at WHERE run = :run AND name = :name"
)
_SELECT: Final = (
    "SELECT p.*, r.state, r.created_at, r.created_by, r.started_at, r.finished_at, r.cancel_asked_at, r.error"
    " FROM pipeline_runs p JOIN runs r ON r.id = p.id"
)
_LOAD: Final = ManyStatement(f"{_SELECT} WHERE p.id IN (:keys)")
_LOCK: Final = ManyStatement("SELECT id FROM pipeline_runs WHERE id IN (:keys) ORDER BY id FOR UPDATE")
_LOAD_TASKS: Final = ManyStatement("SELECT * FROM run_tasks WHERE run IN (:keys) ORDER BY run, position")
_LOAD_TASK: Final = Statement("SELECT * FROM run_tasks WHERE run = :run AND name = :name")
_ACTIVE: Final = Statement(
    f"{_SELECT} WHERE p.workspace = :workspace AND p.project = :project AND p.pipeline = :pipeline AND p.active = 1"
    " ORDER BY p.id"
)
_OF_BACKFILL: Final = Statement(
    f"{_SELECT} WHERE p.backfill = :backfill AND r.state = :state ORDER BY p.date, p.id LIMIT :limit"
)
_CANCEL: Final = Statement("UPDATE runs SET cancel_asked_at = :now WHERE id = :run AND cancel_asked_at IS NULL")
_SUCCESSES: Final = Statement(
    "SELECT task, fingerprint FROM task_successes WHERE workspace = :workspace AND project = :project"
    " AND pipeline = :pipeline AND date = :date"
)
_NOTE_SUCCESS: Final = Statement(
    "INSERT INTO task_successes (workspace, project, pipeline, task, date, fingerprint, run, at)"
    " VALUES (:workspace, :project, :pipeline, :task, :date, :fingerprint, :run, :at)"
    " ON CONFLICT (workspace, project, pipeline, task, date) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " run = excluded.run, at = excluded.at"
)
_CLOSE_ITEM: Final = Statement(
    "UPDATE run_items SET state = :state, report = :report, error = :error"
    " WHERE run = :run AND task = :task AND number = :number"
)
_CLEAR_PROGRESS: Final = Statement("DELETE FROM task_progress WHERE run = :run AND task = :task")
_COUNTS: Final = Statement(
    "SELECT r.state, count(*) FROM pipeline_runs p JOIN runs r ON r.id = p.id WHERE p.backfill = :backfill"
    " GROUP BY r.state"
)
_SETTINGS: Final = (
    *("after", "follows_publish", "when", "for_each", "retries", "timeout_s", "pool", "trigger", "action"),
)


class SqlRunRecords:
    """The RunRecords of a server."""

    _known = KnownTasks()

    def insert(self, tx: Connection, run: PipelineRun) -> None:
        """Record a new run with its tasks."""
        values = {"id": run.id, "workspace": run.workspace, "created_at": run.created_at, "created_by": run.created_by}
        _INSERT_RUN.do(tx, values | {"state": run.state})
        _INSERT.do(
            tx,
            {
                "id": run.id,
                "workspace": run.workspace,
                "project": run.project,
                "pipeline": run.pipeline,
                "revision": run.revision,
                "date": run.date,
                "timezone": run.timezone,
                "params": as_json(run.params),
                "trigger": run.trigger,
                "again": int(run.again),
                "backfill": run.backfill,
                "selected": as_json(run.selected),
                "mark": (mark := secrets.token_hex(8)),
            },
        )
        self._insert_tasks(tx, run)
        self._known.put(run.id, mark, run.tasks)

    def _insert_tasks(self, tx: Connection, run: PipelineRun) -> None:
        rows = [
            {
                "run": run.id,
                "name": task.name,
                "workspace": run.workspace,
                "position": position,
                "kind": task.kind,
                "spec": as_json(task.spec),
                "settings": as_json({name: getattr(task, name) for name in _SETTINGS}),
                "state": task.state,
                "reason": task.reason,
                "fingerprint": task.fingerprint,
            }
            for position, task in enumerate(run.tasks)
        ]
        if rows:
            _INSERT_TASK.do(tx, rows)

    def made_once(self, tx: Connection, workspace: WorkspaceId, key: str) -> tuple[str, str] | None:
        """Return what an idempotency key was used for, and the hash of what was asked."""
        return find_key(tx, workspace, key)

    def make_once(self, tx: Connection, workspace: WorkspaceId, once: Once, *, now: float) -> tuple[str, str] | None:
        """Bind an idempotency key; or return what it is bound to already."""
        return bind_key(tx, workspace, once.key, body_sha256=once.body_sha256, made=once.makes, now=now)

    def read(self, tx: Connection, workspace: WorkspaceId, run: str, *, to_change: bool = False) -> PipelineRun:
        """Return a run with its tasks."""
        found = self.load(tx, [RunId(run)], to_change=to_change).get(RunId(run))
        if found is None or found.workspace != workspace:
            raise NotFound(f"there is no run {run[:100]!r} in this workspace", hint="See: penstock status")
        return found

    def load(self, tx: Connection, run_ids: Sequence[RunId], *, to_change: bool = False) -> Mapping[RunId, PipelineRun]:
        """Return runs with their tasks, whosever they are: for the service itself."""
        if to_change and tx.dialect.name == "postgresql":
            _LOCK.run(tx, sorted(run_ids))
        rows = _LOAD.run(tx, run_ids)
        tasks = {row.id: self._known.get(row.id, row.tasks_mark) for row in rows}
        unknown = {row.id: row.tasks_mark for row in rows if tasks[row.id] is None}
        found: dict[str, list[RunTask]] = {run: [] for run in unknown}
        for row in _LOAD_TASKS.run(tx, list(unknown)):
            found[row.run].append(task_of(row))
        for run, mark in unknown.items():
            tasks[run] = tuple(found[run])
            self._known.put(run, mark, tuple(found[run]))
        return {row.id: run_of(row, tasks[row.id] or ()) for row in rows}

    def load_task(self, tx: Connection, run: RunId, task: TaskName) -> PipelineRun:
        """Return a run with one of its tasks alone: for its attempts, which need no other."""
        (row,) = _LOAD.run(tx, [run])
        known = self._known.get(run, row.tasks_mark)
        if known is not None:
            return run_of(row, tuple(each for each in known if each.name == task))
        return run_of(row, tuple(task_of(each) for each in _LOAD_TASK.named(tx, {"run": run, "name": task})))

    def list(self, tx: Connection, workspace: WorkspaceId, wanted: RunFilter) -> Sequence[PipelineRun]:
        """Return runs, newest first, without their tasks."""
        query = (
            sqlalchemy.select(
                pipeline_runs,
                *(runs.c[name] for name in ("state", "created_at", "created_by", "started_at", "finished_at")),
                runs.c.cancel_asked_at,
                runs.c.error,
            )
            .join(runs, runs.c.id == pipeline_runs.c.id)
            .where(pipeline_runs.c.workspace == workspace, *_conditions(wanted))
        )
        return [run_of(row, ()) for row in tx.execute(query.order_by(pipeline_runs.c.id.desc()).limit(wanted.limit))]

    def save(self, tx: Connection, before: PipelineRun, after: PipelineRun) -> None:
        """Record what has changed of a run and its tasks."""
        if run_state(before) != run_state(after):
            _SAVE_RUN.do(tx, run_state(after))
        if own_state(before) != own_state(after):
            _SAVE.do(tx, own_state(after))
        pairs = zip(before.tasks, after.tasks, strict=True)  # a run's tasks are the same from its begin to its end
        changed = [task_state(after.id, task) for known, task in pairs if task is not known]
        if changed:
            _SAVE_TASK.do(tx, changed)
            mark = secrets.token_hex(8)
            _MARK.do(tx, {"id": after.id, "mark": mark})
            self._known.put(after.id, mark, after.tasks)

    def ask_cancel(self, tx: Connection, run: RunId, *, now: float) -> None:
        """Record that a run is to end."""
        _CANCEL.do(tx, {"run": run, "now": now})

    def active(self, tx: Connection, workspace: WorkspaceId, project: str, pipeline: str) -> Sequence[PipelineRun]:
        """Return the runs of a pipeline that have not ended, the oldest first, without their tasks."""
        found = _ACTIVE.run(tx, {"workspace": workspace, "project": project, "pipeline": pipeline})
        return [run_of(row, ()) for row in found]

    def of_backfill(
        self, tx: Connection, backfill: BackfillId, *, state: RunState, limit: int
    ) -> Sequence[PipelineRun]:
        """Return runs of a back-fill in a state, by date, without their tasks."""
        found = _OF_BACKFILL.run(tx, {"backfill": backfill, "state": state, "limit": limit})
        return [run_of(row, ()) for row in found]

    def insert_backfill(self, tx: Connection, backfill: Backfill) -> None:
        """Record a back-fill."""
        values = asdict(backfill)
        del values["counts"]
        tx.execute(backfills.insert(), values)

    def backfills(
        self,
        tx: Connection,
        workspace: WorkspaceId,
        *,
        project: str | None = None,
        backfill: str | None = None,
        before: str | None = None,
        limit: int = limits.LISTED.value,
    ) -> Sequence[Backfill]:
        """Return back-fills, newest first; those before one, if that is named."""
        query = sqlalchemy.select(backfills).where(backfills.c.workspace == workspace)
        if project is not None:
            query = query.where(backfills.c.project == project)
        if backfill is not None:
            query = query.where(backfills.c.id == backfill)
        if before is not None:
            query = query.where(backfills.c.id < before)
        found = tx.execute(query.order_by(backfills.c.id.desc()).limit(limit)).mappings().all()
        return [Backfill(**row, counts=_counts(tx, row["id"])) for row in found]

    def insert_items(
        self, tx: Connection, workspace: WorkspaceId, run: RunId, task: TaskName, items: Sequence[Item]
    ) -> None:
        """Record what a task is done for; what was there for it goes."""
        tx.execute(run_items.delete().where(run_items.c.run == run, run_items.c.task == task))
        rows = [
            {
                "run": run,
                "task": task,
                "number": item.number,
                "workspace": workspace,
                "value": as_json(item.value),
                "state": item.state,
            }
            for item in items
        ]
        if rows:
            tx.execute(run_items.insert(), rows)

    def close_item(self, tx: Connection, run: RunId, task: TaskName, item: Item) -> None:
        """Record how one of them ended."""
        of = {"run": run, "task": task, "number": item.number}
        error = None if item.error is None else as_json(item.error)
        _CLOSE_ITEM.do(tx, of | {"state": item.state, "report": as_json(item.report), "error": error})

    def items(
        self, tx: Connection, run: RunId, task: TaskName, *, after: int = -1, limit: int | None = None
    ) -> Sequence[Item]:
        """Return what a task is done for, in order: of those after a number, up to a limit."""
        query = sqlalchemy.select(run_items).where(run_items.c.run == run, run_items.c.task == task)
        query = query.where(run_items.c.number > after).limit(limit)
        return [
            Item(
                number=row.number,
                value=orjson.loads(row.value),
                state=row.state,
                report=orjson.loads(row.report),
                error=from_json(row.error),
            )
            for row in tx.execute(query.order_by(run_items.c.number))
        ]

    def successes(
        self, tx: Connection, workspace: WorkspaceId, project: str, pipeline: str, *, date: str | None
    ) -> Mapping[TaskName, str]:
        """Return the fingerprint of the last success of each task of a pipeline for a date."""
        of = {"workspace": workspace, "project": project, "pipeline": pipeline, "date": date or ""}
        return {TaskName(task): fingerprint for task, fingerprint in _SUCCESSES.fetch(tx, of)}

    def note_successes(
        self, tx: Connection, run: PipelineRun, tasks: Iterable[tuple[RunTask, str | None]], *, now: float
    ) -> None:
        """Remember the fingerprints of tasks that succeeded, and whose results readers see, each for a date or none."""
        rows = [
            {
                "workspace": run.workspace,
                "project": run.project,
                "pipeline": run.pipeline,
                "task": task.name,
                "date": date or "",
                "fingerprint": task.fingerprint,
                "run": run.id,
                "at": now,
            }
            for task, date in tasks
            if task.fingerprint is not None
        ]
        if rows:
            _NOTE_SUCCESS.do(tx, rows)

    def clear_progress(self, tx: Connection, run: RunId, task: TaskName) -> None:
        """Forget how far attempts of a task had come."""
        _CLEAR_PROGRESS.do(tx, {"run": run, "task": task})

    def progress(self, tx: Connection, run: RunId) -> Sequence[TaskProgress]:
        """Return how far the attempts have come that run now."""
        found = tx.execute(sqlalchemy.select(task_progress).where(task_progress.c.run == run))
        return [TaskProgress(TaskName(row.task), row.number, row.done, row.total, row.unit, row.at) for row in found]

    def logs(
        self, tx: Connection, run: RunId, *, task: str | None, after: int, limit: int
    ) -> Sequence[tuple[int, LogLine]]:
        """Return what tasks have said, each with its number, which grows."""
        query = sqlalchemy.select(task_logs).where(task_logs.c.run == run, task_logs.c.id > after)
        if task is not None:
            query = query.where(task_logs.c.task == task)
        return [
            (
                row.id,
                LogLine(
                    TaskName(row.task),
                    row.number,
                    row.attempt,
                    row.at,
                    row.level,
                    row.text,
                    orjson.loads(row.figures),
                ),
            )
            for row in tx.execute(query.order_by(task_logs.c.id).limit(limit))
        ]

    def checks(
        self,
        tx: Connection,
        workspace: WorkspaceId,
        *,
        run: str | None,
        table: str | None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[CheckResult]:
        """Return results of suites, the newest first; those before one, if that is named."""
        query = sqlalchemy.select(check_results).where(check_results.c.workspace == workspace)
        if run is not None:
            query = query.where(check_results.c.run == run)
        if table is not None:
            query = query.where(check_results.c.name == table)
        if before is not None:
            query = query.where(check_results.c.id < before)
        return [check_of(row) for row in tx.execute(query.order_by(check_results.c.id.desc()).limit(limit))]


def _counts(tx: Connection, backfill: str) -> dict[str, int]:
    return {state: count for state, count in _COUNTS.fetch(tx, {"backfill": backfill})}  # noqa: C416  # pairs, typed


def _conditions(wanted: RunFilter) -> Iterable[sqlalchemy.ColumnElement[bool]]:
    if wanted.project is not None:
        yield pipeline_runs.c.project == wanted.project
    if wanted.pipeline is not None:
        yield pipeline_runs.c.pipeline == wanted.pipeline
    if wanted.state is not None:
        yield runs.c.state == wanted.state
    if wanted.backfill is not None:
        yield pipeline_runs.c.backfill == wanted.backfill
    if wanted.before is not None:
        yield pipeline_runs.c.id < wanted.before
