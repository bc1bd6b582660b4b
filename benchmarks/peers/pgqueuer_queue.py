"""pgqueuer: `python pgqueuer_queue.py DSN submit SECONDS | bulk COUNT | work | idle COUNT`.

It prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import asyncpg
from pgqueuer.db import AsyncpgDriver
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

_BATCH = 16
_BULK = 1_000


async def main(dsn: str, what: str, amount: float) -> dict[str, Any]:
    """Do one of the four, and return what was found."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect(dsn)))
    if what == "install":
        await queries.install()
        return {}
    if what == "submit":
        return await _submit(queries, amount)
    if what == "bulk":
        began_s = time.perf_counter()
        for _ in range(0, int(amount), _BULK):
            await queries.enqueue(["noop"] * _BULK, [b"x"] * _BULK, [0] * _BULK)
        return {"elapsed_s": time.perf_counter() - began_s}
    if what == "work":
        return {"stamps": await _work(dsn, QueueExecutionMode.drain)}
    return {"latencies_s": await _idle(dsn, queries, int(amount))}


async def _submit(queries: Queries, seconds: float) -> dict[str, Any]:
    began_s, count = time.perf_counter(), 0
    while time.perf_counter() < began_s + seconds:
        await queries.enqueue("noop", b"x")
        count += 1
    return {"count": count, "elapsed_s": time.perf_counter() - began_s}


async def _work(dsn: str, mode: QueueExecutionMode, started: Any = None) -> list[float]:
    stamps: list[float] = []
    manager = QueueManager(Queries(AsyncpgDriver(await asyncpg.connect(dsn))))

    @manager.entrypoint("noop")
    async def noop(_job: object) -> None:
        stamps.append(time.time())
        if started is not None:
            started(manager, stamps)

    await manager.run(batch_size=_BATCH, mode=mode)
    return stamps


async def _idle(dsn: str, queries: Queries, count: int) -> list[float]:
    asked: list[float] = []

    def stop_at_last(manager: QueueManager, stamps: list[float]) -> None:
        if len(stamps) == count:
            manager.shutdown.set()

    working = asyncio.create_task(_work(dsn, QueueExecutionMode.continuous, stop_at_last))
    await asyncio.sleep(1)
    for _ in range(count):
        asked.append(time.time())
        await queries.enqueue("noop", b"x")
        await asyncio.sleep(0.05)
    return [start - ask for ask, start in zip(asked, await working, strict=True)]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))))
