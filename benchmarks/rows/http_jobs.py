"""Small jobs over HTTP, each from its submission to its result, on a server that `penstock up` started on both cores.

Each job is one record through a trivial script in a locked child of its own. The client waits for the end in the same
request (`Prefer: wait`). Throughput: 16 connections, each with the next job as soon as the last has ended, for 20 s.
Latency: one connection, for 5 s. The client's own time is spent on the same two cores. Beside Celery + Redis behind a
small HTTP app, whose two worker processes start bubblewrap with a fresh Python for each job; the same client.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import environments, redis, service
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number
from benchmarks.timing import median

NUMBER: Final = 30
TITLE: Final = "small sandboxed jobs over HTTP"
_PEER: Final = Path(__file__).parents[1] / "peers" / "celery_http.py"
_PATIENCE_S: Final = 60.0
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
    figures = [
        Figure("jobs a second, 16 connections", per_s, "/s", at_least=400),
        Figure("latency p50, one connection", median(alone_s) * 1e3, "ms", at_most=15),
        Figure("latency p50, 16 connections", median(busy_s) * 1e3, "ms"),
        Figure("latency p99, 16 connections", busy_s[int(len(busy_s) * 0.99)] * 1e3, "ms"),
    ]
    return figures if quick else figures + _beside_celery(per_s, duration_s)


def _beside_celery(ours_per_s: float, duration_s: float) -> list[Figure]:
    name = "of Celery + Redis with a fresh sandboxed process a job"
    try:
        with _celery() as server:
            _, alone_s = service.closed_loop(server, _BODY, connections=1, duration_s=duration_s / 4)
            per_s, _ = service.closed_loop(server, _BODY, connections=16, duration_s=duration_s)
    except PeerMissing as missing:
        return [Figure(f"jobs a second {name}", 0.0, "x", str(missing))]
    return [
        Figure(f"jobs a second {name}", ours_per_s / per_s, "x", f"{number(ours_per_s)} / {number(per_s)}"),
        Figure(f"latency p50 {name}", median(alone_s) * 1e3, "ms"),
    ]


@contextlib.contextmanager
def _celery() -> Iterator[service.Served]:
    """Run the peer's worker and its HTTP app, and end both."""
    if shutil.which("bwrap") is None:
        raise PeerMissing("bubblewrap is not installed: apt-get install bubblewrap")
    python = environments.python_of("celery")
    port = service.free_port()
    with contextlib.ExitStack() as running:
        url = running.enter_context(redis.redis_url())
        for part in (["worker", service.TRIVIAL], ["api", str(port)]):
            process = subprocess.Popen(
                [str(python), str(_PEER), url, *part],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            running.callback(service.end_group, process)
        server = service.Served(f"http://127.0.0.1:{port}", "", process.pid, Path(tempfile.gettempdir()))
        _await(server)
        yield server


def _await(server: service.Served) -> None:
    """Wait until a job comes out."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with contextlib.closing(service.Connection(server)) as connection:
                connection.run(_BODY)
                return
        except (OSError, RuntimeError, ValueError) as error:
            if time.monotonic() > deadline_s:
                raise PeerMissing("Celery does not carry out a job in a sandbox here") from error
            time.sleep(0.2)
