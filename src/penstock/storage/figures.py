"""Figures of all workspaces together, for operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson

from penstock.core.figures import EndedFigures, QueueFigures, WorkerFigures
from penstock.database.statements import Statement

_WORKSPACES_MAX: Final = 500
_WORKERS_MAX: Final = 1_000
_ENDED_MAX: Final = 20_000  # between two looks; more is counted by the next

_QUEUES: Final = Statement(
    # Changes are folded into the counters by whoever leases: while no worker is alive, all there is may stand in them.
    "SELECT w.workspace, w.scheduled, w.ready, w.running,"
    " (SELECT MIN(e.ready_at) FROM queue_entries e WHERE e.workspace = w.workspace AND e.state = 'ready') AS oldest"
    " FROM (SELECT workspace, SUM(scheduled) AS scheduled, SUM(ready) AS ready, SUM(running) AS running FROM"
    " (SELECT workspace, scheduled, ready, running FROM queue_workspaces"
    " UNION ALL SELECT workspace, scheduled, ready, running FROM queue_changes) AS counted"
    " GROUP BY workspace ORDER BY SUM(ready) DESC LIMIT :most) AS w"
)
_WORKERS: Final = Statement(
    "SELECT id, state, slots, busy, sandbox_level, heartbeat_at, clock_ahead_s FROM workers"
    " WHERE heartbeat_at >= :since ORDER BY id LIMIT :most"
)
_LAST: Final = Statement("SELECT MAX(id) AS id FROM attempts")
_JOBS: Final = Statement(
    "SELECT r.finished_at, j.account FROM runs r JOIN jobs j ON j.id = r.id"
    " WHERE r.finished_at > :after AND r.finished_at < :until ORDER BY r.finished_at LIMIT :most"
)
_ATTEMPTS: Final = Statement(
    "SELECT id, outcome, error, finished_at FROM attempts WHERE id > :after ORDER BY id LIMIT :most"
)
_TIME: Final = Statement("SELECT NULL", postgresql="SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")


class SqlFigures:
    """The Figures of a server."""

    def time(self, tx: Any) -> float | None:
        """Return the time by the database's own clock; None when that is this machine's."""
        at: float | None = _TIME.fetch(tx)[0][0]
        return at

    def queues(self, tx: Any) -> Sequence[QueueFigures]:
        """Return the workspaces with the most in the queue."""
        return [
            QueueFigures(row.workspace, int(row.scheduled), int(row.ready), int(row.running), row.oldest)
            for row in _QUEUES.run(tx, {"most": _WORKSPACES_MAX})
        ]

    def workers(self, tx: Any, *, alive_since: float) -> Sequence[WorkerFigures]:
        """Return the workers that were heard of since."""
        return [WorkerFigures(*row) for row in _WORKERS.run(tx, {"since": alive_since, "most": _WORKERS_MAX})]

    def last_attempt(self, tx: Any) -> int:
        """Return the number of the newest attempt, 0 when there is none."""
        return _LAST.run(tx, {}).one().id or 0

    def ended(self, tx: Any, *, after_attempt: int, after: float, until: float) -> EndedFigures:
        """Return what has ended since."""
        outcomes: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        last_attempt, last_job_at = after_attempt, after
        for row in _ATTEMPTS.run(tx, {"after": after_attempt, "most": _ENDED_MAX}):
            if row.finished_at >= until:  # one with a lower number may not be committed yet
                break
            last_attempt = row.id
            outcomes[row.outcome] += 1
            if row.error:
                errors[orjson.loads(row.error).get("code", "unknown")] += 1
        for row in _JOBS.run(tx, {"after": after, "until": until, "most": _ENDED_MAX}):
            last_job_at = row.finished_at
            for cause in orjson.loads(row.account).get("causes", ()) if row.account else ():
                errors[cause["code"]] += cause["records"]
        return EndedFigures(last_attempt, last_job_at, outcomes, errors)
