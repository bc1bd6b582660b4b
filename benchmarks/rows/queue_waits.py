"""How long an entry waits: in an idle queue, and behind 3,000 entries of another workspace that take 10 ms each.

Idle: one is added every 20 ms in one process, another process waits, leases and notes the time; clocks are the
machine's. Backlog: 10 entries of a small workspace come one by one while 4 places work the big one's 3,000 off; in
order of arrival they would start after 7.5 s. Beside pgqueuer and procrastinate (PostgreSQL), idle, one process each;
and Celery on Redis that flushes each write, which adds in one process and works in another.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from typing import Final

from benchmarks import queues, redis
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure
from benchmarks.timing import quantile
from penstock.core.jobs import Entry, Lease

NUMBER: Final = 22
TITLE: Final = "waiting in the queue"
_PAUSE_S: Final = 0.02
_BUSY_S: Final = 0.010
_PLACES: Final = 4
_PEERS: Final = ("pgqueuer", "procrastinate", "celery")


def measure(*, quick: bool) -> list[Figure]:
    """Return times from submission to start."""
    times, backlog, visits = (20, 40, 2) if quick else (300, 3_000, 10)
    figures = []
    for name, place in (("SQLite", queues.sqlite_url()), ("PostgreSQL", queues.postgresql_url())):
        idle_s, behind_s = _ours(place, times=times, backlog=backlog, visits=visits)
        figures += [
            Figure(f"{name}, idle, p50", quantile(idle_s, 0.5) * 1e3, "ms", at_most=3),
            Figure(f"{name}, idle, p99", quantile(idle_s, 0.99) * 1e3, "ms", at_most=15),
            Figure(f"{name}, small workspace behind {backlog:,}", quantile(behind_s, 0.99) * 1e3, "ms", at_most=100),
        ]
    if quick:
        return figures
    return figures + [figure for peer in _PEERS for figure in _beside(peer, times)]


def _ours(
    place: AbstractContextManager[str], *, times: int, backlog: int, visits: int
) -> tuple[list[float], list[float]]:
    with place as url, queues.opened(url):
        adding = subprocess.Popen([sys.executable, "-m", "benchmarks.rows.queue_waits", url, str(times)])
        with adding:
            idle_s = _wait_for(url, times, adding)
        return idle_s, _behind(url, backlog=backlog, visits=visits)


def _wait_for(url: str, times: int, adding: subprocess.Popen[bytes]) -> list[float]:
    """Lease what another process adds; return how long each waited. Its task says when it was added."""
    waited_s: list[float] = []
    with queues.opened(url) as (database, queue):
        while len(waited_s) < times:
            queue.wait(1.0)
            assert not adding.poll(), "who adds entries failed"
            leases = database.write(lambda tx: queue.lease(tx, worker="w", count=4), durable=False)
            now = time.time()
            waited_s += [now - float(lease.entry.task) for lease in leases]
            database.write(lambda tx, held=leases: queue.finish(tx, held, busy_s={}))  # type: ignore[misc]  # these
    return waited_s


def _behind(url: str, *, backlog: int, visits: int) -> list[float]:
    """Return how long entries of a small workspace wait behind a backlog."""
    waited_s: list[float] = []
    with queues.opened(url) as (database, queue):
        queues.fill(database, queue, [queues.entry() for _ in range(backlog)])
        running: list[tuple[float, Lease]] = []
        visit_at_s, asked = time.monotonic(), 0
        while len(waited_s) < visits:
            if asked < visits and time.monotonic() >= visit_at_s:
                visitor = _stamped("small")
                database.write(lambda tx, new=visitor: queue.enqueue(tx, [new]))  # type: ignore[misc]  # this one
                visit_at_s, asked = time.monotonic() + 0.05, asked + 1
            ended = [lease for until_s, lease in running if until_s <= time.monotonic()]
            running = [each for each in running if each[0] > time.monotonic()]

            def turn(tx: object, ended: list[Lease] = ended, count: int = _PLACES - len(running)) -> list[Lease]:
                queue.finish(tx, ended, busy_s={lease.entry.id: _BUSY_S for lease in ended})
                return queue.lease(tx, worker="w", count=count) if count else []

            for lease in database.write(turn):
                running.append((time.monotonic() + _BUSY_S, lease))
                if lease.entry.workspace == "small":
                    waited_s.append(time.time() - float(lease.entry.task))
            time.sleep(0.001)
    return waited_s


def _stamped(workspace: str) -> Entry:
    """Return an entry whose task says when it was made."""
    return queues.entry(workspace, task=repr(time.time()))


def _beside(peer: str, times: int) -> list[Figure]:
    """Return how long a task waits in an idle queue of a peer's."""
    names = (f"{peer}, idle, p50", f"{peer}, idle, p99")
    try:
        waited_s = _of_celery(times) if peer == "celery" else _of_peer_on_postgresql(peer, times)
    except PeerMissing as missing:
        return [Figure(name, 0.0, "ms", str(missing)) for name in names]
    return [Figure(name, quantile(waited_s, share) * 1e3, "ms") for name, share in zip(names, (0.5, 0.99), strict=True)]


def _of_peer_on_postgresql(peer: str, times: int) -> list[float]:
    with queues.postgresql_url() as url:
        dsn = url.replace("+psycopg", "")
        queues.ask_peer(peer, dsn, "install", 0)
        return list(queues.ask_peer(peer, dsn, "idle", times)["latencies_s"])


def _of_celery(times: int) -> list[float]:
    with redis.redis_url() as url:
        return list(queues.ask_peer("celery", url, "idle", times)["latencies_s"])


def add(url: str, times: int) -> None:
    """Add an entry now and then."""
    time.sleep(0.5)
    with queues.opened(url) as (database, queue), contextlib.suppress(KeyboardInterrupt):
        for _ in range(times):
            time.sleep(_PAUSE_S)
            new = _stamped("acme")
            database.write(lambda tx, new=new: queue.enqueue(tx, [new]))  # type: ignore[misc]  # this one
            queue.announce()


if __name__ == "__main__":
    add(sys.argv[1], int(sys.argv[2]))
