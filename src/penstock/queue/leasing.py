"""Leasing: who goes next, within every bound. The turn is held, so that nobody else chooses meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
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
_LEASE: Final = Statement(
    f"""
    UPDATE queue_entries SET {_LEASED}, charged_s = json_extract(given.value, '$[1]')
    FROM json_each(:picks) AS given WHERE queue_entries.id = json_extract(given.value, '$[0]')
    RETURNING {COLUMNS}, token""",
    # A row that is being removed is locked by whoever removes it: waiting for it could be mutual.
    postgresql=f"""
    UPDATE queue_entries SET {_LEASED}, charged_s = given.charge_s
    FROM unnest(:ids::text[], :charges::float8[]) AS given (given_id, charge_s)
    WHERE id IN (
        SELECT id FROM queue_entries WHERE id = ANY(:ids::text[]) AND leased_at IS NULL FOR UPDATE SKIP LOCKED
    ) AND id = given_id RETURNING {COLUMNS}, token""",
)
_CHARGE_WORKSPACE: Final = Statement("""
    UPDATE queue_workspaces SET ready = ready - :taken, running = running + :taken, virtual_time = :virtual_time
    WHERE workspace = :workspace""")
_CHARGE_LANE: Final = Statement("""
    UPDATE queue_lanes SET ready = ready - :taken, running = running + :taken
    WHERE workspace = :workspace AND lane = :lane""")
_PASS_TURN: Final = Statement("UPDATE queue_turn SET virtual_time = :virtual_time WHERE id = 1")
_CHARGE_ALL: Final = Statement(
    "",
    postgresql="""
    WITH workspaces AS (
        UPDATE queue_workspaces w
        SET ready = ready - given.taken, running = running + given.taken, virtual_time = given.virtual_time
        FROM unnest(:workspaces::text[], :takens::int[], :virtual_times::float8[]) AS given (name, taken, virtual_time)
        WHERE w.workspace = given.name
    ), lanes AS (
        UPDATE queue_lanes l SET ready = ready - given.taken, running = running + given.taken
        FROM unnest(:lane_workspaces::text[], :lanes::text[], :lane_takens::int[]) AS given (workspace, name, taken)
        WHERE l.workspace = given.workspace AND l.lane = given.name
    )
    UPDATE queue_turn SET virtual_time = :virtual_time WHERE id = 1""",
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
    virtual_time = counting.hold_turn(tx)
    counting.add_up(tx, virtual_time=virtual_time, now=now)
    shares = _shares(tx, count, guests=guests)
    if not shares:
        return []
    turns = take_turns(shares, virtual_time=virtual_time, count=count)
    leases = _mark(tx, turns, worker=worker, now=now)
    _charge(tx, turns, {share.workspace: share.weight for share in shares}, leases)
    return leases


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


def _mark(tx: Any, turns: Turns, *, worker: str, now: float) -> list[Lease]:
    expires_at = now + limits.LEASE.value
    values: dict[str, Any] = {"worker": worker, "now": now, "expires_at": expires_at}
    if tx.dialect.name == "sqlite":
        values["picks"] = json.dumps([(head.id, head.charge_s) for _, head in turns.heads])
    else:
        values["ids"] = [head.id for _, head in turns.heads]
        values["charges"] = [head.charge_s for _, head in turns.heads]
    leased = {row[0]: Lease(entry_of(row), row[13], worker, now, expires_at) for row in _LEASE.fetch(tx, values)}
    return [leased[head.id] for _, head in turns.heads if head.id in leased]


def _charge(tx: Any, turns: Turns, weights: dict[WorkspaceId, float], leases: Sequence[Lease]) -> None:
    virtual_times = dict(turns.virtual_times)
    if len(leases) < len(turns.heads):  # some were cancelled between the choice and the lock
        left = {lease.entry.id for lease in leases}
        for workspace, head in turns.heads:
            if head.id not in left:
                virtual_times[workspace] -= head.charge_s / weights[workspace]
    workspaces = Counter(lease.entry.workspace for lease in leases)
    lanes = Counter((lease.entry.workspace, lease.entry.lane) for lease in leases)
    if tx.dialect.name == "postgresql":
        values = {
            "workspaces": list(workspaces),
            "takens": list(workspaces.values()),
            "virtual_times": [virtual_times[workspace] for workspace in workspaces],
            "lane_workspaces": [workspace for workspace, _ in lanes],
            "lanes": [lane for _, lane in lanes],
            "lane_takens": list(lanes.values()),
            "virtual_time": turns.virtual_time,
        }
        _CHARGE_ALL.do(tx, values)
        return
    for workspace, taken in workspaces.items():
        charged = {"workspace": workspace, "taken": taken, "virtual_time": virtual_times[workspace]}
        _CHARGE_WORKSPACE.do(tx, charged)
    for (workspace, lane), taken in lanes.items():
        _CHARGE_LANE.do(tx, {"workspace": workspace, "lane": lane, "taken": taken})
    _PASS_TURN.do(tx, {"virtual_time": turns.virtual_time})
