"""Entries that a queue has made durable, each in a transaction of its own, and a thousand to a transaction (bulk).

Ours at the bare port, on SQLite with `synchronous = FULL` and on PostgreSQL. Beside huey (SQLite, fsync on; it has no
bulk) and pgqueuer (PostgreSQL), each in a process of its own on the same disk, with as much asked of them. Each way in
turn, for 3 s; what each commit waits for is the time of the disk beside it.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from benchmarks import queues
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s

NUMBER: Final = 20
TITLE: Final = "durable submits at the queue's port"
_CLIENTS: Final = 32


def measure(*, quick: bool) -> list[Figure]:
    """Return submits a second, and how many times those of the peers."""
    duration_s, many = (0.2, 2_000) if quick else (3.0, 50_000)
    with queues.sqlite_url() as url:
        alone, crowd, bulk = _ours(url, duration_s=duration_s, many=many)
    disk = queues.disk()
    figures = [
        Figure("SQLite, 1 client", alone, "/s", disk, at_least=4_500),
        Figure(f"SQLite, {_CLIENTS} clients", crowd, "/s", disk, at_least=10_000),
        Figure("SQLite, bulk", bulk, "/s", disk, at_least=90_000),
    ]
    figures += [] if quick else _beside_huey(alone, crowd, duration_s)
    with queues.postgresql_url() as url:
        alone, crowd, bulk = _ours(url, duration_s=duration_s, many=many)
    disk = queues.disk()
    figures += [
        Figure("PostgreSQL, 1 client", alone, "/s", disk),
        Figure(f"PostgreSQL, {_CLIENTS} clients", crowd, "/s", disk),
        Figure("PostgreSQL, bulk", bulk, "/s", disk),
    ]
    return figures if quick else figures + _beside_pgqueuer(alone, bulk, many)


def _ours(url: str, *, duration_s: float, many: int) -> tuple[float, float, float]:
    """Return submits a second of one client, of many clients, and in bulk."""
    with queues.opened(url) as (database, queue):

        def submit(counts: list[int]) -> None:
            until_s = time.perf_counter() + duration_s
            count = 0
            while time.perf_counter() < until_s:
                entry = queues.entry()
                database.write(lambda tx, entry=entry: queue.enqueue(tx, [entry]))  # type: ignore[misc]  # this one
                count += 1
            counts.append(count)

        alone: list[int] = []
        submit(alone)
        crowd: list[int] = []
        threads = [threading.Thread(target=submit, args=(crowd,)) for _ in range(_CLIENTS)]
        taken_s = elapsed_s(lambda: [thread.start() for thread in threads] + [thread.join() for thread in threads])
        entries = [queues.entry() for _ in range(many)]
        bulk_s = elapsed_s(lambda: queues.fill(database, queue, entries))
    return alone[0] / duration_s, sum(crowd) / taken_s, many / bulk_s


def _beside_huey(alone: float, crowd: float, duration_s: float) -> list[Figure]:
    figures = []
    for clients, ours, aim in ((1, alone, None), (_CLIENTS, crowd, 5.0)):
        name = f"SQLite / huey, clients: {clients}"
        try:
            with queues.folder() as place:
                found = queues.ask_peer("huey", place / "huey.db", "submit", duration_s, clients)
        except PeerMissing as missing:
            return [*figures, Figure(name, 0.0, "x", str(missing))]
        theirs = found["count"] / found["elapsed_s"]
        figures.append(Figure(name, ours / theirs, "x", f"{number(ours)} / {number(theirs)}", at_least=aim))
    return figures


def _beside_pgqueuer(alone: float, bulk: float, many: int) -> list[Figure]:
    names = ("PostgreSQL, 1 client / pgqueuer", "PostgreSQL, bulk / pgqueuer")
    try:
        with queues.postgresql_url() as url:
            dsn = url.replace("+psycopg", "")
            queues.ask_peer("pgqueuer", dsn, "install", 0)
            one = queues.ask_peer("pgqueuer", dsn, "submit", 3.0)
            theirs = one["count"] / one["elapsed_s"], many / queues.ask_peer("pgqueuer", dsn, "bulk", many)["elapsed_s"]
    except PeerMissing as missing:
        return [Figure(name, 0.0, "x", str(missing)) for name in names]
    return [
        Figure(name, ours / peer, "x", f"{number(ours)} / {number(peer)}")
        for name, ours, peer in zip(names, (alone, bulk), theirs, strict=True)
    ]
