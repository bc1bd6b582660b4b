"""The queue in memory: the twin of the one in the database, for tests and simulation.

It keeps the same promises by plain means, so it is also the shortest description of what the other does.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import Bug
from penstock.core.jobs import Depth, Entry, EntryId, Lane, Lease, Pause, Waiting
from penstock.core.plan import RunId
from penstock.core.ports import Clock
from penstock.queue.bounding import pause_reason
from penstock.queue.counting import Change, Changes
from penstock.queue.entries import is_scheduled
from penstock.queue.explaining import Bound, Situation, explain
from penstock.queue.sharing import (
    REMEMBERED,
    Head,
    Share,
    charge_s,
    drain_rate,
    furthest_ahead,
    take_turns,
)


@dataclass(slots=True)
class _Row:
    """An entry and where it stands."""

    entry: Entry
    state: Literal["scheduled", "ready", "leased"]
    ready_at: float | None
    token: int = 0
    worker: str | None = None
    leased_at: float = 0.0
    expires_at: float = 0.0
    charged_s: float = 0.0

    @property
    def turn(self) -> tuple[int, str]:
        return -self.entry.priority, self.entry.id


@dataclass(slots=True)
class _Workspace:
    running_max: int = limits.WORKSPACE_RUNNING.value
    weight: float = 1.0
    scheduled: int = 0
    ready: int = 0
    running: int = 0
    virtual_time: float = 0.0
    drained_per_s: float = 0.0
    drained_at: float = 0.0


@dataclass(slots=True)
class _Lane:
    running_max: int = limits.LANE_RUNNING.value
    ready: int = 0
    running: int = 0
    mean_s: float = 0.0
    finished: int = 0
    kills_in_a_row: int = 0
    paused_at: float | None = None
    paused_reason: str | None = None

    @property
    def is_open(self) -> bool:
        return self.ready > 0 and self.running < self.running_max and self.paused_at is None


@dataclass(slots=True)
class _State:
    rows: dict[EntryId, _Row] = field(default_factory=dict)
    workspaces: dict[WorkspaceId, _Workspace] = field(default_factory=dict)
    lanes: dict[tuple[WorkspaceId, Lane], _Lane] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    virtual_time: float = 0.0

    def copied(self) -> _State:
        """Return the same, to go back to; an entry itself never changes."""
        return _State(
            rows={key: copy.copy(row) for key, row in self.rows.items()},
            workspaces={key: copy.copy(workspace) for key, workspace in self.workspaces.items()},
            lanes={key: copy.copy(lane) for key, lane in self.lanes.items()},
            changes=list(self.changes),
            virtual_time=self.virtual_time,
        )


class MemoryQueue:
    """Entries that wait for a worker, in memory; a transaction is whatever happens inside `transaction`.

    Args:
        clock: gives seconds since 1970.

    Attributes:
        workers: what is known of workers, as (heartbeat, slots, busy) by id.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._state = _State()
        self._changed = threading.Condition(threading.RLock())
        self.workers: dict[str, tuple[float, int, int]] = {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everybody else out, and undo everything when it fails."""
        with self._changed:
            before = self._state.copied()
            try:
                yield
            except BaseException:
                self._state = before
                raise
            self._changed.notify_all()

    # ---- in and out ----

    def enqueue(self, tx: Any, new: Sequence[Entry]) -> None:
        """Add entries; they become visible with the transaction.

        Raises:
            Bug: when one is there already.
        """
        now = self._clock()
        changes = Changes()
        for entry in new:
            if entry.id in self._state.rows:
                raise Bug("an entry is in the queue already", hint="Give each entry an id of its own.")
            change = changes.of(entry.workspace, entry.lane)
            if is_scheduled(entry, now):
                self._state.rows[entry.id] = _Row(entry, "scheduled", None)
                change.scheduled += 1
            else:
                self._state.rows[entry.id] = _Row(entry, "ready", now)
                change.ready += 1
        self._note(changes)

    def lease(self, tx: Any, *, worker: str, count: int, guests: bool = False) -> list[Lease]:
        """Take up to `count` entries, workspaces in fair shares, within the bounds of each and of each lane."""
        now = self._clock()
        self._add_up(now)
        shares = self._shares()
        if guests:
            idle = [share for share in shares if not self._workspace(share.workspace).running]
            shares = [dataclasses.replace(share, room=1) for share in idle]
        turns = take_turns(shares, virtual_time=self._state.virtual_time, count=count)
        leases = []
        for workspace, head in turns.heads:
            row = self._state.rows[head.id]
            row.state, row.worker, row.leased_at, row.token = "leased", worker, now, row.token + 1
            row.expires_at, row.charged_s = now + limits.LEASE.value, head.charge_s
            for counted in (self._workspace(workspace), self._lane(workspace, head.lane)):
                counted.ready -= 1
                counted.running += 1
            leases.append(Lease(row.entry, row.token, worker, now, row.expires_at))
        for workspace, virtual_time in turns.virtual_times.items():
            self._workspace(workspace).virtual_time = virtual_time
        self._state.virtual_time = turns.virtual_time
        return leases

    def finish(self, tx: Any, leases: Sequence[Lease], *, busy_s: Mapping[EntryId, float]) -> list[bool]:
        """Close leases; False for one that had expired and is another's now, or nobody's."""
        now = self._clock()
        changes, accepted = Changes(), []
        for lease in leases:
            row = self._held(lease)
            accepted.append(row is not None)
            if row is not None:
                del self._state.rows[lease.entry.id]
                took_s = max(0.0, busy_s.get(lease.entry.id, now - lease.leased_at))
                change = changes.of(lease.entry.workspace, lease.entry.lane)
                change.running -= 1
                change.finished += 1
                change.busy_s += took_s
                change.charged_s += took_s - row.charged_s
        self._note(changes)
        return accepted

    def release(self, tx: Any, leases: Sequence[Lease], *, reason: str) -> None:
        """Give leases back untried: no attempt is counted, and no time is charged."""
        changes = Changes()
        for row in filter(None, map(self._held, leases)):
            changes.of(row.entry.workspace, row.entry.lane).charged_s -= row.charged_s
            self._give_back(row, changes, reason=reason, attempt=row.entry.attempt)
        self._note(changes)

    def heartbeat(self, tx: Any, leases: Sequence[Lease]) -> list[Lease]:
        """Make leases last again; return those that are still held."""
        now = self._clock()
        changes, kept = Changes(), []
        for lease in leases:
            if (row := self._held(lease)) is not None:
                row.expires_at = now + limits.LEASE.value
                kept.append(dataclasses.replace(lease, expires_at=row.expires_at))
                if now - row.leased_at > row.charged_s:
                    change = changes.of(row.entry.workspace, row.entry.lane)
                    change.charged_s += now - row.leased_at - row.charged_s
                    row.charged_s = now - row.leased_at
        self._note(changes)
        return kept

    def cancel(self, tx: Any, run: RunId) -> list[Entry]:
        """Remove the waiting entries of a run and return them; leased ones go on."""
        return self._remove(lambda row: row.entry.run == run and row.state != "leased")

    def held(self, tx: Any, run: RunId) -> int:
        """Return how many entries of a run are leased."""
        return sum(row.entry.run == run and row.state == "leased" for row in self._state.rows.values())

    # ---- ticks ----

    def bury(self, tx: Any, worker: str) -> int:
        """Let the leases of a worker that is known to be dead end now, to be reaped; return how many."""
        held = [row for row in self._state.rows.values() if row.state == "leased" and row.worker == worker]
        for row in held:
            row.expires_at = self._clock()
        return len(held)

    def reap(self, tx: Any) -> list[Lease]:
        """Put entries of expired leases back, one attempt poorer, or remove them after the last; return the leases."""
        now = self._clock()
        expired = [row for row in self._state.rows.values() if row.state == "leased" and row.expires_at <= now]
        lost = [Lease(row.entry, row.token, row.worker or "", row.leased_at, row.expires_at) for row in expired]
        self._remove(lambda row: row in expired and row.entry.is_last)
        changes = Changes()
        for row in expired:
            if not row.entry.is_last:
                self._give_back(row, changes, reason="worker_lost", attempt=row.entry.attempt + 1)
        self._note(changes)
        return lost

    def promote(self, tx: Any) -> int:
        """Make scheduled entries ready whose time has come; return how many."""
        now = self._clock()
        changes, promoted = Changes(), 0
        for row in self._state.rows.values():
            if row.state == "scheduled" and (row.entry.not_before or 0.0) <= now:
                row.state, row.ready_at = "ready", now
                change = changes.of(row.entry.workspace, row.entry.lane)
                change.scheduled -= 1
                change.ready += 1
                promoted += 1
        self._note(changes)
        return promoted

    def expire(self, tx: Any) -> list[Entry]:
        """Remove entries whose deadline has passed before they started, and return them."""
        now = self._clock()
        return self._remove(
            lambda row: row.state != "leased" and row.entry.deadline is not None and row.entry.deadline <= now
        )

    def reconcile(self, tx: Any) -> int:
        """Correct the counters from the entries themselves; return how many were wrong."""
        self._add_up(self._clock())
        state, wrong = self._state, 0
        actual = _State()
        for row in state.rows.values():
            of_workspace = actual.workspaces.setdefault(row.entry.workspace, _Workspace())
            of_lane = actual.lanes.setdefault((row.entry.workspace, row.entry.lane), _Lane())
            of_workspace.scheduled += row.state == "scheduled"
            for counted in (of_workspace, of_lane):
                counted.ready += row.state == "ready"
                counted.running += row.state == "leased"
        for name in state.workspaces.keys() | actual.workspaces.keys():
            mine, true = self._workspace(name), actual.workspaces.get(name, _Workspace())
            wrong += (mine.scheduled, mine.ready, mine.running) != (true.scheduled, true.ready, true.running)
            mine.scheduled, mine.ready, mine.running = true.scheduled, true.ready, true.running
        for key in state.lanes.keys() | actual.lanes.keys():
            its, real = self._lane(*key), actual.lanes.get(key, _Lane())
            wrong += (its.ready, its.running) != (real.ready, real.running)
            its.ready, its.running = real.ready, real.running
        return wrong

    # ---- what can be known ----

    def depth(self, tx: Any, workspace: WorkspaceId) -> Depth:
        """Return what a workspace has in the queue."""
        now = self._clock()
        counted = self._state.workspaces.get(workspace) or _Workspace(drained_at=now)
        pending = [change for change in self._state.changes if change.workspace == workspace]
        return Depth(
            scheduled=counted.scheduled + sum(change.scheduled for change in pending),
            ready=counted.ready + sum(change.ready for change in pending),
            running=counted.running + sum(change.running for change in pending),
            drained_per_s=drain_rate(counted.drained_per_s, finished=0, elapsed_s=now - counted.drained_at),
            oldest_ready_at=min(
                (
                    row.ready_at
                    for row in self._state.rows.values()
                    if row.entry.workspace == workspace and row.state == "ready" and row.ready_at is not None
                ),
                default=None,
            ),
        )

    def explain(self, tx: Any, run: RunId) -> Waiting | None:
        """Return why a run's foremost entry waits; None when none waits."""
        now = self._clock()
        waiting = [row for row in self._state.rows.values() if row.entry.run == run and row.state != "leased"]
        if not waiting:
            return None
        row = min(waiting, key=lambda row: (row.state, row.entry.not_before or 0.0, row.turn))
        return explain(row.entry, self._situation(row, now), now=now)

    # ---- bounds ----

    def bound_workspace(self, tx: Any, workspace: WorkspaceId, *, running_max: int, weight: float = 1.0) -> None:
        """Set how many entries of a workspace may run at once, and its share beside others."""
        counted = self._workspace(workspace)
        counted.running_max, counted.weight = running_max, weight

    def bound_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, running_max: int) -> None:
        """Set how many entries of a lane may run at once."""
        self._lane(workspace, lane).running_max = running_max

    def bound_of(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> int:
        """Return how many entries of a lane may run at once."""
        return self._lane(workspace, lane).running_max

    def count_kill(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, killed: bool) -> bool:
        """Count kills in a row; return True when this one paused the lane."""
        counted = self._lane(workspace, lane)
        counted.kills_in_a_row = counted.kills_in_a_row + 1 if killed else 0
        if counted.kills_in_a_row < limits.KILLS_IN_A_ROW.value or counted.paused_at is not None:
            return False
        counted.paused_at, counted.paused_reason = self._clock(), pause_reason(counted.kills_in_a_row)
        return True

    def resume_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> bool:
        """Let a paused lane run again; return whether it was paused."""
        counted = self._lane(workspace, lane)
        was_paused = counted.paused_at is not None
        if was_paused:
            counted.paused_at, counted.paused_reason, counted.kills_in_a_row = None, None, 0
        return was_paused

    def pause_of(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> Pause | None:
        """Return since when a lane is paused, and why; None when it is not."""
        counted = self._lane(workspace, lane)
        return None if counted.paused_at is None else Pause(counted.paused_at, counted.paused_reason or "")

    # ---- waiting ----

    def wait(self, timeout_s: float) -> None:
        """Return when entries may have become ready, or the time is up."""
        with self._changed:
            self._changed.wait_for(self._takeable, timeout_s)

    def announce(self) -> None:
        """Who waits was told when the entry came."""

    def close(self) -> None:
        """There is nothing to close."""

    def _takeable(self) -> bool:
        return any(change.ready > 0 or change.running < 0 for change in self._state.changes) or bool(self._shares())

    # ---- inside ----

    def _workspace(self, workspace: WorkspaceId) -> _Workspace:
        if (found := self._state.workspaces.get(workspace)) is None:
            found = self._state.workspaces[workspace] = _Workspace(drained_at=self._clock())
        return found

    def _lane(self, workspace: WorkspaceId, lane: Lane) -> _Lane:
        return self._state.lanes.setdefault((workspace, lane), _Lane())

    def _held(self, lease: Lease) -> _Row | None:
        row = self._state.rows.get(lease.entry.id)
        return row if row is not None and row.state == "leased" and row.token == lease.token else None

    def _give_back(self, row: _Row, changes: Changes, *, reason: str, attempt: int) -> None:
        row.entry = dataclasses.replace(row.entry, reason=reason, attempt=attempt)
        row.state, row.ready_at, row.worker = "ready", self._clock(), None
        change = changes.of(row.entry.workspace, row.entry.lane)
        change.running -= 1
        change.ready += 1

    def _remove(self, chosen: Callable[[_Row], bool]) -> list[Entry]:
        changes = Changes()
        removed = [row for row in self._state.rows.values() if chosen(row)]
        for row in removed:
            del self._state.rows[row.entry.id]
            change = changes.of(row.entry.workspace, row.entry.lane)
            change.scheduled -= row.state == "scheduled"
            change.ready -= row.state == "ready"
            change.running -= row.state == "leased"
        self._note(changes)
        return [row.entry for row in removed]

    def _note(self, changes: Changes) -> None:
        self._state.changes += changes

    def _add_up(self, now: float) -> None:
        """Add the changes to the counters, those of a lane together."""
        sums = Changes()
        for change in self._state.changes:
            sums.of(change.workspace, change.lane).add(change)
        finished: dict[WorkspaceId, int] = {}
        charged: dict[WorkspaceId, list[float]] = {}
        for change in sums:
            workspace, lane = self._workspace(change.workspace), self._lane(change.workspace, change.lane)
            workspace.scheduled += change.scheduled
            charged.setdefault(change.workspace, []).append(change.charged_s)
            finished[change.workspace] = finished.get(change.workspace, 0) + change.finished
            for counted in (workspace, lane):
                counted.ready += change.ready
                counted.running += change.running
            if change.finished:
                mean_s = change.busy_s / change.finished
                if lane.finished:
                    mean_s = (lane.mean_s * REMEMBERED + mean_s * change.finished) / (REMEMBERED + change.finished)
                lane.mean_s = mean_s
                lane.finished += change.finished
        for name, count in finished.items():
            counted = self._workspace(name)
            elapsed_s = now - counted.drained_at
            counted.drained_per_s = drain_rate(counted.drained_per_s, finished=count, elapsed_s=elapsed_s)
            counted.drained_at = now
            ahead = counted.virtual_time + sum(charged[name]) / counted.weight
            counted.virtual_time = min(ahead, furthest_ahead(self._state.virtual_time))
        self._state.changes = []

    def _shares(self) -> list[Share]:
        ready: dict[tuple[WorkspaceId, Lane], list[_Row]] = {}
        for row in self._state.rows.values():
            if row.state == "ready" and self._lane(row.entry.workspace, row.entry.lane).is_open:
                ready.setdefault((row.entry.workspace, row.entry.lane), []).append(row)
        fronts: dict[WorkspaceId, list[tuple[tuple[int, str], Head]]] = {}
        for (workspace, lane), rows in ready.items():
            counted = self._lane(workspace, lane)
            front = sorted(rows, key=lambda row: row.turn)[: counted.running_max - counted.running]
            heads = [(row.turn, Head(row.entry.id, lane, charge_s(counted.mean_s))) for row in front]
            fronts.setdefault(workspace, []).extend(heads)
        shares = []
        for workspace, front_heads in fronts.items():
            its = self._workspace(workspace)
            if (room := its.running_max - its.running) > 0:
                heads_in_order = [head for _, head in sorted(front_heads, key=lambda pair: pair[0])]
                shares.append(Share(workspace, its.virtual_time, its.weight, room, heads_in_order))
        return shares

    def _situation(self, row: _Row, now: float) -> Situation:
        entry = row.entry
        alive = [each for each in self.workers.values() if each[0] > now - limits.WORKER_SEEN.value]
        pending = [change for change in self._state.changes if change.workspace == entry.workspace]
        its, lane = self._workspace(entry.workspace), self._lane(entry.workspace, entry.lane)
        before = sum(
            other.entry.workspace == entry.workspace
            and other.state == "ready"
            and other.turn < row.turn
            and self._lane(entry.workspace, other.entry.lane).paused_at is None
            for other in self._state.rows.values()
        )
        return Situation(
            scheduled=row.state == "scheduled",
            workspace=Bound(its.running + sum(change.running for change in pending), its.running_max),
            lane=Bound(
                lane.running + sum(change.running for change in pending if change.lane == entry.lane),
                lane.running_max,
            ),
            paused_at=lane.paused_at,
            paused_reason=lane.paused_reason,
            workers=len(alive),
            slots=sum(slots for _, slots, _ in alive),
            busy=sum(busy for _, _, busy in alive),
            before_it=0 if row.state == "scheduled" else min(before, limits.COUNTED_BEFORE.value + 1),
        )
