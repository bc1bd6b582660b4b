"""More work than the machine can do, for a minute: `python -m tests.load.overload [--seconds N]`, part of `make chaos`.

What is shown: every job that was accepted succeeds; everything else was told 429 with a time to come back; nothing is
answered with 5xx; and the service is itself again soon after. Load comes from this process, over loopback, and ends by
itself.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from benchmarks import service
from benchmarks.service import Served

BUSY: Final = "def process(data):\n    for _ in range(300_000):\n        pass\n    return data\n"
BODY: Final = b'{"script": "busy", "input": [{"id": 1}]}'
SENDERS: Final = 8
QUEUED_MAX: Final = 400
DRAIN_S: Final = 300.0


@dataclass(slots=True)
class Seen:
    """What the senders saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    retry_after_s: list[float] = field(default_factory=list)


def main() -> None:
    """Overload a server, and exit with 1 when it did not hold what it promises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    with service.served() as server:
        _bound(server)
        server.publish("busy", BUSY)
        seen = _overload(server, seconds)
        recovered_s = _recover(server)
        states = _states(server, set(seen.accepted))
    problems = list(_report(seen, states, recovered_s))
    sys.exit("\n".join(problems) or 0)


def _bound(server: Served) -> None:
    environment = {**os.environ, "PENSTOCK_HOME": str(server.folder / ".penstock")}
    command = [sys.executable, "-m", "penstock", "workspaces", "set", "default", "--quota"]
    subprocess.run([*command, f"queued_jobs_max={QUEUED_MAX}"], env=environment, check=True, capture_output=True)
    time.sleep(2)  # quotas are read anew each second


def _overload(server: Served, seconds: float) -> Seen:
    seen, lock, until_s = Seen(), threading.Lock(), time.monotonic() + seconds

    def send() -> None:
        headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
        host = server.url.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as connection:
            while time.monotonic() < until_s:
                began_s = time.monotonic()
                connection.request("POST", "/api/v1/jobs", BODY, headers)
                answer = connection.getresponse()
                shown = json.loads(answer.read())
                with lock:
                    seen.statuses[answer.status] += 1
                    if answer.status == 202:
                        seen.accepted.append(shown["id"])
                        seen.latencies_s.append(time.monotonic() - began_s)
                    elif answer.status == 429:
                        seen.retry_after_s.append(float(answer.headers["Retry-After"]))

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def _recover(server: Served) -> float:
    """Return how long it takes until a new job is accepted and ends within a second."""
    began_s = time.monotonic()
    with server.client() as penstock:
        while time.monotonic() - began_s < DRAIN_S:
            asked_s = time.monotonic()
            with contextlib.suppress(Exception):
                job = penstock.jobs.submit("busy", [{"id": 1}], wait_s=5)
                if job.state == "succeeded" and time.monotonic() - asked_s < 1:
                    return time.monotonic() - began_s
            time.sleep(0.25)
    return float("inf")


def _states(server: Served, accepted: set[str]) -> Counter[str]:
    """Return the states of the jobs that were accepted, once none of them waits any more."""
    deadline_s = time.monotonic() + DRAIN_S
    with server.client() as penstock:
        while True:
            states: Counter[str] = Counter(
                {job.id: job.state for job in penstock.jobs.list() if job.id in accepted}.values()
            )
            if not states["queued"] + states["running"] or time.monotonic() > deadline_s:
                return states
            time.sleep(1)


def _report(seen: Seen, states: Counter[str], recovered_s: float) -> list[str]:
    latencies_s = sorted(seen.latencies_s)
    p50, p99 = (latencies_s[int(len(latencies_s) * share)] * 1e3 for share in (0.5, 0.99))
    waits = f"{min(seen.retry_after_s, default=0):g} to {max(seen.retry_after_s, default=0):g} s"
    print(f"answers: {dict(seen.statuses)}; 429 said to come back in {waits}")
    print(f"accepted: {len(seen.accepted):,}, of which {dict(states)}")
    print(f"accepted submits: p50 {p50:.1f} ms, p99 {p99:.1f} ms; recovered after {recovered_s:.1f} s")
    wrong = []
    if set(seen.statuses) - {202, 429}:
        wrong.append(f"answers other than 202 and 429: {dict(seen.statuses)}")
    if not seen.statuses[429]:
        wrong.append("nothing was refused: this was no overload")
    if states != Counter(succeeded=len(seen.accepted)):
        wrong.append(f"{len(seen.accepted)} jobs were accepted, and they are: {dict(states)}")
    return wrong


if __name__ == "__main__":
    main()
