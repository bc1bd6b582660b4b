"""40 x fibo(10) one after the other, each task submitted, carried out and known to have ended before the next begins.

Penstock: 40 jobs over HTTP to a server that `penstock up` started, each run by a fresh locked child of the sandbox;
median of five chains. Prefect 3: 40 `@task` calls in one `@flow`, its second run, its own server in the same process,
no sandbox. Airflow 3: 40 `@task` nodes in one DAG on `airflow standalone` (SQLite, LocalExecutor), from the start of
the first task to the end of the last, no sandbox; its second run. The peers' start-up is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks import environments, service
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure
from benchmarks.timing import elapsed_s, median

NUMBER: Final = 32
TITLE: Final = "40 x fibo(10) in sequence, sandbox on"
_PEERS: Final = Path(__file__).parents[1] / "peers"
_BODY: Final = b'{"script": "fibo", "input": [{"n": 10}]}'
_AIRFLOW_PORT: Final = "8977"
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
    python = environments.python_of("airflow")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        dags = Path(home, "dags")
        dags.mkdir()
        (dags / "fibo.py").write_text((_PEERS / "airflow_fibo.py").read_text("utf-8"), "utf-8")
        environment = {
            **os.environ,
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{_AIRFLOW_PORT}/execution/",
            "AIRFLOW__API__PORT": _AIRFLOW_PORT,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{_AIRFLOW_PORT}",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        airflow = [str(python.with_name("airflow"))]
        with (Path(home) / "log").open("wb") as log:
            server = subprocess.Popen(
                [*airflow, "standalone"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            for run in ("first", "second"):
                _trigger([*airflow, "dags", "trigger", "fibo_chain", "--run-id", run], environment)
                chain_s = _await_airflow(Path(home, "airflow.db"), run)
            return chain_s
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def _trigger(command: list[str], environment: dict[str, str]) -> None:
    """Start a run, once the DAG has been found."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False).returncode:
        if time.monotonic() > deadline_s:
            raise PeerMissing("airflow did not find its DAG")
        time.sleep(2)


def _await_airflow(database: Path, run: str) -> float:
    """Return the seconds from the start of a run's first task to the end of its last, once it has ended."""
    deadline_s = time.monotonic() + _PATIENCE_S
    asked = (
        "SELECT min(start_date), max(end_date), sum(state = 'success'), count(*) FROM task_instance WHERE run_id = ?"
    )
    while time.monotonic() < deadline_s:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            began, ended, succeeded, count = connection.execute(asked, (run,)).fetchone()
        if count and succeeded == count:
            return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
        time.sleep(1)
    raise PeerMissing("airflow did not end its run")
