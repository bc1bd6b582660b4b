"""What every queue keeps: in memory, on SQLite and on PostgreSQL."""

from dataclasses import replace

import pytest

from penstock.core import limits
from penstock.core.errors import Bug
from penstock.core.jobs import Pause
from tests.queues import START

# ---- in and out ----


def test_an_entry_comes_back_as_it_was_put_in(stand):
    entry = stand.entry(priority=-7, attempt=2, attempts_max=5, deadline=START + 60, reason="crashed", number=3)
    stand.add(entry)
    [lease] = stand.lease()
    assert lease.entry == entry
    assert (lease.token, lease.worker, lease.leased_at) == (1, "w1", START)
    assert lease.expires_at == START + limits.LEASE.value


def test_a_leased_entry_is_nobody_elses(stand):
    stand.add_many(3)
    assert len(stand.lease(2)) == 2
    assert len(stand.lease(2, worker="w2")) == 1
    assert stand.lease(2) == []


def test_a_finished_entry_is_gone(stand):
    stand.add_many(2)
    assert stand.finish(*stand.lease(2)) == [True, True]
    assert stand.counts() == (0, 0, 0)
    stand.clock.now += 60
    assert stand.reap() == []
    assert stand.lease() == []


def test_a_lease_is_closed_once(stand):
    stand.add_many(2)
    first, second = stand.lease(2)
    assert stand.finish(first) == [True]
    assert stand.finish(second, first) == [True, False]


def test_many_are_added_at_once(stand):
    added = stand.add_many(500) + stand.add_many(20, "other", "one", not_before=START + 5)
    assert stand.counts() == (0, 500, 0)
    assert stand.counts("other") == (20, 0, 0)
    stand.bound(running_max=1000)
    assert [lease.entry for lease in stand.lease(1000)] == list(added[:500])


def test_nothing_added_is_nothing_changed(stand):
    stand.add()
    assert stand.lease(5) == []
    assert stand.finish() == []
    assert stand.heartbeat() == []
    stand.release()


def test_what_is_rolled_back_was_never_counted(stand):
    def add_and_fail(tx):
        stand.queue.enqueue(tx, [stand.entry(), stand.entry()])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stand.write(add_and_fail)
    assert stand.counts() == (0, 0, 0)
    assert stand.lease() == []
    assert stand.reconcile() == 0


def test_a_refused_entry_is_not_counted(stand):
    [entry] = stand.add_many(1)
    with pytest.raises(Bug):
        stand.add(stand.entry(), entry)
    assert stand.counts() == (0, 1, 0)
    assert stand.reconcile() == 0


def test_a_refused_bulk_is_not_counted(stand):
    [entry] = stand.add_many(1)
    with pytest.raises(Bug):
        stand.add(*[stand.entry() for _ in range(300)], entry)
    assert stand.counts() == (0, 1, 0)
    assert stand.reconcile() == 0
    assert [lease.entry for lease in stand.lease(9)] == [entry]


def test_an_end_that_is_rolled_back_leaves_the_lease_as_it_was(stand):
    stand.add_many(1)
    [lease] = stand.lease()

    def finish_and_fail(tx):
        assert stand.queue.finish(tx, [lease], busy_s={}) == [True]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stand.write(finish_and_fail)
    assert stand.counts() == (0, 0, 1)
    assert stand.finish(lease) == [True]


def test_a_round_closes_adds_and_leases_in_one_transaction(stand):
    stand.add_many(1)
    [lease] = stand.lease()
    follower = stand.entry()

    def turn(tx):
        stand.queue.finish(tx, [lease], busy_s={})
        stand.queue.enqueue(tx, [follower])
        return stand.queue.lease(tx, worker="w1", count=4)

    assert [each.entry for each in stand.write(turn)] == [follower]
    assert stand.counts() == (0, 0, 1)


# ---- order ----


def test_a_higher_priority_goes_first_then_the_older(stand):
    low, first, second, high = stand.add(
        stand.entry(priority=-100), stand.entry(), stand.entry(lane="other"), stand.entry(priority=100)
    )
    assert [lease.entry for lease in stand.lease(4)] == [high, first, second, low]


def test_priorities_stay_inside_their_workspace(stand):
    stand.add(*[stand.entry("loud", priority=100) for _ in range(4)])
    stand.add_many(2, "quiet")
    assert "quiet" in [lease.entry.workspace for lease in stand.lease(2)]


# ---- leases that expire ----


def test_what_a_dead_worker_held_goes_to_another_one_attempt_poorer(stand):
    stand.add_many(1)
    [lost] = stand.lease(worker="dead")
    stand.clock.now += limits.LEASE.value - 0.1
    assert stand.reap() == []
    assert stand.lease(worker="w2") == []
    stand.clock.now += 0.2
    assert stand.reap() == [lost]
    [again] = stand.lease(worker="w2")
    assert (again.entry.id, again.entry.attempt, again.entry.reason) == (lost.entry.id, 2, "worker_lost")
    assert again.token > lost.token


def test_what_a_worker_held_that_is_known_to_be_dead_is_not_waited_for(stand):
    stand.add_many(2)
    [lost] = stand.lease(worker="dead")
    [kept] = stand.lease(worker="alive")
    assert stand.bury("dead") == 1
    assert stand.reap() == [replace(lost, expires_at=stand.clock.now)]
    [again] = stand.lease(worker="alive")
    assert (again.entry.id, again.entry.attempt, again.entry.reason) == (lost.entry.id, 2, "worker_lost")
    assert stand.finish(lost, kept) == [False, True]


def test_a_late_end_of_an_expired_lease_is_refused(stand):
    stand.add_many(1)
    [late] = stand.lease(worker="slow")
    stand.clock.now += 10
    stand.reap()
    assert stand.finish(late) == [False]  # nobody's
    [taken] = stand.lease(worker="w2")
    assert stand.finish(late) == [False]  # another's
    assert stand.heartbeat(late) == []
    stand.release(late)
    assert stand.finish(taken) == [True]
    assert stand.counts() == (0, 0, 0)


def test_an_expired_lease_that_nobody_has_taken_back_can_still_be_closed(stand):
    stand.add_many(1)
    [lease] = stand.lease()
    stand.clock.now += 10
    assert stand.finish(lease) == [True]


def test_a_heartbeat_makes_a_lease_last(stand):
    stand.add_many(1)
    [lease] = stand.lease()
    for _ in range(10):
        stand.clock.now += 1
        [lease] = stand.heartbeat(lease)
        assert lease.expires_at == stand.clock.now + limits.LEASE.value
        assert stand.reap() == []
    assert stand.finish(lease) == [True]


def test_the_last_attempt_of_a_dead_worker_is_returned_and_removed(stand):
    [entry, other] = stand.add(stand.entry(attempt=3, attempts_max=3), stand.entry(attempt=2, attempts_max=3))
    leases = stand.lease(2, worker="dead")
    stand.clock.now += 10
    lost = stand.reap()
    assert sorted(lost, key=lambda lease: lease.entry.id) == leases, "with who had it, and since when"
    assert [lease.entry for lease in lost if lease.entry.is_last] == [entry]
    assert stand.counts() == (0, 1, 0)
    assert [lease.entry.id for lease in stand.lease(5)] == [other.id]


def test_what_is_released_was_not_tried(stand):
    [entry] = stand.add_many(1)
    stand.release(*stand.lease(), reason="blobs_unavailable")
    assert stand.counts() == (0, 1, 0)
    [lease] = stand.lease()
    assert (lease.entry.id, lease.entry.attempt, lease.entry.reason) == (entry.id, 1, "blobs_unavailable")


# ---- times ----


def test_a_scheduled_entry_is_not_ready_before_its_time(stand):
    [later] = stand.add_many(1, not_before=START + 30)
    assert stand.counts() == (1, 0, 0)
    assert stand.lease() == []
    assert stand.promote() == 0
    stand.clock.now += 30
    assert stand.promote() == 1
    assert stand.counts() == (0, 1, 0)
    assert [lease.entry for lease in stand.lease()] == [later]


def test_a_time_that_has_passed_is_ready_at_once(stand):
    stand.add_many(1, not_before=START - 1)
    assert stand.counts() == (0, 1, 0)
    assert len(stand.lease()) == 1


def test_what_waits_past_its_deadline_is_returned_and_removed(stand):
    ready, scheduled, running = stand.add(
        stand.entry(deadline=START + 5),
        stand.entry(deadline=START + 5, not_before=START + 60),
        stand.entry(deadline=START + 5, priority=1),
    )
    stand.add_many(1)
    [lease] = stand.lease()
    assert lease.entry == running
    assert stand.expire() == []
    stand.clock.now += 5
    assert {entry.id for entry in stand.expire()} == {ready.id, scheduled.id}
    assert stand.counts() == (0, 1, 1)
    assert stand.finish(lease) == [True]


def test_cancelling_removes_what_waits_and_leaves_what_runs(stand):
    running, ready, scheduled, other = stand.add(
        stand.entry(run="job_x", priority=1),
        stand.entry(run="job_x"),
        stand.entry(run="job_x", not_before=START + 60),
        stand.entry(),
    )
    [lease] = stand.lease()
    assert lease.entry == running
    assert {entry.id for entry in stand.cancel(running.run)} == {ready.id, scheduled.id}
    assert stand.cancel(running.run) == []
    assert stand.write(lambda tx: stand.queue.held(tx, running.run)) == 1
    assert stand.counts() == (0, 1, 1)
    assert stand.finish(lease) == [True]
    assert stand.write(lambda tx: stand.queue.held(tx, running.run)) == 0
    assert [each.entry for each in stand.lease(5)] == [other]


# ---- bounds ----


def test_a_workspaces_bound_is_kept(stand):
    stand.bound(running_max=3)
    stand.add_many(10)
    held = stand.lease(10)
    assert len(held) == 3
    assert stand.lease(10, worker="w2") == []
    stand.finish(held[0])
    assert len(stand.lease(10)) == 1
    stand.bound(running_max=5)
    assert len(stand.lease(10)) == 2


def test_a_lanes_bound_is_kept_and_leaves_the_rest_to_others(stand):
    stand.bound_lane(lane="narrow", running_max=1)
    stand.add_many(30, "acme", "narrow", priority=10)
    others = stand.add_many(3, "acme", "wide")
    leased = stand.lease(5)
    assert [lease.entry.lane for lease in leased] == ["narrow", "wide", "wide", "wide"]
    assert [lease.entry for lease in leased[1:]] == list(others)
    assert (stand.bound_of(lane="narrow"), stand.bound_of(lane="wide")) == (1, limits.LANE_RUNNING.value)
    stand.bound_lane(lane="narrow", running_max=3)
    assert [lease.entry.lane for lease in stand.lease(5)] == ["narrow", "narrow"]


def test_a_script_that_is_killed_again_and_again_is_paused(stand):
    stand.add_many(3)
    stand.add_many(1, "acme", "other")
    paused = [stand.kill() for _ in range(limits.KILLS_IN_A_ROW.value + 1)]
    assert paused.index(True) == limits.KILLS_IN_A_ROW.value - 1
    assert paused.count(True) == 1
    assert [lease.entry.lane for lease in stand.lease(5)] == ["other"]
    assert stand.pause_of() == Pause(START, f"{limits.KILLS_IN_A_ROW.value} runs in a row were killed")
    assert stand.pause_of(lane="other") is None
    assert stand.resume() is True
    assert stand.pause_of() is None
    assert stand.resume() is False
    assert len(stand.lease(5)) == 3


def test_an_attempt_that_is_not_killed_starts_the_count_anew(stand):
    for _ in range(3):
        assert [stand.kill() for _ in range(limits.KILLS_IN_A_ROW.value - 1)] == [False] * 4
        assert stand.kill(killed=False) is False
    stand.add_many(1)
    assert len(stand.lease()) == 1


def test_counting_begins_anew_when_a_lane_is_resumed(stand):
    stand.pause()
    stand.resume()
    assert stand.kill() is False


# ---- counters ----


def test_counters_are_right_whatever_happened(stand):
    stand.bound(running_max=7)
    stand.add_many(30)
    stand.add_many(10, "acme", "other", not_before=START + 3, deadline=START + 6)
    leased = stand.lease(10)
    stand.finish(*leased[:2])
    stand.release(leased[2])
    stand.heartbeat(leased[3])
    stand.clock.now += 4
    stand.reap()
    stand.promote()
    stand.lease(4)
    stand.clock.now += 4
    stand.expire()
    stand.cancel(leased[2].entry.run)
    assert stand.reconcile() == 0
    assert sum(stand.counts()) == 30 - 2


def test_wrong_counters_are_corrected(stand):
    stand.add_many(4)
    stand.add_many(2, "acme", "other")
    stand.add_many(3, "small", not_before=START + 9)
    stand.lease(1)
    stand.spoil_counters()
    assert stand.counts() == (0, 12, 1)
    assert stand.reconcile() == 2 + 3  # workspaces and lanes
    assert (stand.counts(), stand.counts("small")) == ((0, 5, 1), (3, 0, 0))
    assert stand.reconcile() == 0
    assert len(stand.lease(20)) == 5


def test_counters_without_entries_are_corrected(stand):
    stand.add_many(4)
    stand.lease(2)
    stand.lose_entries()
    assert stand.reconcile() > 0
    assert stand.counts() == (0, 0, 0)
    assert stand.reconcile() == 0


def test_depth_says_how_fast_entries_leave_lately(stand):
    stand.add_many(600)
    assert stand.depth().drained_per_s == 0
    for _ in range(120):
        stand.clock.now += 1
        stand.finish(*stand.lease(5), busy_s=0.1)
    stand.lease(1)
    assert 4.5 <= stand.depth().drained_per_s <= 5.1
    stand.clock.now += 3600
    assert stand.depth().drained_per_s < 0.1


def test_depth_knows_since_when_the_oldest_is_ready(stand):
    assert stand.depth().oldest_ready_at is None
    stand.add_many(1)
    stand.clock.now += 5
    stand.add_many(1, priority=9)
    assert stand.depth().oldest_ready_at == START
    stand.lease(2)
    assert stand.depth().oldest_ready_at is None


def test_one_workspace_does_not_see_another(stand):
    stand.add_many(3)
    assert stand.counts("other") == (0, 0, 0)
