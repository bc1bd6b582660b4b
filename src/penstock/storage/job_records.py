"""Jobs in the records database: what was asked for, how far it has come, and every attempt of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
import sqlalchemy
from sqlalchemy import Connection

from penstock.core.access import MemberId, WorkspaceId
from penstock.core.errors import NotFound
from penstock.core.jobs import (
    SMALL_PREFIX,
    BlobPointer,
    Counts,
    Job,
    JobFilter,
    JobInput,
    JobOptions,
    PastAttempt,
    ScriptId,
    VersionId,
    Webhook,
)
from penstock.core.plan import PlannedTask, RunId
from penstock.database.schema import job_labels, jobs, runs, scripts, task_progress, tasks, versions
from penstock.database.statements import Statement
from penstock.storage.request_keys import bind_key

_INSERT_RUN: Final = Statement(
    "INSERT INTO runs (id, workspace, kind, state, created_at, created_by)"
    " VALUES (:id, :workspace, 'job', 'queued', :created_at, :created_by)"
)
_INSERT_TASK: Final = Statement(
    "INSERT INTO tasks (run, name, workspace, kind, state, spec, fingerprint)"
    " VALUES (:run, :name, :workspace, :kind, 'waiting', '{}', :fingerprint)"
)
_INSERT_JOB: Final = Statement(
    "INSERT INTO jobs (id, workspace, script, version, asked, options, input, input_bytes, input_key, stored_bytes,"
    " replay_of) VALUES (:id, :workspace, :script, :version, :asked, :options, :input, :input_bytes, :input_key,"
    " :input_bytes, :replay_of)"
)
_INSERT_LABEL: Final = Statement(
    "INSERT INTO job_labels (job, name, workspace, value) VALUES (:job, :name, :workspace, :value)"
)
_SELECT: Final = (
    "SELECT j.*, r.state, r.created_at, r.created_by, r.started_at, r.finished_at, r.cancel_asked_at, r.error,"
    " t.parts, t.parts_done, s.name AS script_name, v.version AS version_number,"
    " CASE WHEN r.state = 'running' THEN"
    " (SELECT CAST(SUM(p.done) AS BIGINT) FROM task_progress p WHERE p.run = j.id) END AS records_begun"
    " FROM jobs j JOIN runs r ON r.id = j.id JOIN tasks t ON t.run = j.id AND t.name = 'script'"
    " JOIN scripts s ON s.id = j.script JOIN versions v ON v.id = j.version"
)
_READ: Final = Statement(f"{_SELECT} WHERE j.workspace = :workspace AND j.id = :job")
_HAVE_ENDED: Final = "r.state IN ('succeeded', 'failed', 'cancelled')"
_ENDED: Final = Statement(
    f"{_SELECT} WHERE j.id IN (SELECT value FROM json_each(:ids)) AND {_HAVE_ENDED}",
    postgresql=f"{_SELECT} WHERE j.id = ANY(:ids) AND {_HAVE_ENDED}",
)

_COLUMNS: Final = (
    jobs,
    runs.c.state,
    runs.c.created_at,
    runs.c.created_by,
    runs.c.started_at,
    runs.c.finished_at,
    runs.c.cancel_asked_at,
    runs.c.error,
    tasks.c.parts,
    tasks.c.parts_done,
    scripts.c.name.label("script_name"),
    versions.c.version.label("version_number"),
    sqlalchemy.case(
        (
            runs.c.state == "running",
            sqlalchemy.select(sqlalchemy.cast(sqlalchemy.func.sum(task_progress.c.done), sqlalchemy.BigInteger))
            .where(task_progress.c.run == jobs.c.id)
            .scalar_subquery(),
        )
    ).label("records_begun"),
)
_JOINED: Final = (
    jobs.join(runs, runs.c.id == jobs.c.id)
    .join(tasks, sqlalchemy.and_(tasks.c.run == jobs.c.id, tasks.c.name == "script"))
    .join(scripts, scripts.c.id == jobs.c.script)
    .join(versions, versions.c.id == jobs.c.version)
)


class SqlJobRecords:
    """The JobRecords of a server."""

    def insert(self, tx: Connection, job: Job, task: PlannedTask) -> None:
        """Record a new job: a run of a plan with one task."""
        _INSERT_RUN.do(
            tx,
            {
                "id": job.id,
                "workspace": job.workspace,
                "created_at": job.created_at,
                "created_by": job.created_by,
            },
        )
        _INSERT_TASK.do(
            tx,
            {
                "run": job.id,
                "name": task.name,
                "workspace": job.workspace,
                "kind": task.kind,
                "fingerprint": task.fingerprint,
            },
        )
        _INSERT_JOB.do(
            tx,
            {
                "id": job.id,
                "workspace": job.workspace,
                "script": job.script,
                "version": job.version,
                "asked": job.asked,
                "options": orjson.dumps(job.options).decode(),
                "input": orjson.dumps(job.input).decode(),
                "input_bytes": job.input.blob.size_bytes,
                "input_key": None if job.input.blob.key.startswith(SMALL_PREFIX) else job.input.blob.key,
                "replay_of": job.replay_of,
            },
        )
        if job.options.labels:
            labels = job.options.labels.items()
            of_job = {"job": job.id, "workspace": job.workspace}
            _INSERT_LABEL.do(tx, [{**of_job, "name": name, "value": value} for name, value in labels])

    def remember_key(
        self, tx: Connection, workspace: WorkspaceId, key: str, *, body_sha256: str, job: RunId, now: float
    ) -> tuple[RunId, str] | None:
        """Bind an idempotency key to a job; or return the job and body that it is bound to already."""
        bound = bind_key(tx, workspace, key, body_sha256=body_sha256, made=job, now=now)
        return None if bound is None else (RunId(bound[0]), bound[1])

    def read(self, tx: Connection, workspace: WorkspaceId, job: str) -> Job:
        """Return one job.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        rows = _READ.named(tx, {"workspace": workspace, "job": job})
        if not rows:
            raise NotFound(f"there is no job {job}", hint="List what there is: penstock jobs list")
        return _job(rows[0])

    def list(self, tx: Connection, workspace: WorkspaceId, wanted: JobFilter) -> list[Job]:
        """Return jobs, newest first."""
        query = sqlalchemy.select(*_COLUMNS).select_from(_JOINED).where(jobs.c.workspace == workspace)
        for condition in _conditions(workspace, wanted):
            query = query.where(condition)
        return [_job(row) for row in tx.execute(query.order_by(jobs.c.id.desc()).limit(wanted.limit))]

    def ask_cancel(self, tx: Connection, job: RunId, *, now: float) -> None:
        """Record that a running job is to end."""
        tx.execute(runs.update().where(runs.c.id == job, runs.c.cancel_asked_at.is_(None)).values(cancel_asked_at=now))

    def past_attempts(self, tx: Connection, workspace: WorkspaceId, job: RunId) -> Sequence[PastAttempt]:
        """Return the tries that have ended, the first first."""
        return [
            PastAttempt(
                part=row.part,
                number=row.part_number,
                attempt=row.attempt,
                worker=row.worker,
                started_at=row.started_at,
                finished_at=row.finished_at,
                outcome=row.outcome,
                cpu_s=row.cpu_s,
                error=row.error and orjson.loads(row.error),
            )
            for row in _PAST.run(tx, {"workspace": workspace, "run": job})
        ]

    def ended(self, tx: Connection, job_ids: Sequence[str]) -> Sequence[Job]:
        """Return those of some jobs that have ended, whosever they are: for those who wait inside the service."""
        ids: Any = list(job_ids) if tx.dialect.name == "postgresql" else orjson.dumps(job_ids).decode()
        return [_job(row) for row in _ENDED.named(tx, {"ids": ids})]


_PAST: Final = Statement("SELECT * FROM attempts WHERE workspace = :workspace AND run = :run ORDER BY id LIMIT 10000")


def _conditions(workspace: WorkspaceId, wanted: JobFilter) -> Iterable[sqlalchemy.ColumnElement[bool]]:
    if wanted.state is not None:
        yield runs.c.state == wanted.state
    if wanted.script is not None:
        yield sqlalchemy.or_(jobs.c.script == wanted.script, scripts.c.name == wanted.script)
    if wanted.created_after is not None:
        yield runs.c.created_at >= wanted.created_after
    if wanted.created_before is not None:
        yield runs.c.created_at < wanted.created_before
    if wanted.before is not None:
        yield jobs.c.id < wanted.before
    for name, value in wanted.labels.items():
        labelled = sqlalchemy.select(job_labels.c.job).where(
            job_labels.c.workspace == workspace, job_labels.c.name == name, job_labels.c.value == value
        )
        yield jobs.c.id.in_(labelled)


def _job(row: Any) -> Job:
    account = orjson.loads(row.account) if row.account else {}
    return Job(
        id=RunId(row.id),
        workspace=WorkspaceId(row.workspace),
        state=row.state,
        script=ScriptId(row.script),
        script_name=row.script_name,
        version=VersionId(row.version),
        version_number=row.version_number,
        asked=row.asked,
        input=read_input(row.input),
        options=read_options(row.options),
        created_at=row.created_at,
        created_by=MemberId(row.created_by),
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=Counts(**account["counts"]) if account else Counts(records=row.records_done + (row.records_begun or 0)),
        causes=tuple(account.get("causes", ())),
        chunks=row.parts,
        chunks_done=row.parts_done,
        result=_pointer(row.result_key, row.result_bytes, row.result_sha256),
        dead_letters=_pointer(row.letters_key, row.letters_bytes, row.letters_sha256),
        error=orjson.loads(row.error) if row.error else None,
        cancel_asked_at=row.cancel_asked_at,
        replay_of=row.replay_of and RunId(row.replay_of),
    )


def _pointer(key: str | None, size_bytes: int | None, sha256: str | None) -> BlobPointer | None:
    return None if key is None else BlobPointer(key, size_bytes or 0, sha256 or "")


def read_input(text: str) -> JobInput:
    """Return a job's input from its JSON."""
    fields = orjson.loads(text)
    return JobInput(**fields | {"blob": BlobPointer(**fields["blob"])})


def read_options(text: str) -> JobOptions:
    """Return a job's options from their JSON."""
    fields = orjson.loads(text)
    return JobOptions(**fields | {"webhook": fields["webhook"] and Webhook(**fields["webhook"])})
