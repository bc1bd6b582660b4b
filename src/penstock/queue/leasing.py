"""Leasing: who goes next, within every bound. The turn is held, so that nobody else chooses meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import EntryId, Lane, Lease
from penstock.database.statements import Statement
from penstock.queue import counting
from penstock.queue.entries import COLUMNS, entry_of
from penstock.queue.sharing import Head, Share, Turns, charge_s, take_turns

# Lanes in which something is ready and more may run, of workspaces that may run more: those furthest behind.
_OPEN_LANE: Final = "l.ready > 0 AND l.running < l.running_max AND l.paused_at IS NULL"
_OPEN: Final = f"""
    FROM (
        SELECT * FROM queue_workspaces w
        WHERE w.ready > 0 AND w.running < w.running_max AND (w.running = 0 OR NOT :guests)
            AND EXISTS (SELECT 1 FROM queue_lanes l WHERE l.workspace = w.workspace AND {_OPEN_LANE})
        ORDER BY w.virtual_time, w.workspace LIMIT :count
    ) AS w JOIN queue_lanes l ON l.workspace = w.workspace AND {_OPEN_LANE}"""
_ROOM: Final = "CASE WHEN :guests THEN 1 ELSE w.running_max - w.running END"
_SHARE: Final = f"w.workspace, w.virtual_time, w.weight, {_ROOM} AS room"
_LANES: Final = Statement(f"SELECT {_SHARE}, l.lane, l.mean_s, l.running_max - l.running AS lane_room {_OPEN}")
_GUESTS_WAIT: Final = Statement("""
    SELECT 1 WHERE EXISTS (SELECT 1 FROM queue_changes WHERE ready > 0 OR running < 0)
        OR EXISTS (SELECT 1 FROM queue_workspaces WHERE ready > 0 AND running = 0 AND running_max > 0)""")
_FRONT: Final = Statement("""
    SELECT rank, id FROM queue_entries
    WHERE workspace = :workspace AND lane = :lane AND state = 'ready' ORDER BY rank, id LIMIT :count""")
_LANES_AND_FRONTS: Final = Statement(
    "",
    postgresql=f"""
        SELECT {_SHARE}, l.lane, l.mean_s, l.running_max - l.running AS lane_room, e.rank, e.id {_OPEN}
        CROSS JOIN LATERAL (
            SELECT rank, id FROM queue_entries e
            WHERE e.workspace = l.workspace AND e.lane = l.lane AND e.state = 'ready' ORDER BY e.rank, e.id
            LIMIT LEAST(:count, {_ROOM}, l.running_max - l.running)
        ) AS e""",
)

_LEASED: Final = """
    state = 'leased', ready_at = NULL, token = token + 1,
    worker = :worker, leased_at = :now, expires_at = :expires_at"""
_LEASE: Final = Statement(f"""
    UPDATE queue_entries SET {_LEASED}, charged_s = json_extract(given.value, '$[1]')
    FROM json_each(:picks) AS given WHERE queue_entries.id = json_extract(given.value, '$[0]')
    RETURNING {COLUMNS}, token""")
_CHARGE_WORKSPACE: Final = Statement("""
    UPDATE queue_workspaces SET ready = ready - :taken, running = running + :taken, virtual_time = :virtual_time
    WHERE workspace = :workspace""")
_CHARGE_LANE: Final = Statement("""
    UPDATE queue_lanes SET ready = ready - :taken, running = running + :taken
    WHERE workspace = :workspace AND lane = :lane""")
_PASS_TURN: Final = Statement("UPDATE queue_turn SET virtual_time = :virtual_time WHERE id = 1")
# All of that in one trip. A row that is being removed is locked by whoever removes it: waiting for it could be mutual.
# So it is left out, and its workspace is not charged for it.
_LEASE_AND_CHARGE: Final = Statement(
    "",
    postgresql=f"""
    WITH picked AS (
        SELECT * FROM unnest(:ids::text[], :workspaces::text[], :lanes::text[], :charges::float8[])
            AS given (picked_id, of_workspace, of_lane, charge_s)
    ), leased AS (
        UPDATE queue_entries SET {_LEASED}, charged_s = charge_s FROM picked
        WHERE id = picked_id AND id = (
            SELECT e.id FROM queue_entries e WHERE e.id = picked_id AND leased_at IS NULL FOR UPDATE SKIP LOCKED
        ) RETURNING {COLUMNS}, token
    ), taken AS (
        SELECT of_workspace, of_lane, COUNT(id) AS leases, SUM(CASE WHEN id IS NULL THEN charge_s ELSE 0 END) AS left_s
        FROM picked LEFT JOIN leased ON id = picked_id GROUP BY of_workspace, of_lane
    ), lanes AS (
        UPDATE queue_lanes SET ready = ready - leases, running = running + leases FROM taken
        WHERE workspace = of_workspace AND lane = of_lane
    ), workspaces AS (
        UPDATE queue_workspaces
        SET ready = ready - leases, running = running + leases, virtual_time = charged_to - left_s / weight
        FROM (SELECT of_workspace, SUM(leases) AS leases, SUM(left_s) AS left_s FROM taken GROUP BY of_workspace) AS t
        JOIN unnest(:charged::text[], :virtual_times::float8[]) AS given (charged, charged_to) ON charged = of_workspace
        WHERE workspace = of_workspace AND leases > 0
    ), passed AS (UPDATE queue_turn SET virtual_time = :virtual_time WHERE id = 1)
    SELECT * FROM leased""",
)


@dataclass(frozen=True, slots=True)
class _OpenLane:
    """A lane in which something is ready and more may run."""

    workspace: WorkspaceId
    virtual_time: float
    weight: float
    room: int
    lane: Lane
    mean_s: float
    lane_room: int


def lease(tx: Any, *, worker: str, count: int, guests: bool, now: float) -> list[Lease]:
    """Take up to `count` entries; of guests, one of each workspace that runs nothing."""
    if guests and not _GUESTS_WAIT.fetch(tx):  # busy workers ask again and again: none of them needs the turn for it
        return []
    virtual_time = counting.hold_turn_and_add_up(tx, now=now)
    shares = _shares(tx, count, guests=guests)
    if not shares:
        return []
    turns = take_turns(shares, virtual_time=virtual_time, count=count)
    expires_at = now + limits.LEASE.value
    values = {"worker": worker, "now": now, "expires_at": expires_at}
    rows = _take_sqlite(tx, turns, values) if tx.dialect.name == "sqlite" else _take_postgresql(tx, turns, values)
    leased = {row[0]: Lease(entry_of(row), row[13], worker, now, expires_at) for row in rows}
    return [leased[head.id] for _, head in turns.heads if head.id in leased]


def _shares(tx: Any, count: int, *, guests: bool) -> list[Share]:
    """Return the workspaces that may go, the furthest behind first, each with its first entries."""
    values = {"count": count, "guests": guests}
    fronts = _fronts_sqlite(tx, values) if tx.dialect.name == "sqlite" else _fronts_postgresql(tx, values)
    shares: dict[WorkspaceId, tuple[_OpenLane, list[tuple[int, str, Head]]]] = {}
    for open_lane, rank, entry_id in fronts:
        head = Head(EntryId(entry_id), open_lane.lane, charge_s(open_lane.mean_s))
        shares.setdefault(open_lane.workspace, (open_lane, []))[1].append((rank, entry_id, head))
    return [
        Share(first.workspace, first.virtual_time, first.weight, first.room, [head for *_, head in sorted(heads)])
        for first, heads in shares.values()
    ]


def _fronts_sqlite(tx: Any, values: dict[str, Any]) -> list[tuple[_OpenLane, int, str]]:
    fronts = []
    for row in _LANES.fetch(tx, values):
        open_lane = _OpenLane(*row)
        most = min(values["count"], open_lane.room, open_lane.lane_room)
        front = _FRONT.fetch(tx, {"workspace": open_lane.workspace, "lane": open_lane.lane, "count": most})
        fronts += [(open_lane, rank, entry_id) for rank, entry_id in front]
    return fronts


def _fronts_postgresql(tx: Any, values: dict[str, Any]) -> list[tuple[_OpenLane, int, str]]:
    return [(_OpenLane(*row[:7]), row[7], row[8]) for row in _LANES_AND_FRONTS.fetch(tx, values)]


def _take_sqlite(tx: Any, turns: Turns, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    picks = json.dumps([(head.id, head.charge_s) for _, head in turns.heads])
    rows = _LEASE.fetch(tx, values | {"picks": picks})
    workspaces = Counter(workspace for workspace, _ in turns.heads)
    lanes = Counter((workspace, head.lane) for workspace, head in turns.heads)
    for workspace, taken in workspaces.items():
        charged = {"workspace": workspace, "taken": taken, "virtual_time": turns.virtual_times[workspace]}
        _CHARGE_WORKSPACE.do(tx, charged)
    for (workspace, lane), taken in lanes.items():
        _CHARGE_LANE.do(tx, {"workspace": workspace, "lane": lane, "taken": taken})
    _PASS_TURN.do(tx, {"virtual_time": turns.virtual_time})
    return rows


def _take_postgresql(tx: Any, turns: Turns, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    picked = {
        "ids": [head.id for _, head in turns.heads],
        "workspaces": [workspace for workspace, _ in turns.heads],
        "lanes": [head.lane for _, head in turns.heads],
        "charges": [head.charge_s for _, head in turns.heads],
        "charged": list(turns.virtual_times),
        "virtual_times": list(turns.virtual_times.values()),
        "virtual_time": turns.virtual_time,
    }
    return _LEASE_AND_CHARGE.fetch(tx, values | picked)
