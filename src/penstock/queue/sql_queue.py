"""The queue in the records database, on SQLite and on PostgreSQL.

Entries are rows that leave when they are done. Whoever adds, finishes or cancels entries waits for nobody; whoever
leases holds the turn. `docs/explanation/queue.md` says how it fits together.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import Depth, Entry, EntryId, Lane, Lease, Pause, Waiting
from penstock.core.plan import RunId
from penstock.core.ports import Clock
from penstock.database.bells import Bells
from penstock.database.opening import SqlDatabase
from penstock.database.sqlite import SqliteDatabase
from penstock.database.statements import Statement
from penstock.queue import announcing, bounding, closing, counting, entries, leasing, situations
from penstock.queue.announcing import CHANNEL
from penstock.queue.counting import Changes
from penstock.queue.entries import COLUMNS, entry_of, held, naming
from penstock.queue.explaining import explain
from penstock.queue.waking import BELL, PostgresWaker, SqliteWaker, Waker

_WAKE: Final = Statement("SELECT 1", postgresql=f"SELECT pg_notify('{CHANNEL}', '')")

_STILL_HELD: Final = held("SELECT id, workspace, lane, charged_s, leased_at FROM queue_entries WHERE HELD")
_HEARTBEAT: Final = held("""
    UPDATE queue_entries SET expires_at = :expires_at,
        charged_s = CASE WHEN charged_s < :now - leased_at THEN :now - leased_at ELSE charged_s END
    WHERE HELD RETURNING id""")
_GIVE_BACK: Final = (
    "state = 'ready', ready_at = :now, reason = :reason, worker = NULL, leased_at = NULL, expires_at = NULL"
)
_LEASE: Final = f"{COLUMNS}, token, worker, leased_at, expires_at"
_RELEASE: Final = held(f"UPDATE queue_entries SET {_GIVE_BACK} WHERE HELD RETURNING workspace, lane, charged_s")


# Those that another transaction is at are left to it.
def _some(verb: str, *, where: str, returning: str) -> Statement:
    chosen = f"SELECT id FROM queue_entries WHERE {where} LIMIT :most"
    return Statement(
        f"{verb} WHERE id IN ({chosen}) RETURNING {returning}",
        postgresql=f"{verb} WHERE id IN ({chosen} FOR UPDATE SKIP LOCKED) RETURNING {returning}",
    )


_BURY: Final = Statement("UPDATE queue_entries SET expires_at = :now WHERE worker = :worker AND state = 'leased'")
_EXPIRED: Final = Statement(
    f"SELECT {_LEASE} FROM queue_entries WHERE state = 'leased' AND expires_at <= :now LIMIT :most",
    postgresql=f"""
    SELECT {_LEASE} FROM queue_entries WHERE state = 'leased' AND expires_at <= :now LIMIT :most
    FOR UPDATE SKIP LOCKED""",
)
_REAP_LAST: Final = held("DELETE FROM queue_entries WHERE HELD")
_REAP: Final = held(f"UPDATE queue_entries SET {_GIVE_BACK}, attempt = attempt + 1 WHERE HELD")
_PROMOTE: Final = _some(
    "UPDATE queue_entries SET state = 'ready', ready_at = :now",
    where="state = 'scheduled' AND not_before <= :now",
    returning="workspace, lane",
)
_EXPIRE: Final = _some(
    "DELETE FROM queue_entries",
    where="deadline IS NOT NULL AND deadline <= :now AND state <> 'leased'",
    returning=f"{COLUMNS}, state",
)
_CANCEL: Final = Statement(
    f"DELETE FROM queue_entries WHERE run = :run AND state <> 'leased' RETURNING {COLUMNS}, state"
)
_COUNT_HELD: Final = Statement("SELECT COUNT(*) FROM queue_entries WHERE run = :run AND state = 'leased'")
_LOST: Final = "worker_lost"


class SqlQueue:
    """Entries that wait for a worker, as rows.

    Args:
        database: whose transactions its methods take.
        clock: gives seconds since 1970.
        bells: of the processes of this machine, None where each is alone.
    """

    def __init__(self, database: SqlDatabase, clock: Clock, *, bells: Bells | None = None) -> None:
        self._clock = clock
        self._bells = bells
        self._noted = itertools.count(1)
        self._waker: Waker = (
            SqliteWaker(database.path, bells) if isinstance(database, SqliteDatabase) else PostgresWaker(database.url)
        )

    # ---- in and out ----

    def enqueue(self, tx: Any, new: Sequence[Entry]) -> None:
        """Add entries; they become visible with the transaction.

        Raises:
            Bug: when one is there already.
        """
        now = self._clock()
        changes = Changes()
        for entry in new:
            change = changes.of(entry.workspace, entry.lane)
            if entries.is_scheduled(entry, now):
                change.scheduled += 1
            else:
                change.ready += 1
        if changes and tx.dialect.name == "postgresql":
            announcing.add(tx, new, changes, now=now)
        elif changes:
            entries.insert(tx, new, now=now)
            changes.note(tx)
        self._add_up_sometimes(tx, changes, now)

    def lease(self, tx: Any, *, worker: str, count: int, guests: bool = False) -> list[Lease]:
        """Take up to `count` entries, workspaces in fair shares, within the bounds of each and of each lane.

        Guests are of workspaces that run nothing, one of each.

        Leases of all workers follow one another until their transactions end: let it be the last, or nearly.
        """
        return leasing.lease(tx, worker=worker, count=count, guests=guests, now=self._clock())

    def finish(self, tx: Any, leases: Sequence[Lease], *, busy_s: Mapping[EntryId, float]) -> list[bool]:
        """Close leases; False for one that had expired and is another's now, or nobody's."""
        if not leases:
            return []
        now = self._clock()
        took_s = {lease.entry.id: max(0.0, busy_s.get(lease.entry.id, now - lease.leased_at)) for lease in leases}
        closed = closing.close(tx, leases, took_s=took_s)
        self._add_up_sometimes(tx, closed, now)
        return [(lease.entry.id, lease.token) in closed for lease in leases]

    def release(self, tx: Any, leases: Sequence[Lease], *, reason: str) -> None:
        """Give leases back untried: no attempt is counted, and no time is charged."""
        now = self._clock()
        changes = Changes()
        values = naming(tx, leases) | {"now": now, "reason": reason}
        for workspace, lane, charged_s in _RELEASE.fetch(tx, values) if leases else ():
            change = changes.of(workspace, lane)
            change.running -= 1
            change.ready += 1
            change.charged_s -= charged_s
        self._note(tx, changes, now)
        self._wake(tx, changes)

    def heartbeat(self, tx: Any, leases: Sequence[Lease]) -> list[Lease]:
        """Make leases last again; return those that are still held.

        What has run for longer than it was charged is charged on, so that a workspace whose attempts are slow does not
        hold every worker until the first of them has ended.
        """
        if not leases:
            return []
        now = self._clock()
        changes = Changes()
        named = naming(tx, leases)
        for _, workspace, lane, charged_s, leased_at in _STILL_HELD.fetch(tx, named):
            if now - leased_at > charged_s:
                changes.of(workspace, lane).charged_s += now - leased_at - charged_s
        expires_at = now + limits.LEASE.value
        kept = {row[0] for row in _HEARTBEAT.fetch(tx, named | {"now": now, "expires_at": expires_at})}
        self._note(tx, changes, now)
        return [dataclasses.replace(lease, expires_at=expires_at) for lease in leases if lease.entry.id in kept]

    def cancel(self, tx: Any, run: RunId) -> list[Entry]:
        """Remove the waiting entries of a run and return them; leased ones go on."""
        return self._remove(tx, _CANCEL.fetch(tx, {"run": run}))

    def held(self, tx: Any, run: RunId) -> int:
        """Return how many entries of a run are leased."""
        return int(_COUNT_HELD.fetch(tx, {"run": run})[0][0])

    # ---- ticks ----

    def bury(self, tx: Any, worker: str) -> int:
        """Let the leases of a worker that is known to be dead end now, to be reaped; return how many."""
        return _BURY.do(tx, {"worker": worker, "now": self._clock()})

    def reap(self, tx: Any) -> list[Lease]:
        """Put entries of expired leases back, one attempt poorer, or remove them after the last; return the leases."""
        now = self._clock()
        rows = _EXPIRED.fetch(tx, {"now": now, "most": limits.QUEUE_BATCH.value})
        lost = [Lease(entry_of(row), *row[13:]) for row in rows]
        last, others = ([each for each in lost if each.entry.is_last is is_last] for is_last in (True, False))
        if last:
            _REAP_LAST.do(tx, naming(tx, last))
        if others:
            _REAP.do(tx, naming(tx, others) | {"now": now, "reason": _LOST})
        changes = Changes()
        for lease in lost:
            change = changes.of(lease.entry.workspace, lease.entry.lane)
            change.running -= 1
            change.ready += not lease.entry.is_last
        self._note(tx, changes, now)
        self._wake(tx, changes)
        return lost

    def promote(self, tx: Any) -> int:
        """Make scheduled entries ready whose time has come; return how many."""
        now = self._clock()
        changes, promoted = Changes(), 0
        for workspace, lane in _PROMOTE.fetch(tx, {"now": now, "most": limits.QUEUE_BATCH.value}):
            change = changes.of(workspace, lane)
            change.scheduled -= 1
            change.ready += 1
            promoted += 1
        self._note(tx, changes, now)
        self._wake(tx, changes)
        return promoted

    def expire(self, tx: Any) -> list[Entry]:
        """Remove entries whose deadline has passed before they started, and return them."""
        return self._remove(tx, _EXPIRE.fetch(tx, {"now": self._clock(), "most": limits.QUEUE_BATCH.value}))

    def reconcile(self, tx: Any) -> int:
        """Correct the counters from the entries themselves; return how many were wrong."""
        return counting.reconcile(tx, now=self._clock())

    # ---- what can be known ----

    def depth(self, tx: Any, workspace: WorkspaceId) -> Depth:
        """Return what a workspace has in the queue, in time that does not grow with it."""
        return counting.depth(tx, workspace, now=self._clock())

    def explain(self, tx: Any, run: RunId) -> Waiting | None:
        """Return why a run's foremost entry waits; None when none waits."""
        now = self._clock()
        found = situations.read(tx, run, now=now)
        return None if found is None else explain(*found, now=now)

    # ---- bounds ----

    def bound_workspace(self, tx: Any, workspace: WorkspaceId, *, running_max: int, weight: float = 1.0) -> None:
        """Set how many entries of a workspace may run at once, and its share beside others."""
        bounding.bound_workspace(tx, workspace, running_max=running_max, weight=weight, now=self._clock())
        _WAKE.fetch(tx)

    def bound_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, running_max: int) -> None:
        """Set how many entries of a lane may run at once."""
        bounding.bound_lane(tx, workspace, lane, running_max=running_max)
        _WAKE.fetch(tx)

    def bound_of(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> int:
        """Return how many entries of a lane may run at once."""
        return bounding.bound_of(tx, workspace, lane)

    def count_kill(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, killed: bool) -> bool:
        """Count kills in a row; return True when this one paused the lane."""
        if killed:
            return bounding.count_kill(tx, workspace, lane, now=self._clock())
        bounding.forget_kills(tx, workspace, lane)
        return False

    def resume_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> bool:
        """Let a paused lane run again; return whether it was paused."""
        was_paused = bounding.resume_lane(tx, workspace, lane)
        _WAKE.fetch(tx)
        return was_paused

    def pause_of(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> Pause | None:
        """Return since when a lane is paused, and why; None when it is not."""
        return bounding.pause_of(tx, workspace, lane)

    # ---- waiting ----

    def wait(self, timeout_s: float) -> None:
        """Return when entries may have become ready, or the time is up. One thread of a process waits."""
        self._waker.wait(timeout_s)

    def announce(self) -> None:
        """Wake who waits on this machine; to be called once a transaction that made entries ready is committed."""
        if self._bells is not None:
            self._bells.ring(BELL)

    def close(self) -> None:
        """Close the connection that waits."""
        self._waker.close()

    def _note(self, tx: Any, changes: Changes, now: float) -> None:
        changes.note(tx)
        self._add_up_sometimes(tx, changes, now)

    def _add_up_sometimes(self, tx: Any, changes: Changes | set[Any], now: float) -> None:
        if changes and next(self._noted) % limits.QUEUE_CHANGES.value == 0:
            counting.add_up_if_free(tx, now=now)

    def _remove(self, tx: Any, rows: Iterable[Sequence[Any]]) -> list[Entry]:
        """Count rows of `COLUMNS, state` that were deleted, and return their entries."""
        changes, removed = Changes(), []
        for row in rows:
            entry, state = entry_of(row), row[13]
            removed.append(entry)
            change = changes.of(entry.workspace, entry.lane)
            change.scheduled -= state == "scheduled"
            change.ready -= state == "ready"
            change.running -= state == "leased"
        self._note(tx, changes, self._clock())
        return removed

    def _wake(self, tx: Any, changes: Changes) -> None:
        if changes and tx.dialect.name == "postgresql":
            _WAKE.fetch(tx)
