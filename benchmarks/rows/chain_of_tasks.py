"""40 x fibo(10) one after the other, each task submitted, carried out and known to have ended before the next begins.

Penstock: 40 jobs over HTTP to a server that `penstock up` started, each run by a fresh locked child of the sandbox;
median of five chains. Prefect 3: 40 `@task` calls in one run, its second run, its own server in the same process,
no sandbox. Airflow 3: 40 `@task` nodes in a row on `airflow standalone` (SQLite, LocalExecutor), from the start of
the first task to the end of the last, no sandbox; its second run. The peers' start-up is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import environments, orchestrators, service
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure
from benchmarks.timing import elapsed_s, median

NUMBER: Final = 32
TITLE: Final = "40 x fibo(10) in sequence, sandbox on"
_PEERS: Final = Path(__file__).parents[1] / "peers"
_BODY: Final = b'{"script": "fibo", "input": [{"n": 10}]}'
_PATIENCE_S: Final = 300.0


def measure(*, quick: bool) -> list[Figure]:
    """Return how long the chain takes, and how much longer it takes the peers."""
    times, rounds = (5, 1) if quick else (40, 5)
    with service.served() as server:
        server.publish("fibo", service.FIBO)
        with contextlib.closing(service.Connection(server)) as connection:
            for _ in range(10):
                connection.run(_BODY)
            ours_s = median([elapsed_s(lambda: [connection.run(_BODY) for _ in range(times)]) for _ in range(rounds)])
    figures = [Figure(f"{times} jobs over HTTP", ours_s * 1e3, "ms")]
    if not quick:
        figures += _beside("Prefect 3", _prefect_s, ours_s, at_least=10)
        figures += _beside("Airflow 3", _airflow_s, ours_s, at_least=50)
    return figures


def _beside(name: str, chain_s: Callable[[], float], ours_s: float, *, at_least: float) -> list[Figure]:
    try:
        peer_s = chain_s()
    except PeerMissing as missing:
        return [Figure(f"faster than {name}", 0.0, "x", str(missing))]
    return [Figure(f"faster than {name}", peer_s / ours_s, "x", f"{peer_s:.2f} s / {ours_s:.3f} s", at_least=at_least)]


def _prefect_s() -> float:
    python = environments.python_of("prefect")
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "PREFECT_HOME": home,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        done = subprocess.run(
            [str(python), str(_PEERS / "prefect_fibo.py"), "40"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=True,
        )
    return float(json.loads(done.stdout.splitlines()[-1])["elapsed_s"])


def _airflow_s() -> float:
    with orchestrators.standalone(_PEERS / "airflow_fibo.py") as server:
        server.run("fibo_chain")
        return server.run("fibo_chain").tasks_s
