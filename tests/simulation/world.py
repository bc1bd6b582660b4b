"""The users of a queue: people who ask for jobs, workers that carry them out, and what they know of each."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import Entry, EntryId, Lease
from penstock.database.sqlite import SqliteDatabase
from penstock.queue.memory_queue import MemoryQueue
from penstock.queue.sharing import MOST_CHARGE_S
from penstock.queue.sql_queue import SqlQueue
from tests.queues import Clock

T = TypeVar("T")
WORKSPACES = ("big", "small", "slow", "twice")
LANES = ("clean", "join")
WEIGHTS = {"twice": 2.0}
BUSY_S = {"big": (0.05, 0.2), "small": (0.05, 0.4), "slow": (1.0, 6.0), "twice": (0.05, 0.4)}


class Fault(Exception):
    """A transaction that fails at its end."""


@dataclass(slots=True)
class Worker:
    """A supervisor with its runners."""

    name: str
    slots: int
    running: list[tuple[Lease, float, str]] = field(default_factory=list)
    beat_at: float = 0.0
    stalled_until: float = 0.0
    draining: bool = False


@dataclass(slots=True)
class World:
    """A queue, its users, and what they know of it."""

    queue: MemoryQueue | SqlQueue
    clock: Clock
    chance: random.Random
    database: SqliteDatabase | None = None
    workers: list[Worker] = field(default_factory=list)
    entries: dict[EntryId, Entry] = field(default_factory=dict)  # what is in the queue
    held: dict[EntryId, Lease] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)  # how often each job has ended
    jobs: int = 0
    number: int = 0
    bounds: dict[str, int] = field(default_factory=dict)
    lane_bounds: dict[tuple[str, str], int] = field(default_factory=dict)
    paused: set[tuple[str, str]] = field(default_factory=set)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    visitors: dict[str, Counter[str]] = field(default_factory=dict)  # turns of others since a first job came
    passed_s: dict[str, float] = field(default_factory=dict)  # charged to others since a workspace could go
    ticked_at: float = 0.0
    faulty: bool = True

    # ---- transactions ----

    def write(self, work: Callable[[Any], T]) -> T:
        """Return what `work` returned; now and then it fails at its end first, and is run again."""
        if self.faulty and self.chance.random() < 0.03:

            def fail(tx: Any) -> None:
                work(tx)
                raise Fault

            with contextlib.suppress(Fault):
                if isinstance(self.queue, MemoryQueue):
                    with self.queue.transaction():
                        fail(None)
                else:
                    assert self.database is not None
                    self.database.write(fail, durable=False)
        if self.database is not None:
            return self.database.write(work, durable=False)
        return work(None)

    # ---- what people do ----

    def submit(self, workspace: str, lane: str, count: int, **more: Any) -> None:
        """Have a workspace ask for jobs."""
        entries = []
        for _ in range(count):
            self.jobs += 1
            entries.append(self.entry(workspace, lane, run=f"job_{self.jobs}", **more))
        self.write(lambda tx: self.queue.enqueue(tx, entries))
        self.entries |= {entry.id: entry for entry in entries}

    def entry(self, workspace: str, lane: str, **more: Any) -> Entry:
        """Return an entry."""
        self.number += 1
        fields = {"id": f"att_{self.number:06}", "workspace": workspace, "lane": lane, "task": "t", "part": "whole"}
        return Entry(**(fields | more))

    def cancel(self) -> None:
        """Cancel some job."""
        if self.entries:
            run = self.chance.choice(list(self.entries.values())).run
            for entry in self.write(lambda tx: self.queue.cancel(tx, run)):
                assert entry.id not in self.held
                self.leave(entry)

    def pause(self, workspace: str, lane: str) -> None:
        """Have a script killed until it is paused."""
        for _ in range(limits.KILLS_IN_A_ROW.value):
            self.count_kill(workspace, lane, killed=True)

    def count_kill(self, workspace: str, lane: str, *, killed: bool) -> None:
        """Count a kill."""
        key = (workspace, lane)
        paused = self.write(lambda tx: self.queue.count_kill(tx, *key, killed=killed))  # type: ignore[arg-type]  # names
        self.kills[key] = self.kills[key] + 1 if killed else 0
        assert paused == (self.kills[key] >= limits.KILLS_IN_A_ROW.value and key not in self.paused)
        if paused:
            self.paused.add(key)

    def resume(self, workspace: str, lane: str) -> None:
        """Resume a script."""
        key = (workspace, lane)
        was_paused = self.write(lambda tx: self.queue.resume_lane(tx, *key))  # type: ignore[arg-type]  # names
        assert was_paused == (key in self.paused)
        if was_paused:
            self.kills[key] = 0
        self.paused.discard(key)

    def bound(self, workspace: str, running_max: int) -> None:
        """Bound a workspace."""
        weight = WEIGHTS.get(workspace, 1.0)
        self.bounds[workspace] = running_max
        self.write(
            lambda tx: self.queue.bound_workspace(tx, workspace, running_max=running_max, weight=weight)  # type: ignore[arg-type]  # a name
        )

    def bound_lane(self, workspace: str, lane: str, running_max: int) -> None:
        """Bound a script."""
        self.lane_bounds[workspace, lane] = running_max
        self.write(lambda tx: self.queue.bound_lane(tx, workspace, lane, running_max=running_max))  # type: ignore[arg-type]  # names

    # ---- what workers do ----

    def pass_time(self, seconds: float) -> None:
        """Let time pass, in which whoever is alive does what is due."""
        self.clock.now += seconds
        for worker in self.workers:
            if worker.stalled_until <= self.clock.now:
                self.beat(worker)
                self.round(worker)
        if abs(self.clock.now - self.ticked_at) >= limits.REAP.value / 1000:
            self.tick()

    def beat(self, worker: Worker) -> None:
        """Make a worker's leases last again, when it is time to."""
        if abs(self.clock.now - worker.beat_at) < limits.HEARTBEAT.value / 1000:
            return
        worker.beat_at = self.clock.now
        leases = [lease for lease, *_ in worker.running]
        kept = {lease.entry.id: lease for lease in self.write(lambda tx: self.queue.heartbeat(tx, leases))}
        for lease in leases:
            assert (lease.entry.id in kept) == self.holds(lease)
        self.held |= kept
        worker.running = [(kept[each[0].entry.id], *each[1:]) for each in worker.running if each[0].entry.id in kept]

    def round(self, worker: Worker) -> None:
        """Close what has ended, with what follows, and lease what there is room for, in one transaction."""
        ended = [each for each in worker.running if each[1] <= self.clock.now]
        worker.running = [each for each in worker.running if each[1] > self.clock.now]
        count = 0 if worker.draining else worker.slots - len(worker.running)
        number = self.number

        def turn(tx: Any) -> tuple[list[bool], list[Entry], list[Lease]]:
            self.number = number  # it may be run again
            busy_s = {lease.entry.id: ends_at - lease.leased_at for lease, ends_at, _ in ended}
            accepted = self.queue.finish(tx, [lease for lease, *_ in ended], busy_s=busy_s)
            retries = [
                self.retry(lease.entry, fate)
                for (lease, _, fate), mine in zip(ended, accepted, strict=True)
                if mine and self.is_retried(lease.entry, fate)
            ]
            self.queue.enqueue(tx, retries)
            return accepted, retries, self.queue.lease(tx, worker=worker.name, count=count) if count else []

        accepted, retries, leases = self.write(turn)
        for (lease, _, fate), mine in zip(ended, accepted, strict=True):
            assert mine == self.holds(lease), f"a late end was {'accepted' if mine else 'refused'}: {lease}"
            if mine:
                del self.held[lease.entry.id], self.entries[lease.entry.id]
                self.ended[lease.entry.run] += not self.is_retried(lease.entry, fate)
        self.entries |= {entry.id: entry for entry in retries}
        self.take(worker, leases)

    def take(self, worker: Worker, leases: list[Lease]) -> None:
        """Begin to run what was leased, and check that it was right to be given."""
        able = self.able()
        for lease in leases:
            entry = lease.entry
            assert entry.id not in self.held, "it is another's"
            assert entry == self.entries[entry.id]
            assert (entry.workspace, entry.lane) not in self.paused
            assert entry.attempt <= entry.attempts_max
            self.held[entry.id] = lease
            self.check_turn(entry, able)
            busy_s = self.chance.uniform(*BUSY_S.get(entry.workspace, (0.05, 0.2)))
            fate = self.chance.choices(["done", "crashed", "transient", "failed"], [8, 1, 1, 1])[0]
            worker.running.append((lease, self.clock.now + busy_s, fate))
        running = Counter(lease.entry.workspace for lease in self.held.values())
        in_lanes = Counter((lease.entry.workspace, lease.entry.lane) for lease in self.held.values())
        for lease in leases:
            assert running[lease.entry.workspace] <= self.bounds.get(lease.entry.workspace, 64)
            assert in_lanes[lease.entry.workspace, lease.entry.lane] <= self.lane_bounds.get(
                (lease.entry.workspace, lease.entry.lane), 10_000
            )

    def check_turn(self, entry: Entry, able: set[str]) -> None:
        """Check that nobody who could go was passed over for too long."""
        self.visitors.pop(entry.workspace, None)
        self.passed_s.pop(entry.workspace, None)
        for visitor, turns in self.visitors.items():
            turns[entry.workspace] += 1
            assert turns[entry.workspace] <= 1, f"{visitor} waits behind {entry.workspace}"
        others = len(WORKSPACES) + len(self.visitors)
        for workspace in able - {entry.workspace}:
            used_s = sum(BUSY_S.get(entry.workspace, (0.05, 0.2))) / 2
            self.passed_s[workspace] = self.passed_s.get(workspace, 0.0) + used_s
            debt_s = limits.QUEUE_DEBT.value + 4 * MOST_CHARGE_S
            assert self.passed_s[workspace] <= 2 * others * debt_s, f"{workspace} starves"

    def able(self) -> set[str]:
        """Return the workspaces of which something could go; others begin to wait anew."""
        running = Counter(lease.entry.workspace for lease in self.held.values())
        in_lanes = Counter((lease.entry.workspace, lease.entry.lane) for lease in self.held.values())
        able = {
            str(entry.workspace)
            for entry in self.entries.values()
            if entry.id not in self.held
            and (entry.not_before is None or entry.not_before <= self.clock.now)
            and running[entry.workspace] < self.bounds.get(entry.workspace, 64)
            and in_lanes[entry.workspace, entry.lane] < self.lane_bounds.get((entry.workspace, entry.lane), 10_000)
            and (entry.workspace, entry.lane) not in self.paused
        }
        for workspace in set(self.passed_s) - able:
            del self.passed_s[workspace]
        return able

    def is_retried(self, entry: Entry, fate: str) -> bool:
        """Return whether an attempt that ended so is tried again."""
        return fate == "transient" or (fate == "crashed" and entry.attempt < entry.attempts_max)

    def retry(self, entry: Entry, fate: str) -> Entry:
        """Return the entry of the next attempt."""
        fresh = self.entry(entry.workspace, entry.lane, run=entry.run)
        attempt = entry.attempt + (fate == "crashed")
        wait_s = 0.5 + self.number % 3
        return replace(fresh, attempt=attempt, not_before=self.clock.now + wait_s, reason=fate, deadline=entry.deadline)

    def release(self, worker: Worker) -> None:
        """Have a worker give back everything untried."""
        leases = [lease for lease, *_ in worker.running]
        worker.running = []
        self.write(lambda tx: self.queue.release(tx, leases, reason="draining"))
        for lease in leases:
            if self.holds(lease):
                del self.held[lease.entry.id]
                self.entries[lease.entry.id] = replace(lease.entry, reason="draining")
                for turns in self.visitors.values():
                    turns[lease.entry.workspace] -= 1  # it was not used

    def tick(self) -> None:
        """Put back what dead workers held, make ready what was to wait, remove what is too late."""
        now = self.ticked_at = self.clock.now

        def turn(tx: Any) -> tuple[list[Entry], list[Entry]]:
            self.queue.promote(tx)
            return [lease.entry for lease in self.queue.reap(tx) if lease.entry.is_last], self.queue.expire(tx)

        lost, late = self.write(turn)
        for lease in [lease for lease in self.held.values() if lease.expires_at <= now]:
            del self.held[lease.entry.id]
            entry = self.entries[lease.entry.id]
            if entry.attempt >= entry.attempts_max:
                assert entry in lost
                self.leave(entry)
            else:
                again = replace(entry, attempt=entry.attempt + 1, reason="worker_lost")
                self.entries[entry.id] = again
        for entry in late:
            assert entry.id not in self.held
            assert entry.deadline is not None
            assert entry.deadline <= now
            self.leave(entry)

    # ---- the account ----

    def holds(self, lease: Lease) -> bool:
        """Return whether a lease is still its worker's."""
        held = self.held.get(lease.entry.id)
        return held is not None and held.token == lease.token

    def leave(self, entry: Entry) -> None:
        """Record that an entry left the queue, and with it its job."""
        del self.entries[entry.id]
        self.visitors.pop(entry.workspace, None)
        self.ended[entry.run] += 1

    def check(self) -> None:
        """Check what holds after every step."""
        assert all(count <= 1 for count in self.ended.values()), "a job has ended twice"
        waiting = {entry.run for entry in self.entries.values()}
        assert len(waiting) == len(self.entries)
        assert waiting.isdisjoint(run for run, count in self.ended.items() if count)
        assert len(waiting) + sum(self.ended.values()) == self.jobs, "a job was lost"
        total = Counter(entry.workspace for entry in self.entries.values())
        running = Counter(lease.entry.workspace for lease in self.held.values())
        depths = self.write(lambda tx: [self.queue.depth(tx, WorkspaceId(name)) for name in WORKSPACES])
        for workspace, depth in zip(map(WorkspaceId, WORKSPACES), depths, strict=True):
            assert depth.running == running[workspace]
            assert depth.scheduled + depth.ready + depth.running == total[workspace]
