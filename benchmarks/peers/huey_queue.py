"""huey on SQLite: `python huey_queue.py FILE submit SECONDS CLIENTS | bulk COUNT | work 0`.

It prints what it found as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import threading
import time
from typing import Any

from huey import SqliteHuey

_FILE, _WHAT, _AMOUNT = sys.argv[1], sys.argv[2], float(sys.argv[3])
huey = SqliteHuey("bench", filename=_FILE, fsync=True, results=False)
stamps: list[float] = []


@huey.task()
def noop() -> None:
    """Do nothing."""
    stamps.append(time.time())


def main() -> dict[str, Any]:
    """Do one of the three, and return what was found."""
    began_s = time.perf_counter()
    if _WHAT == "submit":
        counts: list[int] = []
        threads = [threading.Thread(target=_submit, args=(counts,)) for _ in range(int(sys.argv[4]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"count": sum(counts), "elapsed_s": time.perf_counter() - began_s}
    if _WHAT == "bulk":
        for _ in range(int(_AMOUNT)):  # it has no other way
            noop()
        return {"elapsed_s": time.perf_counter() - began_s}
    consumer = huey.create_consumer(workers=1, worker_type="thread", initial_delay=0.01, periodic=False)
    threading.Thread(target=consumer.run, daemon=True).start()
    quiet_s = time.monotonic()
    seen = -1
    while time.monotonic() - quiet_s < 1.5:  # it does not say when it is empty
        if len(stamps) != seen:
            seen, quiet_s = len(stamps), time.monotonic()
        time.sleep(0.05)
    return {"stamps": list(stamps)}


def _submit(counts: list[int]) -> None:
    until_s, count = time.perf_counter() + _AMOUNT, 0
    while time.perf_counter() < until_s:
        with contextlib.suppress(sqlite3.OperationalError):  # its turn did not come within 5 s
            noop()
            count += 1
    counts.append(count)


if __name__ == "__main__":
    print(json.dumps(main()), flush=True)
    os._exit(0)  # its consumer's threads are not daemons
