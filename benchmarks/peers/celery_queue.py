"""Celery on Redis: `python celery_queue.py URL bulk COUNT | work 0 | idle COUNT`.

It prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from celery import Celery

_URL, _WHAT, _AMOUNT = sys.argv[1], sys.argv[2], int(float(sys.argv[3]))
_QUIET_S, _START_S = 1.5, 30.0
app = Celery("bench", broker=_URL)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,  # a worker that dies loses nothing
    worker_prefetch_multiplier=16,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
)
stamps: list[float] = []
waited_s: list[float] = []


@app.task(name="noop")
def noop(asked: float) -> None:
    """Do nothing, and note when."""
    now = time.time()
    stamps.append(now)
    waited_s.append(now - asked)


def main() -> dict[str, Any]:
    """Do one of the three, and return what was found; work ends the process by itself."""
    if _WHAT == "bulk":
        began_s = time.perf_counter()
        with app.producer_pool.acquire(block=True) as producer:
            for _ in range(_AMOUNT):
                noop.apply_async((0.0,), producer=producer)
        return {"elapsed_s": time.perf_counter() - began_s}
    if _WHAT == "work":
        threading.Thread(target=_end_when_quiet, daemon=True).start()
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
        app.worker_main(["worker", "--pool=solo", *quiet])
    return _idle()


def _idle() -> dict[str, Any]:
    with subprocess.Popen([sys.executable, __file__, _URL, "work", "0"], stdout=subprocess.PIPE) as worker:
        time.sleep(5)  # until it has started
        for _ in range(_AMOUNT):
            noop.delay(time.time())
            time.sleep(0.05)
        output, _ = worker.communicate(timeout=60)
    found: list[float] = json.loads(output.splitlines()[-1])["waited_s"]
    return {"latencies_s": found}


def _end_when_quiet() -> None:
    seen, changed_s = 0, time.monotonic()
    while time.monotonic() - changed_s < (_QUIET_S if seen else _START_S):
        if len(stamps) != seen:
            seen, changed_s = len(stamps), time.monotonic()
        time.sleep(0.05)
    print(json.dumps({"stamps": stamps, "waited_s": waited_s}), flush=True)
    os._exit(0)  # it does not end by itself


if __name__ == "__main__":
    print(json.dumps(main()), flush=True)
