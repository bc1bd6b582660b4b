"""Runs of pipelines under faults: random graphs, attempts that fail, crash and vanish, on a clock that the test turns.

A history draws a graph from a seed, and lets workers that may die carry it out through real rounds on a real database;
the lake is an account of what was written and published. After every step:

1. A task begins when what it waits for has ended, and not before; what follows publishing begins after it.
2. A task is blocked when one before it did not succeed, unless it runs whatever became of that.
3. A run publishes once at most, and only when everything before publishing has ended well.
4. At most as many attempts of a pool run as it has places; of a back-fill no more runs than asked for.
5. No task is tried more often than its retries, the kills that are forgiven and the tables that others change allow.
6. What a task with `for_each` has counted is what its things have counted, once each.

And when the faults end, every run ends; those that failed can be resumed, and what had succeeded is not done again.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import ENDED, AttemptReport, Lease
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import TASK_ENDED, Backfill, BackfillId, PipelineRun, RunTask
from penstock.core.work import Ended, WorkerState
from penstock.execution.pipelines import lane_of
from penstock.storage.run_records import SqlRunRecords
from tests.service import Service

HISTORIES = int(os.environ.get("RUN_HISTORIES", "40"))
WORKSPACE = WorkspaceId("ws_1")
POOL_PLACES = 2
WELL = ("succeeded", "skipped")


@dataclass(slots=True)
class World:
    """A service, its runs, and what happened to them."""

    service: Service
    chance: random.Random
    faulty: bool = True
    records: SqlRunRecords = field(default_factory=SqlRunRecords)
    runs: list[RunId] = field(default_factory=list)
    held: dict[str, list[Lease]] = field(default_factory=lambda: {"wrk_1": [], "wrk_2": []})
    published: Counter[RunId] = field(default_factory=Counter)
    begun: Counter[tuple[RunId, str, int]] = field(default_factory=Counter)
    done: Counter[tuple[RunId, str]] = field(default_factory=Counter)
    overtaken: Counter[tuple[RunId, str, int]] = field(default_factory=Counter)

    def load(self) -> list[PipelineRun]:
        """Return all runs."""
        with self.service.database.read() as tx:
            return list(self.records.load(tx, self.runs).values())

    def turn(self, worker: str) -> None:
        """Let a worker end some of what it holds, and take more; or die, or come too late."""
        if self.faulty and self.chance.random() < 0.06:
            self.held[worker] = []  # it died, and another one has its name
            return
        ending = [lease for lease in self.held[worker] if self.chance.random() < 0.7]
        now = self.service.clock()
        ended = [Ended(lease, self.report(lease), now - 0.1, now) for lease in ending]
        if self.faulty and self.chance.random() < 0.05:
            self.service.clock.advance(limits.LEASE.value + 0.1)  # it stalled: others have its work
            self.service.work.tick()
        made = self.service.work.round(worker, ended, count=2)
        for each in ended:
            if each.lease.entry.id not in made.refused:
                self.note(each)
        again = {assignment.lease.entry.id for assignment in made.assignments}  # what it had lost, and has now itself
        left = [lease for lease in self.held[worker] if lease not in ending and lease.entry.id not in again]
        self.held[worker] = left
        for assignment in made.assignments:
            self.held[worker].append(assignment.lease)
            self.check_begun(assignment.lease)

    def report(self, lease: Lease) -> AttemptReport:
        """Return how an attempt ends."""
        entry = lease.entry
        drawn = self.chance.random() if self.faulty else 1.0
        error = {"code": "task_failed", "message": "no", "hint": ""}
        if drawn < 0.08:
            return AttemptReport("transient", error={"code": "lake_unavailable", "message": "", "hint": ""})
        if drawn < 0.14:
            return AttemptReport("crashed", error={"code": "bug", "message": "", "hint": ""})
        if entry.part == "publish":
            return AttemptReport("succeeded", report={"published": {"t.published": 1}})
        if drawn < 0.18:
            return AttemptReport("failed", error=error | {"code": "needs_rerun"})
        if drawn < 0.28:
            return AttemptReport("failed", error=error)
        if entry.part == "expand":
            return AttemptReport("succeeded", report={"items": list(range(self.chance.randrange(4)))})
        skipped = entry.part == "task" and drawn < 0.35
        told = {"fingerprint": "f", "wrote": {} if skipped else {f"t.{entry.task}": 1}, "report": {"rows": 1}}
        return AttemptReport(
            "succeeded", report=told | ({"state": "skipped", "reason": "up to date"} if skipped else {})
        )

    def note(self, ended: Ended) -> None:
        """Count what was recorded."""
        entry = ended.lease.entry
        if (ended.report.error or {}).get("code") == "needs_rerun":
            self.overtaken[entry.run, entry.task, entry.number] += 1
        if entry.part == "publish" and ended.report.outcome == "succeeded":
            self.published[entry.run] += 1
        if entry.part == "task" and ended.report.outcome == "succeeded":
            self.done[entry.run, entry.task] += 1

    def check_begun(self, lease: Lease) -> None:
        """Look at what an attempt has not waited for."""
        with self.service.database.read() as tx:
            run = self.records.load(tx, [lease.entry.run])[lease.entry.run]
        if lease.entry.part == "publish":
            assert all(task.state in WELL for task in run.tasks if not task.follows_publish)
            return
        task = run.task(lease.entry.task)
        before = [run.task(name) for name in task.after]
        assert all(each.state in TASK_ENDED for each in before)
        assert task.trigger == "all_done" or all(each.state in WELL for each in before)
        if task.follows_publish and task.trigger == "all_succeeded":
            assert run.published_at is not None
        self.begun[run.id, task.name, lease.entry.number] += 1
        again = self.overtaken[run.id, task.name, lease.entry.number]
        assert lease.entry.attempt <= max(limits.TASK_KILLS.value, 1 + task.retries) + again

    def check(self) -> None:
        """Look at how everything stands."""
        for run in self.load():
            assert self.published[run.id] <= 1
            for task in run.tasks:
                if task.items and task.state == "succeeded":
                    assert task.report["rows"] == task.items
                if task.state == "blocked":
                    behind = [run.task(name) for name in task.after]
                    behind += [each for each in run.tasks if task.follows_publish and not each.follows_publish]
                    assert any(each.state not in WELL for each in behind)
        leases = [lease for held in self.held.values() for lease in held]
        now = self.service.clock()
        alive = [lease for lease in leases if lease.expires_at > now]
        assert sum(lease.entry.lane == lane_of("shop", "main", "small") for lease in alive) <= POOL_PLACES

    def settle(self) -> None:
        """Let everything end, without any more faults."""
        self.faulty = False
        for _ in range(400):
            self.service.clock.advance(0.5)
            self.service.work.tick()
            for worker in self.held:
                self.beat(worker)
                self.turn(worker)
            if all(run.state in ENDED for run in self.load()):
                self.check()
                return
        raise AssertionError([(run.id, [(task.name, task.state) for task in run.tasks]) for run in self.load()])

    def beat(self, worker: str) -> None:
        """Keep a worker's leases alive."""
        state = WorkerState(worker, "host", 1, "active", 2, 0, "none", 0.0)
        self.held[worker] = list(self.service.work.heartbeat(state, self.held[worker]).leases)


def graph(chance: random.Random) -> tuple[RunTask, ...]:
    """Return tasks, each after some of those before it; the last ones may follow publishing."""
    tasks: list[RunTask] = []
    count = chance.randrange(2, 8)
    first_after_publish = chance.randrange(1, count + 1)
    for number in range(count):
        known = [task.name for task in tasks]
        task = RunTask(
            TaskName(f"t{number}"),
            "nothing",
            {},
            after=tuple(chance.sample(known, min(len(known), chance.randrange(3)))),
            follows_publish=number >= first_after_publish,
            for_each={"values": []} if chance.random() < 0.2 else None,
            retries=chance.randrange(3),
            pool="small" if chance.random() < 0.4 else None,
            trigger="all_done" if chance.random() < 0.2 else "all_succeeded",
            when="weekday(date) == 'monday'" if chance.random() < 0.05 else None,
        )
        tasks.append(task)
    return tuple(tasks)


def new_run(chance: random.Random, number: int, **more: Any) -> PipelineRun:
    return PipelineRun(
        RunId(f"run_{number:04}"),
        WORKSPACE,
        "shop",
        "main",
        "rev",
        "queued",
        "manual",
        0.0,
        "mem_1",
        date="2026-01-05",
        tasks=more.pop("tasks", None) or graph(chance),
        **more,
    )


@pytest.fixture
def service(fresh_database):
    """Give use cases on an empty database."""
    found = Service(fresh_database("sqlite"))
    found.actor("ws_1")
    return found


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_runs_end_as_their_graphs_say_whatever_happens_on_the_way(service, seed):
    chance = random.Random(seed)
    world = World(service, chance)
    runs = [new_run(chance, number) for number in range(chance.randrange(1, 4))]

    def begin(tx):
        service.queue.bound_lane(tx, WORKSPACE, lane_of("shop", "main", "small"), running_max=POOL_PLACES)
        for run in runs:
            world.records.insert(tx, run)
            service.work.runs.start(tx, run, now=service.clock())

    service.database.write(begin)
    world.runs = [run.id for run in runs]
    for _ in range(40):
        service.clock.advance(chance.uniform(0.05, 0.8))
        worker = chance.choice(list(world.held))
        if chance.random() < 0.9:
            world.beat(worker)
        if chance.random() < 0.5:
            service.work.tick()
        world.turn(worker)
        world.check()
    world.settle()
    for run in world.load():
        wrong = [task for task in run.tasks if task.state not in WELL]
        assert (run.state == "succeeded") == (not wrong and run.error is None)
        if run.state == "failed":
            resume(world, run)
    assert {run.state for run in world.load()} == {"succeeded"}
    assert service.database.write(service.queue.reconcile) == 0


def resume(world: World, run: PipelineRun) -> None:
    """Go on with a run, without faults; what had succeeded is not done again."""
    known = {name: count for (of, name), count in world.done.items() if of == run.id}
    succeeded = {task.name for task in run.tasks if task.state in WELL}
    again = {task.name for task in run.tasks if task.state not in WELL}
    for task in run.tasks:
        if again.intersection(task.after):
            again.add(task.name)
    world.service.database.write(lambda tx: world.service.work.runs.resume(tx, run, now=world.service.clock()))
    world.settle()
    for name in succeeded - again:
        assert world.done[run.id, name] == known.get(name, 0)


def test_a_back_fill_does_no_more_runs_at_once_than_asked_for(service):
    chance = random.Random(1)
    world = World(service, chance, faulty=False)
    tasks = (RunTask(TaskName("a"), "nothing", {}), RunTask(TaskName("b"), "nothing", {}, after=(TaskName("a"),)))
    backfill = Backfill(BackfillId("bf_1"), WORKSPACE, "shop", "main", "rev", "2026-01-01", "2026-01-09", 2, 0.0, "m")
    runs = [
        dataclasses.replace(new_run(chance, number, tasks=tasks, backfill=backfill.id), date=f"2026-01-0{number + 1}")
        for number in range(9)
    ]

    def begin(tx):
        world.records.insert_backfill(tx, backfill)
        for run in runs:
            world.records.insert(tx, run)
        service.work.runs.admit(tx, runs[0], now=service.clock())

    service.database.write(begin)
    world.runs = [run.id for run in runs]
    order = []
    for _ in range(200):
        service.clock.advance(0.1)
        for worker in world.held:
            world.turn(worker)
        states = Counter(run.state for run in world.load())
        assert states["running"] <= backfill.parallel
        order += [run.date for run in world.load() if run.state == "succeeded" and run.date not in order]
        if states["succeeded"] == len(runs):
            break
    assert len(order) == len(runs)
    assert order[:2] == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize("for_each", [None, {"values": [1, 2]}])
def test_a_task_whose_table_others_have_changed_meanwhile_is_done_again_without_a_retry(service, monkeypatch, for_each):
    world = World(service, random.Random(1), faulty=False)
    run = new_run(world.chance, 1, tasks=(RunTask(TaskName("a"), "nothing", {}, for_each=for_each),))
    world.runs = [run.id]
    times = limits.RUN_RERUNS.value

    def begin(tx):
        world.records.insert(tx, run)
        service.work.runs.start(tx, run, now=service.clock())

    def report(lease):
        if lease.entry.part == "expand":
            return AttemptReport("succeeded", report={"items": [1, 2]})
        if lease.entry.attempt <= times:
            return AttemptReport("failed", error={"code": "needs_rerun", "message": "", "hint": ""})
        return AttemptReport("succeeded", report={"fingerprint": "f", "report": {"rows": 1}})

    service.database.write(begin)
    monkeypatch.setattr(World, "report", lambda _world, lease: report(lease))
    world.settle()
    assert [one.state for one in world.load()] == ["succeeded"]
