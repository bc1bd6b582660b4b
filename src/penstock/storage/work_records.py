"""What a worker's round reads and writes of jobs: attempts that ended, chunks, endings, usage, deliveries, workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson
import sqlalchemy
from sqlalchemy import Connection, Row

from penstock.core.access import Policy, WorkspaceId
from penstock.core.jobs import AttemptReport, BlobPointer, Entry, ScriptId, VersionId
from penstock.core.plan import RunId
from penstock.core.work import Ended, Ending, Piece, PiecesDone, Work, WorkerState
from penstock.database.schema import deliveries, parts, runs, tasks, workers, workspaces
from penstock.database.statements import ManyStatement, Statement
from penstock.storage.job_records import read_input, read_options

_INSERT_ATTEMPT: Final = Statement(
    "INSERT INTO attempts (workspace, run, task, part, part_number, attempt, worker, started_at, finished_at, outcome,"
    " error, cpu_s) VALUES (:workspace, :run, :task, :part, :number, :attempt, :worker, :started_at, :finished_at,"
    " :outcome, :error, :cpu_s)"
)
_CLOSE_RUN: Final = Statement(
    "UPDATE runs SET state = :state, finished_at = :at, error = :error"
    " WHERE id = :run AND state IN ('queued', 'running')"
)
_CLOSE_TASK: Final = Statement("UPDATE tasks SET state = :state WHERE run = :run")
_CLOSE_JOB: Final = Statement(
    "UPDATE jobs SET account = :account, result_key = :result_key, result_bytes = :result_bytes,"
    " result_sha256 = :result_sha256, letters_key = :letters_key, letters_bytes = :letters_bytes,"
    " letters_sha256 = :letters_sha256 WHERE id = :run"
)
_ADD_STORED: Final = Statement("UPDATE jobs SET stored_bytes = stored_bytes + :more WHERE id = :run")
_START: Final = Statement("UPDATE runs SET state = 'running', started_at = :now WHERE id = :run AND state = 'queued'")
_JOIN: Final = Statement("UPDATE tasks SET state = 'joining' WHERE run = :run AND state <> 'joining'")
_CLOSE_PIECE: Final = Statement(
    "UPDATE parts SET state = 'succeeded', report = :report"
    " WHERE run = :run AND task = 'script' AND number = :number AND state <> 'succeeded'"
)
_COUNT_PIECE: Final = Statement(
    "UPDATE tasks SET parts_done = parts_done + 1 WHERE run = :run RETURNING parts_done, spec"
)
_COUNT_RECORDS: Final = Statement("UPDATE jobs SET records_done = records_done + :records WHERE id = :run")
_PUT_DONE: Final = Statement(
    "INSERT INTO task_progress (run, task, number, workspace, done, unit, at)"
    " VALUES (:run, :task, :number, :workspace, :done, 'records', :now)"
    " ON CONFLICT (run, task, number) DO UPDATE SET done = excluded.done, at = excluded.at"
)
_FORGET_DONE: Final = Statement("DELETE FROM task_progress WHERE run = :run AND task = 'script' AND number = :number")
_SPEC: Final = Statement("UPDATE tasks SET spec = :spec WHERE run = :run")
_ADD_USAGE: Final = Statement(
    "INSERT INTO usage (workspace, day, cpu_s, jobs, records) VALUES (:workspace, :day, :cpu_s, :jobs, :records)"
    " ON CONFLICT (workspace, day) DO UPDATE SET cpu_s = usage.cpu_s + excluded.cpu_s,"
    " jobs = usage.jobs + excluded.jobs, records = usage.records + excluded.records"
)
_PUT_WORKER: Final = Statement(
    "INSERT INTO workers (id, host, pid, state, slots, busy, sandbox_level, started_at, heartbeat_at, clock_ahead_s)"
    " VALUES (:id, :host, :pid, :state, :slots, :busy, :sandbox_level, :started_at, :now, :clock_ahead_s)"
    " ON CONFLICT (id) DO UPDATE SET state = excluded.state, slots = excluded.slots, busy = excluded.busy,"
    " sandbox_level = excluded.sandbox_level, heartbeat_at = excluded.heartbeat_at,"
    " clock_ahead_s = excluded.clock_ahead_s"
)
_WORK: Final = ManyStatement(
    "SELECT jobs.id, jobs.workspace, jobs.script, jobs.version, jobs.input, jobs.options, runs.state,"
    " runs.cancel_asked_at, tasks.parts, tasks.spec, versions.state AS version_state"
    " FROM jobs JOIN runs ON runs.id = jobs.id JOIN tasks ON tasks.run = jobs.id AND tasks.name = 'script'"
    " JOIN versions ON versions.id = jobs.version WHERE jobs.id IN (:keys)"
)


class SqlWorkRecords:
    """The WorkRecords of a server."""

    def close_attempts(self, tx: Connection, ended: Sequence[Ended]) -> None:
        """Record attempts that have ended."""
        if ended:
            _INSERT_ATTEMPT.do(tx, [_attempt(each) for each in ended])

    def close_jobs(self, tx: Connection, endings: Sequence[Ending]) -> None:
        """Record how jobs ended, with their accounts, results and dead letters."""
        if not endings:
            return
        _CLOSE_RUN.do(
            tx, [{"run": each.run, "state": each.state, "at": each.at, "error": _json(each.error)} for each in endings]
        )
        _CLOSE_TASK.do(tx, [{"run": each.run, "state": each.state} for each in endings])
        _CLOSE_JOB.do(
            tx,
            [
                {
                    "run": each.run,
                    "account": _json(each.account),
                    **_pointer("result", each.result),
                    **_pointer("letters", each.dead_letters),
                }
                for each in endings
            ],
        )

    def start(self, tx: Connection, run_ids: Sequence[RunId], *, now: float) -> None:
        """Record that jobs run, those that did not yet."""
        if run_ids:
            _START.do(tx, [{"run": run, "now": now} for run in run_ids])

    def work(self, tx: Connection, run_ids: Sequence[RunId]) -> Mapping[RunId, Work]:
        """Return what it takes to go on with some jobs."""
        found = _WORK.run(tx, run_ids)
        return {row.id: _work(row) for row in found}

    def insert_pieces(
        self, tx: Connection, work: Work, pieces: Sequence[Piece], *, skipped: Sequence[Sequence[str]]
    ) -> None:
        """Record the chunks of a job, and what was left out when it was cut into them."""
        if pieces:
            rows = [
                {
                    "run": work.run,
                    "task": "script",
                    "number": piece.number,
                    "workspace": work.workspace,
                    "state": "waiting",
                    "input": orjson.dumps(asdict(piece.input)).decode(),
                }
                for piece in pieces
            ]
            tx.execute(parts.insert(), rows)
        spec = orjson.dumps({"skipped": [list(each) for each in skipped]}).decode()
        tx.execute(tasks.update().where(tasks.c.run == work.run).values(parts=len(pieces), spec=spec))

    def close_piece(self, tx: Connection, work: Work, number: int, report: AttemptReport) -> PiecesDone | None:
        """Record the end of a chunk and return what has been done of the job; None when it had been recorded before."""
        kept = {
            "report": report.report,
            "output": report.output and asdict(report.output),
            "dead_letters": report.dead_letters and asdict(report.dead_letters),
        }
        values = {"run": work.run, "number": number, "report": orjson.dumps(kept).decode()}
        if not _CLOSE_PIECE.do(tx, values):
            return None
        counted = _COUNT_PIECE.run(tx, {"run": work.run}).one()
        spec = orjson.loads(counted.spec)
        spec["records"] = spec.get("records", 0) + report.report["records"]
        spec["failed"] = spec.get("failed", 0) + report.report["failed"]
        _SPEC.do(tx, {"run": work.run, "spec": orjson.dumps(spec).decode()})
        _COUNT_RECORDS.do(tx, {"run": work.run, "records": report.report["records"]})
        _FORGET_DONE.do(tx, {"run": work.run, "number": number})
        return PiecesDone(counted.parts_done, spec["records"], spec["failed"])

    def begin_join(self, tx: Connection, run_id: RunId) -> bool:
        """Record that the chunks are to be put together; False when somebody has already."""
        return bool(_JOIN.do(tx, {"run": run_id}))

    def pieces(self, tx: Connection, run_id: RunId, *, number: int | None = None) -> tuple[Piece, ...]:
        """Return the chunks of a job in order, or one of them."""
        query = sqlalchemy.select(parts).where(parts.c.run == run_id)
        if number is not None:
            query = query.where(parts.c.number == number)
        return tuple(_piece(row) for row in tx.execute(query.order_by(parts.c.number)))

    def add_usage(
        self, tx: Connection, workspace: WorkspaceId, *, day: str, cpu_s: float, jobs: int, records: int
    ) -> None:
        """Count what was used on a day."""
        values = {"workspace": workspace, "day": day, "cpu_s": cpu_s, "jobs": jobs, "records": records}
        _ADD_USAGE.do(tx, values)

    def put_done(self, tx: Connection, done: Sequence[tuple[Entry, int]], *, now: float) -> None:
        """Record how many of their records attempts have done that run."""
        if done:
            rows = [
                {
                    "run": entry.run,
                    "task": entry.task,
                    "number": entry.number,
                    "workspace": entry.workspace,
                    "done": records,
                    "now": now,
                }
                for entry, records in done
            ]
            _PUT_DONE.do(tx, rows)

    def add_stored(self, tx: Connection, stored: Mapping[RunId, int]) -> None:
        """Count bytes that jobs have stored."""
        if stored:
            _ADD_STORED.do(tx, [{"run": run, "more": size_bytes} for run, size_bytes in stored.items()])

    def add_delivery(self, tx: Connection, work: Work) -> None:
        """Record that a webhook is to be sent."""
        assert work.options.webhook is not None, "a delivery needs somebody to be told"
        hook = work.options.webhook
        values = {"run": work.run, "workspace": work.workspace, "url": hook.url, "secret": hook.secret}
        tx.execute(deliveries.insert().values(state="waiting", **values))

    def close_delivery(self, tx: Connection, run_id: RunId, *, state: str, error: str | None, now: float) -> None:
        """Record how a try to send a webhook ended: `waiting`, `delivered` or `failed`."""
        tx.execute(
            deliveries.update()
            .where(deliveries.c.run == run_id)
            .values(
                state=state,
                attempts=deliveries.c.attempts + 1,
                last_error=error,
                delivered_at=now if state == "delivered" else None,
            )
        )

    def cancelled(self, tx: Connection, run_ids: Sequence[RunId]) -> frozenset[RunId]:
        """Return those of some jobs that are to end, or have, though somebody works on them."""
        if not run_ids:
            return frozenset()
        ended = sqlalchemy.or_(runs.c.cancel_asked_at.is_not(None), runs.c.state.in_(["failed", "cancelled"]))
        query = sqlalchemy.select(runs.c.id).where(runs.c.id.in_(list(run_ids)), ended)
        return frozenset(RunId(row.id) for row in tx.execute(query))

    def policy(self, tx: Connection, workspace: WorkspaceId) -> Policy:
        """Return what a workspace's work may reach outside."""
        stored = tx.execute(sqlalchemy.select(workspaces.c.policy).where(workspaces.c.id == workspace)).scalar_one()
        return Policy(tuple(orjson.loads(stored).get("egress", ())))

    def put_worker(self, tx: Connection, worker: WorkerState, *, now: float) -> None:
        """Record that a worker is alive."""
        _PUT_WORKER.do(tx, asdict(worker) | {"now": now})

    def remove_worker(self, tx: Connection, worker: str) -> None:
        """Record that a worker has left."""
        tx.execute(workers.delete().where(workers.c.id == worker))


def _attempt(ended: Ended) -> dict[str, Any]:
    entry, report = ended.lease.entry, ended.report
    return {
        "workspace": entry.workspace,
        "run": entry.run,
        "task": entry.task,
        "part": entry.part,
        "number": entry.number,
        "attempt": entry.attempt,
        "worker": ended.lease.worker,
        "started_at": ended.started_at,
        "finished_at": ended.finished_at,
        "outcome": report.outcome,
        "error": None if report.error is None else orjson.dumps(report.error).decode(),
        "cpu_s": report.cpu_s,
    }


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _pointer(name: str, pointer: BlobPointer | None) -> dict[str, Any]:
    return {
        f"{name}_key": pointer and pointer.key,
        f"{name}_bytes": pointer and pointer.size_bytes,
        f"{name}_sha256": pointer and pointer.sha256,
    }


def _work(row: Row[Any]) -> Work:
    return Work(
        run=RunId(row.id),
        workspace=WorkspaceId(row.workspace),
        state=row.state,
        script=ScriptId(row.script),
        version=VersionId(row.version),
        input=read_input(row.input),
        options=read_options(row.options),
        pieces=row.parts,
        skipped=tuple(tuple(each) for each in orjson.loads(row.spec).get("skipped", ())),
        cancel_asked=row.cancel_asked_at is not None,
        revoked=row.version_state == "revoked",
    )


def _piece(row: Row[Any]) -> Piece:
    kept = orjson.loads(row.report) if row.report else {}
    return Piece(
        number=row.number,
        input=BlobPointer(**orjson.loads(row.input)),
        report=kept.get("report"),
        output=kept.get("output") and BlobPointer(**kept["output"]),
        dead_letters=kept.get("dead_letters") and BlobPointer(**kept["dead_letters"]),
    )
