"""Fair shares between workspaces, and that the database gives the leases that the twin in memory gives."""

import random

import pytest

from penstock.core.jobs import Lease
from penstock.core.plan import RunId
from tests.queues import Stand, memory_stand, sql_stand


def names(leases):
    return [lease.entry.workspace for lease in leases]


# ---- fair shares ----


def test_workspaces_take_turns(stand):
    stand.add_many(20, "big")
    stand.add_many(3, "small")
    leased = names(stand.lease(6))
    assert leased.count("small") == 3
    assert leased.index("small") <= 1


def test_a_small_workspace_does_not_wait_behind_a_backlog(stand):
    stand.add_many(50, "big")
    for _ in range(10):
        stand.finish(*stand.lease(2), busy_s=0.01)
    stand.add_many(1, "small")
    assert names(stand.lease()) == ["small"]


def test_a_workspace_is_charged_for_the_time_it_uses(stand):
    """Attempts of one take ten times as long: it gets a tenth of the turns, and each half of the time."""
    stand.add_many(200, "slow")
    stand.add_many(200, "quick")
    busy_s = {"slow": 1.0, "quick": 0.1}
    for _ in range(110):
        [lease] = stand.lease()
        stand.finish(lease, busy_s=busy_s[lease.entry.workspace])
    slow, quick = stand.counts("slow")[1], stand.counts("quick")[1]
    assert 8 <= (200 - quick) / (200 - slow) <= 12.5


def test_a_weight_of_two_is_twice_the_share(stand):
    stand.bound("double", running_max=64, weight=2)
    stand.add_many(90, "double")
    stand.add_many(90, "single")
    for _ in range(60):
        [lease] = stand.lease()
        stand.finish(lease, busy_s=0.1)
    assert abs((90 - stand.counts("double")[1]) - 40) <= 2


def test_guests_are_of_workspaces_that_run_nothing_one_of_each(stand):
    stand.add_many(4, "long")
    held = stand.lease(2)
    stand.add_many(2, "small")
    stand.add_many(2, "other")
    assert sorted(names(stand.lease(5, guests=True))) == ["other", "small"]
    assert stand.lease(5, guests=True) == []
    stand.finish(*held)
    assert names(stand.lease(5, guests=True)) == ["long"]


def test_a_guest_is_of_a_workspace_and_a_script_that_may_run(stand):
    stand.add_many(1, "barred")
    stand.bound("barred", running_max=0)
    stand.add_many(1, "paused")
    stand.pause("paused")
    assert stand.lease(5, guests=True) == []
    stand.resume("paused")
    assert names(stand.lease(5, guests=True)) == ["paused"]


def test_what_runs_long_is_charged_while_it_runs(stand):
    """Else the first attempts of a slow script would take every worker before any of them has ended."""
    stand.add_many(10, "slow")
    stand.add_many(10, "quick")
    held = [lease for lease in stand.lease(4) if lease.entry.workspace == "slow"]
    for _ in range(4):
        stand.clock.now += 0.5
        stand.heartbeat(*held)
    assert names(stand.lease(8)) == ["quick"] * 8


def test_nobody_saves_up_turns_while_idle(stand):
    stand.add_many(1, "idle")
    stand.finish(*stand.lease(), busy_s=0.1)
    stand.add_many(100, "busy")
    for _ in range(50):
        stand.finish(*stand.lease(), busy_s=0.1)
    stand.add_many(20, "idle")
    assert abs(names(stand.lease(10)).count("idle") - 5) <= 1


def test_nobody_saves_up_turns_while_paused(stand):
    stand.add_many(20, "paused")
    stand.pause("paused")
    stand.add_many(100, "busy")
    for _ in range(50):
        [lease] = stand.lease()
        assert lease.entry.workspace == "busy"
        stand.finish(lease, busy_s=0.05)  # what those are charged in advance that are not known yet
    stand.resume("paused")
    stand.add_many(20, "new")
    leased = names(stand.lease(30))
    assert all(abs(leased.count(name) - 10) <= 2 for name in ("paused", "busy", "new"))


def test_what_was_used_alone_is_held_against_a_workspace_for_a_minute_at_most(stand):
    stand.add_many(1, "alone")
    [lease] = stand.lease()
    stand.finish(lease, busy_s=36_000.0)
    stand.add_many(200, "other")
    stand.add_many(1, "alone")
    before = 0
    while (lease := stand.lease()[0]).entry.workspace == "other":
        stand.finish(lease, busy_s=1.0)
        before += 1
    assert 50 <= before <= 61


# ---- the twin and the others ----


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("seed", range(3))
def test_the_database_does_what_the_twin_does(kind, seed, fresh_database):
    """The same steps give the same answers, lease by lease."""
    twins = [memory_stand(), sql_stand(fresh_database(kind))]
    try:
        for step, did in enumerate(zip(*[_steps(stand, random.Random(seed)) for stand in twins], strict=True)):
            assert did[0] == did[1], f"seed {seed}, step {step}"
        assert [stand.reconcile() for stand in twins] == [0, 0]
    finally:
        twins[1].queue.close()


def _steps(stand: Stand, chance: random.Random):
    """Yield what each of some hundred random steps gave."""
    held: list[Lease] = []
    workspaces, lanes = ["a", "b", "c"], ["x", "y"]
    for _ in range(250):
        stand.clock.now += chance.choice([0, 0.125, 0.5])
        what = chance.choice(["add", "add", "lease", "lease", "finish", "finish", *"bkrhpxcw"])
        workspace, lane = chance.choice(workspaces), chance.choice(lanes)
        picked = [held.pop(chance.randrange(len(held))) for _ in range(min(len(held), chance.randrange(4)))]
        if what in ("finish", "r"):
            pass
        else:
            held += picked
        match what:
            case "add":
                more: dict[str, float] = {"priority": chance.choice([0, 0, 5])}
                if chance.random() < 0.3:
                    more["not_before"] = stand.clock.now + chance.choice([0.5, 2])
                if chance.random() < 0.2:
                    more["deadline"] = stand.clock.now + chance.choice([1, 3])
                entries = stand.add_many(chance.randrange(1, 6), workspace, lane, **more)
                yield [entry.id for entry in entries]
            case "lease":
                leases = stand.lease(chance.randrange(1, 6), guests=chance.random() < 0.2)
                held += leases
                yield leases
            case "finish":
                yield stand.finish(*picked, busy_s=chance.choice([0.125, 0.5, 1.0]))
            case "r":
                stand.release(*picked)
                yield len(picked)
            case "h":
                yield stand.heartbeat(*picked)
            case "b":
                bound = chance.choice([1, 3, 64])
                stand.bound(workspace, running_max=bound, weight=chance.choice([1.0, 2.0]))
                yield bound
            case "k":
                yield [stand.kill(workspace, lane) for _ in range(3)], stand.resume(workspace, chance.choice(lanes))
            case "p":
                yield stand.promote(), sorted(lease.entry.id for lease in stand.reap())
            case "x":
                yield sorted(entry.id for entry in stand.expire())
            case "c":
                yield sorted(entry.id for entry in stand.cancel(RunId(f"job_{chance.randrange(1, 200):06}")))
            case _:
                yield stand.counts(workspace)
