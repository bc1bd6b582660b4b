"""kill -9 of whoever holds a lease, in the middle of the work, again and again: nothing is lost, nothing is done twice.

Each kill hits a runner or a supervisor that holds leases of jobs with at least 50 ms of sandboxed work. What was
promised: a job that was accepted succeeds, exactly one of its attempts is recorded as a success and its result is
right, and work of the killed is picked up within 3 s (here twice the room, since the machine does other things too).
"""

from __future__ import annotations

import base64
import os
import random
import signal
import statistics
import time
from dataclasses import dataclass, field

import pytest
import sqlalchemy

from penstock.core import limits
from penstock.core.plan import RunId
from penstock.database.schema import attempts, queue_entries, workers
from tests.servers import KINDS
from tests.workers import Site, open_site

KILLS = int(os.environ.get("PENSTOCK_CHAOS_KILLS", "10"))  # on each database
PROMISED_S = 3.0
ROOM = 2.0
WORKERS = 3  # so that one is at work while another starts
OUTSTANDING = 8
BUSY = b"""
def process(data):
    total = 0
    for number in range(1_500_000):
        total += number
    return {"a": data["a"], "total": total}
"""
TOTAL = sum(range(1_500_000))


@pytest.fixture(params=KINDS)
def site(request, tmp_path, fresh_database_url):
    """A server on an empty database of each kind."""
    key = base64.b64encode(bytes(32)).decode()
    url = fresh_database_url(request.param)
    with open_site(tmp_path, PENSTOCK_DATABASE_URL=url, PENSTOCK_MASTER_KEY=key) as opened:
        yield opened


@dataclass
class Chaos:
    """Jobs that never stop coming, and somebody who kills.

    Attributes:
        picked_up_s: for each attempt that was killed, how long until somebody had its job again.
    """

    site: Site
    chance: random.Random
    jobs: list[RunId] = field(default_factory=list)
    picked_up_s: dict[str, list[float]] = field(default_factory=lambda: {"runner": [], "supervisor": []})

    def __post_init__(self) -> None:
        self.actor = self.site.actor()
        self.site.publish(self.actor, BUSY)

    def keep_busy(self):
        """Submit until enough jobs are outstanding."""
        ended = {"succeeded", "failed", "cancelled"}
        states = self.site.states(self.jobs)
        for _ in range(OUTSTANDING - sum(state not in ended for state in states.values())):
            number = len(self.jobs)
            data = b'{"a":%d}\n' % number
            self.jobs.append(self.site.submit(self.actor, data, attempts_max=limits.ATTEMPTS.value).id)

    def leased(self):
        """Return (run, token, id, worker's process) of every lease that lasts."""
        query = sqlalchemy.select(
            queue_entries.c.run, queue_entries.c.token, queue_entries.c.id, workers.c.pid
        ).join_from(queue_entries, workers, queue_entries.c.worker == workers.c.id)
        with self.site.server.database.read() as tx:
            rows = tx.execute(query.where(queue_entries.c.state == "leased")).all()
        alive = {worker.pid for worker in self.site.workers if worker.process.poll() is None}
        return [row for row in rows if row.pid in alive]

    def strike(self, victim):
        """Kill a runner or a supervisor that holds leases, once it has been at work for a moment."""
        while not (leased := self.leased()):
            self.keep_busy()
            time.sleep(0.005)
        chosen = self.chance.choice(leased)
        time.sleep(self.chance.uniform(0.005, 0.03))
        worker = next(worker for worker in self.site.workers if worker.pid == chosen.pid)
        struck = {row.run: (row.id, row.token) for row in self.leased() if row.pid == worker.pid}
        runners = worker.runners()
        if not struck or (victim == "runner" and not runners):
            return self.strike(victim)
        os.kill(runners[0] if victim == "runner" else worker.pid, signal.SIGKILL)
        killed_s = time.monotonic()
        if victim == "supervisor":
            worker.process.wait()
            self.site.start_worker(ready=False)
        return self.watch(victim, struck, killed_s)

    def watch(self, victim, struck, killed_s):
        """Note when each job that was struck is somebody's again, or has ended."""
        while struck:
            now_s = time.monotonic()
            states = self.site.states(list(struck))
            again = {
                row.run for row in self.leased() if struck.get(row.run, (row.id, row.token)) != (row.id, row.token)
            }
            for run in list(struck):
                if run in again or states[run] == "succeeded":
                    del struck[run]
                    self.picked_up_s[victim].append(now_s - killed_s)
            assert now_s - killed_s < 60, self.site.logs()
            self.keep_busy()
            time.sleep(0.01)


def test_killing_whoever_holds_a_lease_loses_nothing_and_does_nothing_twice(site, record_property):
    chaos = Chaos(site, random.Random(7))
    for _ in range(WORKERS):
        site.start_worker(ready=False)
    for worker in site.workers:
        worker.wait_ready()
    for number in range(KILLS):
        chaos.keep_busy()
        chaos.strike("runner" if number % 2 else "supervisor")
    jobs = site.wait(chaos.actor, chaos.jobs, timeout_s=120)
    assert {job.state for job in jobs} == {"succeeded"}, [job.error for job in jobs if job.error]
    for number, job in enumerate(jobs):
        assert site.bytes_of(job.result) == b'{"a":%d,"total":%d}\n' % (number, TOTAL)
    with site.server.database.read() as tx:
        counted = sqlalchemy.select(attempts.c.run).where(attempts.c.outcome == "succeeded")
        succeeded = [row.run for row in tx.execute(counted)]
        assert tx.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(queue_entries)).scalar() == 0
    assert sorted(succeeded) == sorted(chaos.jobs), "each job has succeeded exactly once"
    for victim, times_s in chaos.picked_up_s.items():
        middle, most = statistics.median(times_s), max(times_s)
        record_property(f"{victim}_pick_up_s", f"median {middle:.2f}, most {most:.2f} of {len(times_s)}")
        print(f"{victim}: picked up after {middle:.2f} s, at most {most:.2f} s, of {len(times_s)} attempts")  # noqa: T201  # figures for who runs it
        assert most < PROMISED_S * ROOM
