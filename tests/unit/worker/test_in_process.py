"""A worker inside a command: what follows a task is taken by the thread that has carried it out."""

import contextlib
import threading

import pytest

from penstock.core.access import WorkspaceId
from penstock.core.errors import DatabaseUnavailable
from penstock.core.jobs import AttemptReport, Entry, EntryId, JobInput, Lane, Lease, small_blob
from penstock.core.plan import RunId
from penstock.core.work import Assignment, Held, Round
from penstock.worker.in_process import InProcessWorker
from tests.processes import wait_for

FAR_S = 1e12


def entry_of(number):
    return Entry(
        EntryId(f"att_{number}"), WorkspaceId("ws_1"), Lane("l"), RunId("run_1"), f"t{number}", "task", attempts_max=1
    )


class Chain:
    """A use case that has one task after the other, and now and then a round that goes wrong."""

    def __init__(self, length, wrong=()):
        self.left, self.wrong = length, list(wrong)
        self.ended, self.released, self.threads = [], [], []
        self.runs = False

    def round(self, worker, ended, *, count, guests=False):
        if ended and self.wrong:
            raise self.wrong.pop(0)
        if ended:
            self.ended += [each.lease.entry.id for each in ended]
            self.runs = False
        if self.runs or not self.left or not count:
            return Round()
        self.runs = True
        self.left -= 1
        lease = Lease(entry_of(self.left), 1, worker, 0.0, FAR_S)
        return Round((Assignment(lease, "", JobInput(small_blob("k", b""))),))

    def heartbeat(self, state, leases):
        return Held(tuple(leases), frozenset())

    def tick(self):
        pass

    def release(self, worker, leases, *, reason):
        self.released += [lease.entry.id for lease in leases]

    def leave(self, worker):
        pass

    def carry_out(self, entry, *, sandbox, stop):
        self.threads.append(threading.get_ident())
        return AttemptReport("succeeded")


class Sandbox:
    def stop(self):
        pass


@contextlib.contextmanager
def working(chain):
    over = threading.Event()

    def wait(timeout_s):
        over.wait(timeout_s)

    worker = InProcessWorker(chain, chain, lambda _lease: Sandbox(), wait, places=3)
    with worker:
        yield worker
        over.set()


def test_a_chain_is_carried_out_by_one_thread():
    chain = Chain(20)
    with working(chain) as worker:
        worker.look()
        worker.turn()
        assert wait_for(lambda: len(chain.ended) == 20)
    assert chain.ended == [f"att_{number}" for number in reversed(range(20))]
    assert len(set(chain.threads)) == 1
    assert threading.get_ident() not in chain.threads


def test_an_end_that_cannot_be_recorded_now_is_recorded_by_the_next_turn():
    chain = Chain(2, wrong=[DatabaseUnavailable("away", hint="Wait.")])
    with working(chain) as worker:
        worker.look()
        assert wait_for(lambda: not worker.turn() and len(chain.ended) == 2)
    assert chain.released == []


def test_what_goes_wrong_in_a_round_of_a_thread_is_raised_by_the_next_turn():
    chain = Chain(2, wrong=[ZeroDivisionError("of the round")])
    with working(chain) as worker:
        worker.look()
        with pytest.raises(ZeroDivisionError, match="of the round"):
            wait_for(lambda: worker.turn() and None)
    assert chain.released == ["att_1"]
