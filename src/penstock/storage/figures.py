"""Figures of all workspaces together, for operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson

from penstock.core.figures import AttemptFigures, QueueFigures, WorkerFigures
from penstock.database.statements import Statement

_WORKSPACES_MAX: Final = 500
_WORKERS_MAX: Final = 1_000
_ATTEMPTS_MAX: Final = 50_000  # between two looks; more is counted by the next

_QUEUES: Final = Statement(
    "SELECT w.workspace, w.scheduled, w.ready, w.running,"
    " (SELECT MIN(e.ready_at) FROM queue_entries e WHERE e.workspace = w.workspace AND e.state = 'ready') AS oldest"
    " FROM queue_workspaces w ORDER BY w.ready DESC, w.running DESC LIMIT :most"
)
_WORKERS: Final = Statement(
    "SELECT id, state, slots, busy, sandbox_level, heartbeat_at FROM workers WHERE heartbeat_at >= :since"
    " ORDER BY id LIMIT :most"
)
_LAST: Final = Statement("SELECT MAX(id) AS id FROM attempts")
_ATTEMPTS: Final = Statement(
    "SELECT id, outcome, error, finished_at FROM attempts WHERE id > :after ORDER BY id LIMIT :most"
)


class SqlFigures:
    """The Figures of a server."""

    def queues(self, tx: Any) -> Sequence[QueueFigures]:
        """Return the workspaces with the most in the queue."""
        return [
            QueueFigures(row.workspace, row.scheduled, row.ready, row.running, row.oldest)
            for row in _QUEUES.run(tx, {"most": _WORKSPACES_MAX})
        ]

    def workers(self, tx: Any, *, alive_since: float) -> Sequence[WorkerFigures]:
        """Return the workers that were heard of since."""
        return [
            WorkerFigures(row.id, row.state, row.slots, row.busy, row.sandbox_level, row.heartbeat_at)
            for row in _WORKERS.run(tx, {"since": alive_since, "most": _WORKERS_MAX})
        ]

    def last_attempt(self, tx: Any) -> int:
        """Return the number of the newest attempt, 0 when there is none."""
        return _LAST.run(tx, {}).one().id or 0

    def attempts(self, tx: Any, *, after: int, until: float) -> AttemptFigures:
        """Return what became of attempts with higher numbers than one that ended before a time."""
        outcomes: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        last_id = after
        for row in _ATTEMPTS.run(tx, {"after": after, "most": _ATTEMPTS_MAX}):
            if row.finished_at >= until:  # one with a lower number may not be committed yet
                break
            last_id = row.id
            outcomes[row.outcome] += 1
            if row.error:
                codes[_code_of(row.error)] += 1
        return AttemptFigures(last_id, outcomes, codes)


def _code_of(error: str) -> str:
    code: str = orjson.loads(error).get("code", "unknown")
    return code
