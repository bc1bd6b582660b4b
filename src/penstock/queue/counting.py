"""Counters that nobody waits for: changes are written down, and added up by whoever holds the turn.

A counter in a row that every transaction updates makes them all wait for one another's commit. Here a transaction
inserts a row that says by how much it changed the counters, which waits for nobody. Whoever holds the turn takes the
rows that are there and adds them to the counters of workspaces and lanes. A counter's true value is what stands in its
row plus the changes that were not added yet, and both are written in the transaction that changes the entries
themselves: they agree in every snapshot, and what is rolled back was never counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import Depth, Lane
from penstock.database.statements import Statement
from penstock.queue.sharing import DRAIN_WINDOW_S, REMEMBERED, drain_rate

NAMES: Final = ("scheduled", "ready", "running", "finished", "busy_s", "charged_s")
_NOTE: Final = Statement(
    f"INSERT INTO queue_changes (workspace, lane, {', '.join(NAMES)})"
    f" VALUES (:workspace, :lane, {', '.join(':' + name for name in NAMES)})"
)

_TURN: Final = "SELECT virtual_time FROM queue_turn WHERE id = 1"
_HOLD: Final = Statement(_TURN, postgresql=f"{_TURN} FOR UPDATE")
_FIRST_TURN: Final = Statement("INSERT INTO queue_turn (id, virtual_time) VALUES (1, 0) ON CONFLICT (id) DO NOTHING")

_ADD_TO_LANES: Final = f"""
    INSERT INTO queue_lanes (workspace, lane, ready, running, running_max, mean_s, finished)
    SELECT workspace, lane, SUM(ready), SUM(running), :lane_max,
        CASE WHEN SUM(finished) > 0 THEN SUM(busy_s) / SUM(finished) ELSE 0 END, SUM(finished)
    FROM SOURCE WHERE true GROUP BY workspace, lane
    ON CONFLICT (workspace, lane) DO UPDATE SET
        ready = queue_lanes.ready + excluded.ready,
        running = queue_lanes.running + excluded.running,
        mean_s = CASE WHEN queue_lanes.finished = 0 THEN excluded.mean_s
            ELSE (queue_lanes.mean_s * {REMEMBERED} + excluded.mean_s * excluded.finished)
                / ({REMEMBERED} + excluded.finished) END,
        finished = queue_lanes.finished + excluded.finished"""
_FURTHEST: Final = "((SELECT virtual_time FROM TURN) + :debt)"
_AHEAD: Final = "(queue_workspaces.virtual_time + excluded.virtual_time / queue_workspaces.weight)"
_ADD_TO_WORKSPACES: Final = f"""
    INSERT INTO queue_workspaces
        (workspace, scheduled, ready, running, running_max, virtual_time, finished, drained_at)
    SELECT workspace, SUM(scheduled), SUM(ready), SUM(running), :workspace_max, SUM(charged_s), SUM(finished), :now
    FROM SOURCE WHERE true GROUP BY workspace
    ON CONFLICT (workspace) DO UPDATE SET
        scheduled = queue_workspaces.scheduled + excluded.scheduled,
        ready = queue_workspaces.ready + excluded.ready,
        running = queue_workspaces.running + excluded.running,
        virtual_time = CASE WHEN {_AHEAD} > {_FURTHEST} THEN {_FURTHEST} ELSE {_AHEAD} END,
        finished = queue_workspaces.finished + excluded.finished,
        drained_per_s = (queue_workspaces.drained_per_s * {DRAIN_WINDOW_S} + excluded.finished) / ({DRAIN_WINDOW_S} +
            CASE WHEN excluded.drained_at > queue_workspaces.drained_at
                THEN excluded.drained_at - queue_workspaces.drained_at ELSE 0 END),
        drained_at = excluded.drained_at"""
_ADD_UP: Final = [
    Statement(sql.replace("SOURCE", "queue_changes").replace("TURN", "queue_turn WHERE id = 1"))
    for sql in (_ADD_TO_LANES, _ADD_TO_WORKSPACES, "DELETE FROM queue_changes")
]


# In one trip. Who waited for the turn sees what was there before; what came meanwhile is added up the next time.
def _hold_and_add_up(lock: str) -> Statement:
    lanes, workspaces = (
        sql.replace("SOURCE", "taken").replace("TURN", "turn") for sql in (_ADD_TO_LANES, _ADD_TO_WORKSPACES)
    )
    return Statement(
        "",
        postgresql=f"""
        WITH turn AS MATERIALIZED ({_TURN} {lock}),
            taken AS (DELETE FROM queue_changes WHERE EXISTS (SELECT 1 FROM turn) RETURNING *),
            lanes AS ({lanes}), workspaces AS ({workspaces})
        SELECT virtual_time FROM turn""",
    )


_HOLD_AND_ADD_UP: Final = _hold_and_add_up("FOR UPDATE")
_HOLD_IF_FREE_AND_ADD_UP: Final = _hold_and_add_up("FOR UPDATE SKIP LOCKED")
_DEPTH: Final = Statement("""
    SELECT SUM(scheduled), SUM(ready), SUM(running), MAX(drained_per_s), MAX(drained_at),
        (SELECT MIN(ready_at) FROM queue_entries WHERE workspace = :workspace AND ready_at IS NOT NULL)
    FROM (
        SELECT scheduled, ready, running, drained_per_s, drained_at
        FROM queue_workspaces WHERE workspace = :workspace
        UNION ALL
        SELECT scheduled, ready, running, 0, 0 FROM queue_changes WHERE workspace = :workspace
    ) AS counted""")

# By how much each counter is less than what there is.
_MISSING: Final = """
    SELECT {keys}, SUM(scheduled) AS scheduled, SUM(ready) AS ready, SUM(running) AS running FROM (
        SELECT {keys}, CASE state WHEN 'scheduled' THEN 1 ELSE 0 END AS scheduled,
            CASE state WHEN 'ready' THEN 1 ELSE 0 END AS ready, CASE state WHEN 'leased' THEN 1 ELSE 0 END AS running
        FROM queue_entries
        UNION ALL SELECT {keys}, -scheduled, -ready, -running FROM queue_changes
        UNION ALL SELECT {keys}, {scheduled}, -ready, -running FROM {table}
    ) AS both_sides
    GROUP BY {keys} HAVING {having}"""
_DIFFERS: Final = "SUM(ready) <> 0 OR SUM(running) <> 0"
_MISSING_IN_LANES: Final = Statement(
    _MISSING.format(keys="workspace, lane", table="queue_lanes", scheduled="0", having=_DIFFERS)
)
_MISSING_IN_WORKSPACES: Final = Statement(
    _MISSING.format(
        keys="workspace",
        table="queue_workspaces",
        scheduled="-scheduled",
        having=f"{_DIFFERS} OR SUM(scheduled) <> 0",
    )
)
_CORRECT_LANE: Final = Statement("""
    INSERT INTO queue_lanes (workspace, lane, ready, running, running_max)
    VALUES (:workspace, :lane, :ready, :running, :running_max)
    ON CONFLICT (workspace, lane) DO UPDATE SET
        ready = queue_lanes.ready + excluded.ready, running = queue_lanes.running + excluded.running""")
_CORRECT_WORKSPACE: Final = Statement("""
    INSERT INTO queue_workspaces (workspace, scheduled, ready, running, running_max, drained_at)
    VALUES (:workspace, :scheduled, :ready, :running, :running_max, :now)
    ON CONFLICT (workspace) DO UPDATE SET
        scheduled = queue_workspaces.scheduled + excluded.scheduled,
        ready = queue_workspaces.ready + excluded.ready, running = queue_workspaces.running + excluded.running""")


@dataclass(slots=True)
class Change:
    """By how much a transaction changed the counters of one lane."""

    workspace: WorkspaceId
    lane: Lane
    scheduled: int = 0
    ready: int = 0
    running: int = 0
    finished: int = 0
    busy_s: float = 0.0
    charged_s: float = 0.0

    def add(self, other: Change) -> None:
        """Make it the sum of both."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Changes:
    """The changes of a transaction, one for each lane."""

    def __init__(self) -> None:
        self._by_lane: dict[tuple[WorkspaceId, Lane], Change] = {}

    def of(self, workspace: WorkspaceId, lane: Lane) -> Change:
        """Return the change of a lane, to be added to."""
        key = (workspace, lane)
        if (change := self._by_lane.get(key)) is None:
            change = self._by_lane[key] = Change(workspace, lane)
        return change

    def __bool__(self) -> bool:
        """Return whether anything changed."""
        return bool(self._by_lane)

    def __iter__(self) -> Iterator[Change]:
        """Yield the change of each lane."""
        return iter(self._by_lane.values())

    def note(self, tx: Any) -> None:
        """Write them down."""
        if rows := [_values(change) for change in self._by_lane.values()]:
            _NOTE.do(tx, rows if len(rows) > 1 else rows[0])


def hold_turn(tx: Any) -> float:
    """Wait until nobody else holds the turn, hold it until the transaction ends, and return the virtual time.

    On SQLite whoever writes holds it anyway.
    """
    return _virtual_time(tx, _HOLD, {})


def hold_turn_and_add_up(tx: Any, *, now: float) -> float:
    """Hold the turn, add the changes that are there to the counters, and return the virtual time.

    Args:
        tx: the transaction.
        now: for the drain rate.
    """
    if tx.dialect.name == "postgresql":
        return _virtual_time(tx, _HOLD_AND_ADD_UP, _figures(now))
    virtual_time = hold_turn(tx)
    for statement in _ADD_UP:
        statement.do(tx, _figures(now))
    return virtual_time


def add_up_if_free(tx: Any, *, now: float) -> None:
    """Add up the changes, unless somebody holds the turn, who does it anyway."""
    if tx.dialect.name == "postgresql":
        _HOLD_IF_FREE_AND_ADD_UP.fetch(tx, _figures(now))
    else:
        hold_turn_and_add_up(tx, now=now)


def _virtual_time(tx: Any, hold: Statement, values: dict[str, Any]) -> float:
    rows = hold.fetch(tx, values)
    if not rows:
        _FIRST_TURN.do(tx)
        rows = hold.fetch(tx, values)
    return float(rows[0][0])


def _figures(now: float) -> dict[str, Any]:
    return {
        "lane_max": limits.LANE_RUNNING.value,
        "workspace_max": limits.WORKSPACE_RUNNING.value,
        "debt": limits.QUEUE_DEBT.value,
        "now": now,
    }


def depth(tx: Any, workspace: WorkspaceId, *, now: float) -> Depth:
    """Return what a workspace has in the queue."""
    [found] = _DEPTH.fetch(tx, {"workspace": workspace})
    scheduled, ready, running, rate_per_s, drained_at, oldest = found
    rate_per_s = drain_rate(rate_per_s or 0.0, finished=0, elapsed_s=now - (drained_at or now))
    return Depth(scheduled or 0, ready or 0, running or 0, rate_per_s, oldest)


def reconcile(tx: Any, *, now: float) -> int:
    """Correct the counters from the entries themselves; return how many rows were wrong.

    What is missing is found by one statement, so in one snapshot, in which entries and changes agree whatever others
    are doing.
    """
    hold_turn_and_add_up(tx, now=now)
    lanes = [dict(row) for row in _MISSING_IN_LANES.run(tx).mappings()]
    workspaces = [dict(row) for row in _MISSING_IN_WORKSPACES.run(tx).mappings()]
    for row in lanes:
        _CORRECT_LANE.run(tx, row | {"running_max": limits.LANE_RUNNING.value})
    for row in workspaces:
        _CORRECT_WORKSPACE.run(tx, row | {"running_max": limits.WORKSPACE_RUNNING.value, "now": now})
    return len(lanes) + len(workspaces)


def _values(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in ("workspace", "lane", *NAMES)}
