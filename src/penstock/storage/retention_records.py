"""What has been kept long enough, in the records database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
import sqlalchemy
from sqlalchemy import Connection, Row

from penstock.core.access import WorkspaceId
from penstock.core.jobs import SMALL_PREFIX
from penstock.core.plan import RunId
from penstock.core.retention import Removed
from penstock.database.schema import (
    attempts,
    deliveries,
    idempotency,
    job_labels,
    jobs,
    parts,
    queue_entries,
    runs,
    task_progress,
    tasks,
    workers,
    workspaces,
)
from penstock.database.statements import Statement

_DELETE_ROWS_UNDER: Final = Statement("DELETE FROM small_blobs WHERE key >= :first AND key < :end")
_DELETE_ROW: Final = Statement("DELETE FROM small_blobs WHERE key = :key")
_ADD_STORED: Final = Statement("UPDATE jobs SET stored_bytes = stored_bytes + :more WHERE id = :run")
_DELETE_PIECE: Final = Statement("DELETE FROM parts WHERE run = :run AND task = :task AND number = :number")
_FORGET_KEYS: Final = Statement(
    "DELETE FROM idempotency WHERE (workspace, key) IN"
    " (SELECT workspace, key FROM idempotency WHERE forget_at < :now LIMIT :limit)"
)
_ATTEMPTS_MAX: Final = 5_000  # of jobs that are removed in one transaction
_UPLOADS: Final = "uploads"
_JOBS: Final = "jobs"
# What hangs on a run: table and the column that names the run. The job and the run itself go last.
_OF_A_RUN: Final = (
    job_labels.c.job,
    attempts.c.run,
    deliveries.c.run,
    task_progress.c.run,
    tasks.c.run,
    jobs.c.id,
    runs.c.id,
)


class SqlRetentionRecords:
    """The RetentionRecords of a server."""

    def leads(self, tx: Connection, worker: str, *, seen_after: float) -> bool:
        """Return whether a worker is the first of those that were seen lately."""
        first = sqlalchemy.select(sqlalchemy.func.min(workers.c.id)).where(workers.c.heartbeat_at >= seen_after)
        return tx.execute(first).scalar() in (worker, None)

    def remove_jobs(self, tx: Connection, *, ended_before: float, forget_at: float, limit: int) -> Sequence[Removed]:
        """Remove jobs with all that is known of them, but for their idempotency keys."""
        rows = _affordable(tx.execute(_kept_too_long(ended_before, limit)).all())
        if not rows:
            return []
        run_ids = [row.id for row in rows]
        keys = {row.id: _keys_of_job(row) for row in rows}
        self._delete_small(tx, rows)
        for column in _OF_A_RUN:
            tx.execute(column.table.delete().where(column.in_(run_ids)))
        tx.execute(idempotency.update().where(idempotency.c.job.in_(run_ids)).values(forget_at=forget_at))
        needed = self._inputs(tx, set().union(*keys.values()))
        return [
            Removed(RunId(row.id), WorkspaceId(row.workspace), row.stored_bytes, tuple(sorted(keys[row.id] - needed)))
            for row in rows
        ]

    def remove_pieces(self, tx: Connection, *, limit: int) -> Sequence[Removed]:
        """Remove some of the chunks of jobs that have ended, the last ones of a job first."""
        # The first chunk of each job has an index of its own; runs that have ended are many more.
        over = sqlalchemy.exists().where(runs.c.id == parts.c.run, runs.c.finished_at.is_not(None))
        at_work = sqlalchemy.exists().where(queue_entries.c.run == parts.c.run, queue_entries.c.part != "webhook")
        ended = sqlalchemy.select(parts.c.run).where(sqlalchemy.text("parts.number = 0"), over, ~at_work).limit(limit)
        run_ids = list(tx.execute(ended).scalars())
        last = sqlalchemy.select(parts).where(parts.c.run.in_(run_ids))
        rows = tx.execute(last.order_by(parts.c.run, parts.c.number.desc()).limit(limit)).all() if run_ids else []
        if not rows:
            return []
        _DELETE_PIECE.run(tx, [{"run": row.run, "task": row.task, "number": row.number} for row in rows])
        keys: dict[tuple[str, str], set[str]] = {}
        stored: dict[str, int] = {}
        for row in rows:
            found, size_bytes = _keys_of_piece(row)
            keys.setdefault((row.run, row.workspace), set()).update(found)
            stored[row.run] = stored.get(row.run, 0) + size_bytes
        _ADD_STORED.run(tx, [{"run": run, "more": -size_bytes} for run, size_bytes in stored.items()])
        needed = self._inputs(tx, set().union(*keys.values()))
        return [
            Removed(RunId(run), WorkspaceId(workspace), stored[run], tuple(sorted(found - needed)))
            for (run, workspace), found in keys.items()
        ]

    def forget(self, tx: Connection, *, now: float, seen_before: float, limit: int) -> None:
        """Remove idempotency keys whose time is over, and workers that have not been seen for long."""
        _FORGET_KEYS.run(tx, {"now": now, "limit": limit})
        tx.execute(workers.delete().where(workers.c.heartbeat_at < seen_before))

    def orphans(self, tx: Connection, keys: Sequence[str], *, ended_before: float) -> Sequence[str]:
        """Return those of the keys that nothing points to.

        Only what Penstock names itself is looked at, `<workspace>/uploads/...` and `<workspace>/jobs/<job>/...`, and
        only of workspaces that are in this database: another server may use the same bucket.
        """
        split = {key: key.split("/") for key in keys}
        candidates = {key: path for key, path in split.items() if len(path) > 2 and path[1] in (_UPLOADS, _JOBS)}
        ours = self._present(tx, workspaces.c.id, {path[0] for path in candidates.values()})
        pointed_to, kept_whole = self._pointed_to(
            tx, {path[2] for path in candidates.values() if path[1] == _JOBS}, ended_before
        )
        pointed_to |= self._inputs(tx, candidates)
        return [
            key
            for key, path in candidates.items()
            if path[0] in ours and key not in pointed_to and not (path[1] == _JOBS and path[2] in kept_whole)
        ]

    def _delete_small(self, tx: Connection, rows: Sequence[Row[Any]]) -> None:
        """Delete the small blobs of jobs: all that their attempts made, and their inputs."""
        prefixes = [f"{SMALL_PREFIX}{row.workspace}/{_JOBS}/{row.id}" for row in rows]
        _DELETE_ROWS_UNDER.run(tx, [{"first": f"{prefix}/", "end": f"{prefix}0"} for prefix in prefixes])  # 0 follows /
        inputs = [_input_key(row) for row in rows if row.replay_of is None]  # else it is that of the job it repeats
        if small := [key for key in inputs if key.startswith(SMALL_PREFIX)]:
            _DELETE_ROW.run(tx, [{"key": key} for key in small])

    def _inputs(self, tx: Connection, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that jobs read."""
        return self._present(tx, jobs.c.input_key, keys)

    def _present(self, tx: Connection, column: sqlalchemy.ColumnElement[Any], values: Iterable[str]) -> set[str]:
        wanted = list(values)
        return set(tx.execute(sqlalchemy.select(column).where(column.in_(wanted))).scalars()) if wanted else set()

    def _pointed_to(self, tx: Connection, job_ids: Iterable[str], ended_before: float) -> tuple[set[str], set[str]]:
        """Return the results and dead letters of jobs, and the jobs of which everything is still needed."""
        query = (
            sqlalchemy.select(jobs.c.id, jobs.c.result_key, jobs.c.letters_key, runs.c.finished_at)
            .join(runs, runs.c.id == jobs.c.id)
            .where(jobs.c.id.in_(list(job_ids)))
        )
        rows = tx.execute(query).all()
        kept_whole = {row.id for row in rows if row.finished_at is None or row.finished_at >= ended_before}
        return {key for row in rows for key in (row.result_key, row.letters_key) if key}, kept_whole


def _kept_too_long(ended_before: float, limit: int) -> sqlalchemy.Select[Any]:
    repeating = jobs.alias("repeating")
    return (
        sqlalchemy.select(
            runs.c.id,
            runs.c.workspace,
            jobs.c.stored_bytes,
            jobs.c.input,
            jobs.c.result_key,
            jobs.c.letters_key,
            jobs.c.replay_of,
            tasks.c.parts,
        )
        .join(jobs, jobs.c.id == runs.c.id)
        .join(tasks, tasks.c.run == runs.c.id)
        .where(
            runs.c.finished_at < ended_before,
            ~sqlalchemy.exists().where(repeating.c.replay_of == runs.c.id),
            ~sqlalchemy.exists().where(queue_entries.c.run == runs.c.id),
            ~sqlalchemy.exists().where(parts.c.run == runs.c.id),  # they go before it
        )
        .order_by(runs.c.finished_at)
        .limit(limit)
        .with_for_update(of=runs, skip_locked=True)
    )


def _affordable(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return the first rows whose jobs have no more attempts together than one transaction should delete."""
    taken: list[Row[Any]] = []
    attempts_left = _ATTEMPTS_MAX
    for row in rows:
        attempts_left -= (row.parts or 0) + 1
        if taken and attempts_left < 0:
            break
        taken.append(row)
    return taken


def _keys_of_job(row: Row[Any]) -> set[str]:
    """Return the keys of a job's blobs that are no rows; an object that its owner put there stays."""
    keys = {row.result_key, row.letters_key}
    if row.replay_of is None and (key := _input_key(row)).startswith(f"{row.workspace}/{_UPLOADS}/"):
        keys.add(key)
    return {key for key in keys if key and not key.startswith(SMALL_PREFIX)}


def _keys_of_piece(row: Row[Any]) -> tuple[set[str], int]:
    """Return the keys of a chunk's blobs, and how many bytes they were counted with."""
    kept = orjson.loads(row.report) if row.report else {}
    found = (orjson.loads(row.input), kept.get("output"), kept.get("dead_letters"))
    pointers = [pointer for pointer in found if pointer]
    keys = {pointer["key"] for pointer in pointers if not pointer["key"].startswith(SMALL_PREFIX)}
    return keys, sum(pointer["size_bytes"] for pointer in pointers)


def _input_key(row: Row[Any]) -> str:
    key: str = orjson.loads(row.input)["blob"]["key"]
    return key
