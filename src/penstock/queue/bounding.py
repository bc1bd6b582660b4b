"""Bounds: how many may run at once, and lanes that are paused because their runs are killed again and again."""

from __future__ import annotations

from typing import Any, Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import Lane, Pause
from penstock.database.statements import Statement
from penstock.queue.counting import hold_turn

_BOUND_WORKSPACE: Final = Statement("""
    INSERT INTO queue_workspaces (workspace, running_max, weight, drained_at)
    VALUES (:workspace, :running_max, :weight, :now)
    ON CONFLICT (workspace) DO UPDATE SET running_max = excluded.running_max, weight = excluded.weight""")
_BOUND_LANE: Final = Statement("""
    INSERT INTO queue_lanes (workspace, lane, running_max) VALUES (:workspace, :lane, :running_max)
    ON CONFLICT (workspace, lane) DO UPDATE SET running_max = excluded.running_max""")
_HAS_KILLS: Final = Statement(
    "SELECT 1 FROM queue_lanes WHERE workspace = :workspace AND lane = :lane AND kills_in_a_row > 0"
)
_FORGET_KILLS: Final = Statement(
    "UPDATE queue_lanes SET kills_in_a_row = 0 WHERE workspace = :workspace AND lane = :lane"
)
_COUNT_KILL: Final = Statement("""
    INSERT INTO queue_lanes (workspace, lane, running_max, kills_in_a_row) VALUES (:workspace, :lane, :lane_max, 1)
    ON CONFLICT (workspace, lane) DO UPDATE SET kills_in_a_row = queue_lanes.kills_in_a_row + 1
    RETURNING kills_in_a_row, paused_at""")
_PAUSE: Final = Statement("""
    UPDATE queue_lanes SET paused_at = :now, paused_reason = :reason WHERE workspace = :workspace AND lane = :lane""")
_RESUME: Final = Statement("""
    UPDATE queue_lanes SET paused_at = NULL, paused_reason = NULL, kills_in_a_row = 0
    WHERE workspace = :workspace AND lane = :lane AND paused_at IS NOT NULL""")

_BOUND_OF: Final = Statement("SELECT running_max FROM queue_lanes WHERE workspace = :workspace AND lane = :lane")
_PAUSED: Final = Statement(
    "SELECT paused_at, paused_reason FROM queue_lanes"
    " WHERE workspace = :workspace AND lane = :lane AND paused_at IS NOT NULL"
)


def bound_workspace(tx: Any, workspace: WorkspaceId, *, running_max: int, weight: float, now: float) -> None:
    """Set a workspace's bound and its share."""
    hold_turn(tx)
    _BOUND_WORKSPACE.run(tx, {"workspace": workspace, "running_max": running_max, "weight": weight, "now": now})


def bound_lane(tx: Any, workspace: WorkspaceId, lane: Lane, *, running_max: int) -> None:
    """Set a lane's bound."""
    hold_turn(tx)
    _BOUND_LANE.run(tx, {"workspace": workspace, "lane": lane, "running_max": running_max})


def bound_of(tx: Any, workspace: WorkspaceId, lane: Lane) -> int:
    """Return a lane's bound."""
    row = _BOUND_OF.run(tx, {"workspace": workspace, "lane": lane}).first()
    return limits.LANE_RUNNING.value if row is None else int(row.running_max)


def forget_kills(tx: Any, workspace: WorkspaceId, lane: Lane) -> None:
    """Begin to count kills anew. It runs after every attempt, so it holds the turn only when there is one to forget."""
    named = {"workspace": workspace, "lane": lane}
    if _HAS_KILLS.fetch(tx, named):
        hold_turn(tx)
        _FORGET_KILLS.run(tx, named)


def count_kill(tx: Any, workspace: WorkspaceId, lane: Lane, *, now: float) -> bool:
    """Count a kill; return whether it paused the lane."""
    hold_turn(tx)
    named = {"workspace": workspace, "lane": lane}
    kills, paused_at = _COUNT_KILL.run(tx, named | {"lane_max": limits.LANE_RUNNING.value}).one()
    if kills < limits.KILLS_IN_A_ROW.value or paused_at is not None:
        return False
    _PAUSE.run(tx, named | {"now": now, "reason": pause_reason(kills)})
    return True


def resume_lane(tx: Any, workspace: WorkspaceId, lane: Lane) -> bool:
    """Let a lane run again; return whether it was paused."""
    hold_turn(tx)
    return _RESUME.run(tx, {"workspace": workspace, "lane": lane}).rowcount > 0


def pause_of(tx: Any, workspace: WorkspaceId, lane: Lane) -> Pause | None:
    """Return since when a lane is paused, and why; None when it is not."""
    row = _PAUSED.run(tx, {"workspace": workspace, "lane": lane}).first()
    return None if row is None else Pause(row.paused_at, row.paused_reason or "")


def pause_reason(kills: int) -> str:
    """Return why a lane is paused, in words."""
    return f"{kills} runs in a row were killed"
