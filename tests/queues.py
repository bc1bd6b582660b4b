"""Queues for tests: each with a clock that is set by hand, and with the transactions that it lives in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import sqlalchemy

from penstock.core.access import WorkspaceId
from penstock.core.jobs import Depth, Entry, EntryId, Lane, Lease, Pause, Waiting
from penstock.core.plan import RunId
from penstock.database.opening import SqlDatabase
from penstock.database.schema import queue_entries, queue_lanes, queue_workspaces, workers
from penstock.queue.memory_queue import MemoryQueue
from penstock.queue.sql_queue import SqlQueue

T = TypeVar("T")
START = 1_800_000_000.0


@dataclass(slots=True)
class Clock:
    """Seconds since 1970, as the test says."""

    now: float = START

    def __call__(self) -> float:
        """Return it."""
        return self.now


@dataclass(slots=True)
class Stand:
    """A queue, and the words that tests speak to it."""

    queue: MemoryQueue | SqlQueue
    clock: Clock
    database: SqlDatabase | None = None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def write(self, work: Callable[[Any], T]) -> T:
        """Return what `work` returned, in a transaction."""
        if self.database is not None:
            return self.database.write(work)
        assert isinstance(self.queue, MemoryQueue)
        with self.queue.transaction():
            return work(None)

    def entry(self, workspace: str = "acme", lane: str = "clean", **more: Any) -> Entry:
        """Return an entry whose id comes after that of the one before; each is a run of its own unless told."""
        number = next(self._numbers)
        run = RunId(more.pop("run", f"job_{number:06}"))
        entry_id = EntryId(f"att_{number:06}")
        return Entry(entry_id, WorkspaceId(workspace), Lane(lane), run, "task", more.pop("part", "whole"), **more)

    def add(self, *entries: Entry) -> tuple[Entry, ...]:
        """Add entries."""
        self.write(lambda tx: self.queue.enqueue(tx, entries))
        return entries

    def add_many(self, count: int, *names: str, **more: Any) -> tuple[Entry, ...]:
        """Add equal entries."""
        return self.add(*[self.entry(*names, **more) for _ in range(count)])

    def lease(self, count: int = 1, *, worker: str = "w1", guests: bool = False) -> list[Lease]:
        """Lease entries."""
        return self.write(lambda tx: self.queue.lease(tx, worker=worker, count=count, guests=guests))

    def finish(self, *leases: Lease, busy_s: float | None = None) -> list[bool]:
        """Close leases, each after so long."""
        times = {} if busy_s is None else {lease.entry.id: busy_s for lease in leases}
        return self.write(lambda tx: self.queue.finish(tx, leases, busy_s=times))

    def heartbeat(self, *leases: Lease) -> list[Lease]:
        """Make leases last again."""
        return self.write(lambda tx: self.queue.heartbeat(tx, leases))

    def release(self, *leases: Lease, reason: str = "draining") -> None:
        """Give leases back untried."""
        self.write(lambda tx: self.queue.release(tx, leases, reason=reason))

    def bury(self, worker: str) -> int:
        """Let the leases of a dead worker end now."""
        return self.write(lambda tx: self.queue.bury(tx, worker))

    def reap(self) -> list[Lease]:
        """Put back what dead workers held."""
        return self.write(lambda tx: self.queue.reap(tx))

    def promote(self) -> int:
        """Make ready whose time has come."""
        return self.write(lambda tx: self.queue.promote(tx))

    def expire(self) -> list[Entry]:
        """Remove what is too late."""
        return self.write(lambda tx: self.queue.expire(tx))

    def cancel(self, run: RunId) -> list[Entry]:
        """Remove what waits of a run."""
        return self.write(lambda tx: self.queue.cancel(tx, run))

    def bound(self, workspace: str = "acme", *, running_max: int, weight: float = 1.0) -> None:
        """Bound a workspace."""
        self.write(
            lambda tx: self.queue.bound_workspace(tx, WorkspaceId(workspace), running_max=running_max, weight=weight)
        )

    def bound_lane(self, workspace: str = "acme", lane: str = "clean", *, running_max: int) -> None:
        """Bound a lane."""
        self.write(lambda tx: self.queue.bound_lane(tx, WorkspaceId(workspace), Lane(lane), running_max=running_max))

    def bound_of(self, workspace: str = "acme", lane: str = "clean") -> int:
        """Return a lane's bound."""
        return self.write(lambda tx: self.queue.bound_of(tx, WorkspaceId(workspace), Lane(lane)))

    def kill(self, workspace: str = "acme", lane: str = "clean", *, killed: bool = True) -> bool:
        """Count a kill, or an attempt that was not killed."""
        return self.write(lambda tx: self.queue.count_kill(tx, WorkspaceId(workspace), Lane(lane), killed=killed))

    def resume(self, workspace: str = "acme", lane: str = "clean") -> bool:
        """Resume a lane."""
        return self.write(lambda tx: self.queue.resume_lane(tx, WorkspaceId(workspace), Lane(lane)))

    def pause_of(self, workspace: str = "acme", lane: str = "clean") -> Pause | None:
        """Return since when a lane is paused, and why."""
        return self.write(lambda tx: self.queue.pause_of(tx, WorkspaceId(workspace), Lane(lane)))

    def pause(self, workspace: str = "acme", lane: str = "clean") -> None:
        """Have a lane paused by as many kills as it takes."""
        while not self.kill(workspace, lane):
            pass

    def depth(self, workspace: str = "acme") -> Depth:
        """Return what a workspace has in the queue."""
        return self.write(lambda tx: self.queue.depth(tx, WorkspaceId(workspace)))

    def counts(self, workspace: str = "acme") -> tuple[int, int, int]:
        """Return (scheduled, ready, running)."""
        depth = self.depth(workspace)
        return depth.scheduled, depth.ready, depth.running

    def explain(self, run: RunId) -> Waiting | None:
        """Return why a run waits."""
        return self.write(lambda tx: self.queue.explain(tx, run))

    def reconcile(self) -> int:
        """Correct the counters."""
        return self.write(lambda tx: self.queue.reconcile(tx))

    def heard_of(self, worker: str = "w1", *, slots: int = 4, busy: int = 0) -> None:
        """Have a worker say that it is alive."""
        if isinstance(self.queue, MemoryQueue):
            self.queue.workers[worker] = (self.clock.now, slots, busy)
            return
        row = {"id": worker, "host": "here", "pid": 1, "state": "active", "slots": slots, "busy": busy}
        times = {"sandbox_level": "landlock+seccomp", "started_at": self.clock.now, "heartbeat_at": self.clock.now}

        def put(tx: sqlalchemy.Connection) -> None:
            tx.execute(workers.delete().where(workers.c.id == worker))
            tx.execute(workers.insert(), [row | times])

        self.write(put)

    def spoil_counters(self, by: int = 7) -> None:
        """Make every counter wrong, as a bug would."""
        if isinstance(self.queue, MemoryQueue):
            state = self.queue._state
            for workspace in state.workspaces.values():
                workspace.ready += by
            for lane in state.lanes.values():
                lane.ready += by
            return

        def spoil(tx: sqlalchemy.Connection) -> None:
            tx.execute(queue_workspaces.update().values(ready=queue_workspaces.c.ready + by))
            tx.execute(queue_lanes.update().values(ready=queue_lanes.c.ready + by))

        self.write(spoil)

    def lose_entries(self) -> None:
        """Remove all entries behind the queue's back."""
        if isinstance(self.queue, MemoryQueue):
            self.queue._state.rows.clear()
        else:
            self.write(lambda tx: tx.execute(queue_entries.delete()))


def memory_stand() -> Stand:
    """Return a queue in memory."""
    clock = Clock()
    return Stand(MemoryQueue(clock), clock)


def sql_stand(database: SqlDatabase) -> Stand:
    """Return a queue in a database."""
    clock = Clock()
    return Stand(SqlQueue(database, clock), clock, database)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def stand(request: pytest.FixtureRequest, fresh_database: Callable[[Any], SqlDatabase]) -> Iterator[Stand]:
    """Give a queue of each kind, one after the other."""
    made = memory_stand() if request.param == "memory" else sql_stand(fresh_database(request.param))
    yield made
    made.queue.close()
