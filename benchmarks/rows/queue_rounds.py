"""No-op jobs a second: two worker processes on two cores, 16 entries a round, each end durable before the next round.

A round is one transaction that closes the last batch and leases the next. Counted are the last nine tenths of the
entries, and of a worker's CPU that of its rounds. The peers in two processes each, with entries that do nothing either:
pgqueuer (PostgreSQL, batches of 16); procrastinate (PostgreSQL, 16 at once); huey (SQLite, fsync on, one job at a time:
it has no batches, takes an entry out before it has run it, and keeps no lease); Celery on Redis, which flushes each
write (16 prefetched, acknowledged when done), beside our PostgreSQL.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from benchmarks import queues, redis
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number

NUMBER: Final = 21
TITLE: Final = "no-op jobs at the queue's port, 2 workers, batches of 16"
_WORKERS: Final = 2


def measure(*, quick: bool) -> list[Figure]:
    """Return jobs a second, their CPU time, and how many times those of the peers."""
    many = 1_000 if quick else 20_000
    sqlite, sqlite_cpu_s = _ours(queues.sqlite_url(), many)
    postgresql, postgresql_cpu_s = _ours(queues.postgresql_url(), many)
    disk = queues.disk()
    figures = [
        Figure("SQLite", sqlite, "/s", disk, at_least=20_000),
        Figure("SQLite, a worker's CPU", sqlite_cpu_s * 1e6, "us a job", at_most=60),
        Figure("PostgreSQL", postgresql, "/s", disk, at_least=12_000),
        Figure("PostgreSQL, a worker's CPU", postgresql_cpu_s * 1e6, "us a job", at_most=60),
    ]
    if quick:
        return figures
    return [
        *figures,
        _beside("PostgreSQL / pgqueuer", postgresql, lambda: _pgqueuer(many // 2)),
        _beside("PostgreSQL / procrastinate", postgresql, lambda: _procrastinate(many // 10)),
        _beside("PostgreSQL / Celery + Redis", postgresql, lambda: _celery(many // 4)),
        _beside("SQLite / huey", sqlite, lambda: _huey(many // 10)),
    ]


def _ours(place: AbstractContextManager[str], many: int) -> tuple[float, float]:
    with place as url:
        with queues.opened(url) as (database, queue):
            queues.fill(database, queue, [queues.entry() for _ in range(many)])
        return queues.work_off(url, processes=_WORKERS)


def _beside(name: str, ours: float, peer: Callable[[], float]) -> Figure:
    try:
        theirs = peer()
    except PeerMissing as missing:
        return Figure(name, 0.0, "x", str(missing))
    return Figure(name, ours / theirs, "x", f"{number(ours)} / {number(theirs)}", at_least=1)


def _pgqueuer(many: int) -> float:
    with queues.postgresql_url() as url:
        dsn = url.replace("+psycopg", "")
        queues.ask_peer("pgqueuer", dsn, "install", 0)
        queues.ask_peer("pgqueuer", dsn, "bulk", many)
        return _together("pgqueuer", dsn)


def _huey(many: int) -> float:
    with queues.folder() as place:
        file = place / "huey.db"
        queues.ask_peer("huey", file, "bulk", many)
        return _together("huey", file)


def _procrastinate(many: int) -> float:
    with queues.postgresql_url() as url:
        dsn = url.replace("+psycopg", "")
        queues.ask_peer("procrastinate", dsn, "install", 0)
        queues.ask_peer("procrastinate", dsn, "bulk", many)
        return _together("procrastinate", dsn)


def _celery(many: int) -> float:
    with redis.redis_url() as url:
        queues.ask_peer("celery", url, "bulk", many)
        return _together("celery", url)


def _together(peer: str, place: object) -> float:
    with contextlib.ExitStack() as running:
        workers = [running.enter_context(queues.start_peer(peer, place, "work", 0)) for _ in range(_WORKERS)]
        return queues.rate([stamp for worker in workers for stamp in queues.answer_of(worker)["stamps"]])
