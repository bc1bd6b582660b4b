"""Many who use a queue at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from penstock.core.jobs import Lease
from penstock.database.statements import Statement
from penstock.queue.sharing import FIRST_CHARGE_S
from tests.queues import Stand, sql_stand

WORKERS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request, fresh_database):
    made = sql_stand(fresh_database(request.param))
    yield made
    made.queue.close()


def test_nothing_is_leased_twice_and_nothing_is_left(shared):
    shared.bound(running_max=9)
    entries = shared.add_many(120) + shared.add_many(120, "other", "one") + shared.add_many(60, "other", "two")
    together = Barrier(WORKERS)

    def work(number: int) -> list[Lease]:
        together.wait()
        done: list[Lease] = []
        held: list[Lease] = []
        while True:
            held = round_of(shared, held, worker=f"w{number}")
            if not held:
                return done
            done += held

    with ThreadPoolExecutor(WORKERS) as pool:
        leased = [lease for done in pool.map(work, range(WORKERS)) for lease in done]
    leased += shared.lease(300)  # whoever came last may have found the bound reached
    assert sorted(lease.entry.id for lease in leased) == sorted(entry.id for entry in entries)
    assert {lease.token for lease in leased} == {1}
    assert shared.reconcile() == 0


def round_of(stand: Stand, held: list[Lease], *, worker: str) -> list[Lease]:
    """Close what is held and lease more, in one transaction, as a worker's round does."""

    def turn(tx):
        stand.queue.finish(tx, held, busy_s={lease.entry.id: 0.01 for lease in held})
        return stand.queue.lease(tx, worker=worker, count=4)

    return stand.write(turn)


def test_everybody_does_everything_at_once(shared):
    """Adding, leasing, closing, cancelling, killing and ticking get into each other's way nowhere, and add up."""
    together = Barrier(WORKERS)
    for name in ("acme", "other"):
        shared.bound(name, running_max=8)

    def work(number: int) -> tuple[int, int]:
        together.wait()
        name, lane = ("acme", "other")[number % 2], f"lane{number % 3}"
        added = left = 0
        held: list[Lease] = []
        for step in range(25):
            entries = shared.add_many(3, name, lane)
            added += len(entries)
            held = round_of(shared, held, worker=f"w{number}")
            left += len(held)
            left += len(shared.cancel(entries[0].run))
            shared.heartbeat(*held)
            shared.kill(name, lane, killed=step % 3 == 0)
            shared.promote()
            shared.reap()
            shared.bound_lane(name, lane, running_max=8)
            assert number or shared.reconcile() == 0  # counters are right at every moment
        shared.finish(*held)
        return added, left

    with ThreadPoolExecutor(WORKERS) as pool:
        counts = list(pool.map(work, range(WORKERS)))
    waiting = sum(sum(shared.counts(name)) for name in ("acme", "other"))
    assert waiting == sum(added for added, _ in counts) - sum(left for _, left in counts)
    assert shared.reconcile() == 0


def test_what_is_just_being_removed_is_left_out_and_nobody_is_charged_for_it(fresh_database):
    stand = sql_stand(fresh_database("postgresql"))  # SQLite has one writer
    alone, beside = stand.add_many(1, "alone")[0], stand.add_many(2, "both")

    def cancel_two(tx: object) -> list[Lease]:
        stand.queue.cancel(tx, alone.run)
        stand.queue.cancel(tx, beside[0].run)
        return stand.lease(3)  # in a transaction of its own

    assert [lease.entry for lease in stand.write(cancel_two)] == [beside[1]]
    times = Statement("SELECT workspace, virtual_time FROM queue_workspaces ORDER BY workspace")
    assert stand.write(times.fetch) == [("alone", 0.0), ("both", FIRST_CHARGE_S)]
    assert stand.counts("both") == (0, 0, 1)
    assert stand.reconcile() == 0
    stand.queue.close()


def test_what_postgresql_planned_while_nothing_waited_reads_no_backlog_later(fresh_database):
    stand = sql_stand(fresh_database("postgresql"))
    held: list[Lease] = []
    for _ in range(12):  # more often than it plans anew
        stand.add_many(2)
        held = round_of(stand, held, worker="w1")
    stand.add_many(2)

    def turn(tx: Any) -> list[Any]:
        stand.queue.finish(tx, held, busy_s={})
        assert len(stand.queue.lease(tx, worker="w1", count=2)) == 2
        return Statement("SELECT pg_stat_get_xact_numscans('queue_entries'::regclass)").fetch(tx)  # of all its rows

    assert stand.write(turn) == [(0,)]
    stand.queue.close()
