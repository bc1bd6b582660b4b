"""procrastinate on PostgreSQL: `python procrastinate_queue.py DSN install 0 | bulk COUNT | work 0 | idle COUNT`.

It prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

from procrastinate import App, PsycopgConnector

_DSN, _WHAT, _AMOUNT = sys.argv[1], sys.argv[2], int(float(sys.argv[3]))
_BULK = 1_000
_CONCURRENCY = 16
logging.disable(logging.ERROR)
app = App(connector=PsycopgConnector(conninfo=_DSN))
stamps: list[float] = []
waited_s: list[float] = []
done = asyncio.Event()


@app.task(name="noop")
async def noop(asked: float) -> None:
    """Do nothing, and note when."""
    now = time.time()
    stamps.append(now)
    waited_s.append(now - asked)
    if len(waited_s) == _AMOUNT:
        done.set()


async def main() -> dict[str, Any]:
    """Do one of the four, and return what was found."""
    async with app.open_async():
        if _WHAT == "install":
            await app.schema_manager.apply_schema_async()
            return {}
        if _WHAT == "bulk":
            began_s = time.perf_counter()
            for _ in range(0, _AMOUNT, _BULK):
                await noop.batch_defer_async(*[{"asked": 0.0}] * _BULK)
            return {"elapsed_s": time.perf_counter() - began_s}
        if _WHAT == "work":
            await app.run_worker_async(wait=False, concurrency=_CONCURRENCY, install_signal_handlers=False)
            return {"stamps": stamps}
        return await _idle()


async def _idle() -> dict[str, Any]:
    working = asyncio.create_task(app.run_worker_async(concurrency=_CONCURRENCY, install_signal_handlers=False))
    await asyncio.sleep(1)
    for _ in range(_AMOUNT):
        await noop.defer_async(asked=time.time())
        await asyncio.sleep(0.05)
    await done.wait()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return {"latencies_s": waited_s}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())), flush=True)
