"""Small jobs over HTTP, each from its submission to its result, on a server that `penstock up` started on both cores.

Each job is one record through a trivial script in a locked child of its own. The client waits for the end in the same
request (`Prefer: wait`). Throughput: 16 connections, each with the next job as soon as the last has ended, for 20 s.
Latency: one connection, for 5 s. The client's own time is spent on the same two cores.
"""

from __future__ import annotations

import contextlib
from typing import Final

from benchmarks import service
from benchmarks.figures import Figure
from benchmarks.timing import median

NUMBER: Final = 30
TITLE: Final = "small sandboxed jobs over HTTP"
_BODY: Final = b'{"script": "twice", "input": [{"id": 21}]}'


def measure(*, quick: bool) -> list[Figure]:
    """Return jobs a second and their latency."""
    duration_s = 1.0 if quick else 20.0
    with service.served() as server:
        server.publish("twice", service.TRIVIAL)
        with contextlib.closing(service.Connection(server)) as connection:
            for _ in range(20):
                connection.run(_BODY)
        _, alone_s = service.closed_loop(server, _BODY, connections=1, duration_s=duration_s / 4)
        per_s, busy_s = service.closed_loop(server, _BODY, connections=16, duration_s=duration_s)
    busy_s = sorted(busy_s)
    return [
        Figure("jobs a second, 16 connections", per_s, "/s", at_least=400),
        Figure("latency p50, one connection", median(alone_s) * 1e3, "ms", at_most=15),
        Figure("latency p50, 16 connections", median(busy_s) * 1e3, "ms"),
        Figure("latency p99, 16 connections", busy_s[int(len(busy_s) * 0.99)] * 1e3, "ms"),
    ]
