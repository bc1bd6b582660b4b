"""What decides when a run's foremost entry goes, read from the tables."""

from __future__ import annotations

from typing import Any, Final

from penstock.core import limits
from penstock.core.jobs import Entry
from penstock.core.plan import RunId
from penstock.database.statements import Statement
from penstock.queue.entries import COLUMNS, entry_of
from penstock.queue.explaining import Bound, Situation

_FOREMOST: Final = Statement(f"""
    SELECT {COLUMNS}, state FROM queue_entries WHERE run = :run AND state <> 'leased'
    ORDER BY state, COALESCE(not_before, 0), rank, id LIMIT 1""")  # "ready" stands before "scheduled"
_RUNNING: Final = """
    SELECT SUM(running), MAX(running_max) FROM (
        SELECT running, running_max FROM {table} WHERE {which}
        UNION ALL SELECT running, NULL FROM queue_changes WHERE {which}
    ) AS counted"""
_WORKSPACE: Final = Statement(_RUNNING.format(table="queue_workspaces", which="workspace = :workspace"))
_LANE: Final = Statement(_RUNNING.format(table="queue_lanes", which="workspace = :workspace AND lane = :lane"))
_PAUSED: Final = Statement(
    "SELECT paused_at, paused_reason FROM queue_lanes WHERE workspace = :workspace AND lane = :lane"
)
_WORKERS: Final = Statement("""
    SELECT COUNT(*), COALESCE(SUM(slots), 0), COALESCE(SUM(busy), 0) FROM workers
    WHERE state = 'active' AND heartbeat_at > :since""")
# In each lane by itself, since that is what the index can count; of a long lane no more than can be told.
_BEFORE: Final = Statement("""
    SELECT COALESCE(SUM((
        SELECT COUNT(*) FROM (
            SELECT 1 FROM queue_entries e
            WHERE e.workspace = l.workspace AND e.lane = l.lane AND e.state = 'ready' AND (e.rank, e.id) < (:rank, :id)
            LIMIT :most
        ) AS counted
    )), 0)
    FROM (
        SELECT workspace, lane FROM queue_lanes WHERE workspace = :workspace AND paused_at IS NULL
        UNION SELECT workspace, lane FROM queue_changes WHERE workspace = :workspace
    ) AS l""")


def read(tx: Any, run: RunId, *, now: float) -> tuple[Entry, Situation] | None:
    """Return a run's foremost waiting entry and what decides when it goes; None when none waits."""
    row = _FOREMOST.run(tx, {"run": run}).first()
    if row is None:
        return None
    entry, state = entry_of(row), row[13]
    named = {"workspace": entry.workspace, "lane": entry.lane}
    paused = _PAUSED.run(tx, named).first() or (None, None)
    workers, slots, busy = _WORKERS.run(tx, {"since": now - limits.WORKER_SEEN.value}).one()
    most = limits.COUNTED_BEFORE.value + 1
    place = {"workspace": entry.workspace, "rank": -entry.priority, "id": entry.id, "most": most}
    before_it = 0 if state == "scheduled" else min(most, int(_BEFORE.run(tx, place).one()[0]))
    return entry, Situation(
        scheduled=state == "scheduled",
        workspace=_bound(_WORKSPACE.run(tx, named).one(), limits.WORKSPACE_RUNNING.value),
        lane=_bound(_LANE.run(tx, named).one(), limits.LANE_RUNNING.value),
        paused_at=paused[0],
        paused_reason=paused[1],
        workers=workers,
        slots=slots,
        busy=busy,
        before_it=before_it,
    )


def _bound(row: Any, default_max: int) -> Bound:
    running, running_max = row
    return Bound(running or 0, default_max if running_max is None else running_max)
