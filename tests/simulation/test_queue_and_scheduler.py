"""The queue and those who use it, under faults, on a clock that the test turns.

A history is some hundred steps, drawn from a seed: jobs come in for several workspaces and scripts, workers lease, run,
beat, finish and retry as supervisors do, and meanwhile workers are killed, stall and come back late, transactions fail
and are run again, the clock jumps, jobs are cancelled, scripts are paused, bounds change. After every step:

1. Nothing is lost: what was accepted waits, runs, or has ended; each job exactly one of them.
2. Nothing is committed twice, and nothing by a lease that was no longer held.
3. A lease is exclusive: nobody gets what another holds.
4. Counters equal entries, those of the queue's own tables and those that the history keeps.
5. No bound is passed, of a workspace or of a script; of a paused script nothing is leased.
6. An attempt that was given back costs none; no entry is tried more often than it may.
7. Whoever comes with a first job waits for one turn of each other workspace at most, whatever their backlogs.
8. No workspace that could go is passed over for longer than the bound on debts allows.

And when the faults end, everything that is left ends too.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from functools import partial
from itertools import combinations
from typing import Any

import pytest

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.database.schema import queue_changes, queue_entries, queue_lanes, queue_turn, queue_workspaces
from penstock.queue.memory_queue import MemoryQueue
from penstock.queue.sharing import MOST_CHARGE_S
from penstock.queue.sql_queue import SqlQueue
from tests.queues import Clock
from tests.simulation.world import LANES, WEIGHTS, WORKSPACES, Worker, World

HISTORIES = int(os.environ.get("HISTORIES", "1000"))
# What happens, and how often beside the others.
HAPPENINGS = {"time": 40, "submit": 14, "backlog": 3, "visitor": 4, "cancel": 3, "bound": 3}
HAPPENINGS |= {"kill": 3, "stall": 3, "start": 5, "drain": 2, "jump": 1, "kills": 2, "pause": 1, "resume": 4}


def step(world: World, number: int) -> None:
    """Do one thing that happens in a data centre."""
    chance = world.chance
    workspace, lane = chance.choice(WORKSPACES), chance.choice(LANES)
    what = chance.choices(list(HAPPENINGS), list(HAPPENINGS.values()))[0]
    now = world.clock.now
    match what:
        case "time":
            world.pass_time(chance.uniform(0.05, 0.4))
        case "submit":
            more: dict[str, Any] = {"priority": chance.choice([0, 0, 0, 10, -10])}
            if chance.random() < 0.2:
                more["not_before"] = now + chance.uniform(0.1, 3)
            if chance.random() < 0.2:
                more["deadline"] = now + chance.uniform(0.5, 5)
            world.submit(workspace, lane, chance.randrange(1, 4), **more)
        case "backlog":
            world.submit("big", lane, 15)
        case "visitor":
            visitor = f"visitor-{number}"
            world.submit(visitor, "clean", 1)
            world.visitors[visitor] = Counter()
        case "kill" if len(world.workers) > 1:
            world.workers.remove(chance.choice(world.workers))
        case "stall":
            chance.choice(world.workers).stalled_until = now + chance.uniform(1, 6)
        case "start" if len(world.workers) < 4:
            world.workers.append(Worker(f"w{number}", chance.choice([1, 2, 4])))
        case "drain":
            world.release(chance.choice(world.workers))
        case "jump":
            world.clock.now += chance.choice([30.0, 5.0, -1.0])
        case "cancel":
            world.cancel()
        case "pause":
            world.pause(workspace, lane)
        case "resume":
            world.resume(workspace, lane)
        case "bound":
            world.bound(workspace, chance.choice([1, 2, 8, 64]))
            world.bound_lane(workspace, lane, chance.choice([1, 3, 64]))
        case "kills":
            world.count_kill(workspace, lane, killed=chance.random() < 0.5)
    world.check()


def settle(world: World) -> None:
    """End all faults, and let everything that is left end."""
    world.faulty = False
    for workspace in WORKSPACES:
        world.bound(workspace, 64)
        for lane in LANES:
            world.resume(workspace, lane)
            world.bound_lane(workspace, lane, 64)
    world.workers.append(Worker("last", 16))
    for worker in world.workers:
        worker.stalled_until = 0
    for _ in range(1_000):
        world.pass_time(0.25)
        if not world.entries:
            break
    world.check()
    assert not world.entries, f"{len(world.entries)} are left for ever"
    assert sum(world.ended.values()) == world.jobs
    assert world.write(world.queue.reconcile) == 0


def live(world: World, *, steps: int) -> None:
    """Go through one history."""
    for workspace in WORKSPACES:
        world.bound(workspace, 64)
    world.workers = [Worker("w0", 2), Worker("w1", 4)]
    for number in range(steps):
        step(world, number)
    assert world.write(world.queue.reconcile) == 0
    settle(world)


@pytest.mark.parametrize("tenth", range(10))
def test_histories_in_memory(tenth):
    for seed in range(tenth, HISTORIES, 10):
        clock = Clock()
        world = World(MemoryQueue(clock), clock, random.Random(seed))
        try:
            live(world, steps=world.chance.choice([40, 100, 200]))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_histories_on_sqlite(fresh_database):
    database = fresh_database("sqlite")
    for seed in range(HISTORIES // 20):
        clock = Clock()
        world = World(SqlQueue(database, clock), clock, random.Random(seed), database)
        try:
            live(world, steps=world.chance.choice([40, 100]))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        world.queue.close()
        database.write(empty, durable=False)


@pytest.mark.parametrize("seed", range(4))
def test_two_that_could_go_all_the_while_get_their_shares(seed):
    """Counted anew whenever one of them has nothing to do, or is paused: nobody saves up turns meanwhile."""
    chance = random.Random(seed)
    clock = Clock()
    world = World(MemoryQueue(clock), clock, chance, faulty=False)
    for workspace in WORKSPACES:
        world.bound(workspace, 64)
    active: dict[str, bool] = dict.fromkeys(WORKSPACES, True)
    used_s = dict.fromkeys(WORKSPACES, 0.0)
    since: dict[tuple[str, str], dict[str, float]] = {}
    worker = Worker("w", 6)
    for _ in range(1_500):
        for workspace in WORKSPACES:
            if chance.random() < (0.002 if active[workspace] else 0.005):
                active[workspace] = not active[workspace]
                (world.resume if active[workspace] else world.pause)(workspace, "clean")
            while active[workspace] and world.write(partial(ready, world.queue, workspace)) < worker.slots:
                world.submit(workspace, "clean", worker.slots)
        for lease, ends_at, _ in worker.running:
            runs_s = min(0.25, ends_at - clock.now)
            used_s[lease.entry.workspace] += runs_s / WEIGHTS.get(lease.entry.workspace, 1.0)
        clock.now += 0.25
        world.beat(worker)
        world.round(worker)
        for one, other in combinations(WORKSPACES, 2):
            if not (active[one] and active[other]):
                since.pop((one, other), None)
                continue
            then = since.setdefault((one, other), dict(used_s))
            ahead_s = (used_s[one] - then[one]) - (used_s[other] - then[other])
            assert abs(ahead_s) <= limits.QUEUE_DEBT.value + MOST_CHARGE_S, (one, other)


def ready(queue: MemoryQueue | SqlQueue, workspace: str, tx: Any) -> int:
    """Return how many entries of a workspace are ready."""
    return queue.depth(tx, WorkspaceId(workspace)).ready


def empty(tx: Any) -> None:
    """Remove everything that a history left."""
    for table in (queue_entries, queue_changes, queue_workspaces, queue_lanes, queue_turn):
        tx.execute(table.delete())
