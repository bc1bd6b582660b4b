"""Orchestrators beside us: how long chains of tasks that do nothing take Prefect 3, Airflow 3 and Dagster.

Each carries out chains of several lengths, three times each but Airflow the long one once, and says how long each took
from being asked for to its end, as it records it itself, and how long the same functions take when they are called.
Their start-up is not counted; each has run before. Airflow is `airflow standalone` (SQLite, LocalExecutor), Prefect and
Dagster run in one process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks import environments, service
from benchmarks.environments import PeerMissing
from benchmarks.timing import median

_PEERS: Final = Path(__file__).with_name("peers")
_PATIENCE_S: Final = 600.0
_ASK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain that was carried out.

    Attributes:
        count: of its tasks.
        run_s: from being asked for to its end.
        bare_s: the same functions, called.
    """

    count: int
    run_s: float
    bare_s: float

    @property
    def overhead_ms(self) -> float:
        """What a task costs beyond what it does."""
        return (self.run_s - self.bare_s) / self.count * 1e3


def prefect(counts: Sequence[int]) -> list[Chain]:
    """Return how long chains take Prefect.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    more = {
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }
    return _in_one_process("prefect", "PREFECT_HOME", counts, more)


def dagster(counts: Sequence[int]) -> list[Chain]:
    """Return how long chains take Dagster.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    return _in_one_process("dagster", "DAGSTER_HOME", counts, {"DAGSTER_DISABLE_TELEMETRY": "1"})


def airflow(counts: Sequence[int]) -> list[Chain]:
    """Return how long chains take Airflow, whose functions take no time that counts beside it.

    Raises:
        PeerMissing: when it cannot be installed, or does not end a run.
    """
    with standalone(_PEERS / "airflow_chain.py", CHAINS=",".join(map(str, sorted(set(counts))))) as server:
        server.run(f"chain_{min(counts)}")
        return [Chain(count, server.run(f"chain_{count}").whole_s, 0.0) for count in counts]


PEERS: Final[Mapping[str, Callable[[Sequence[int]], list[Chain]]]] = {
    "Prefect 3": prefect,
    "Airflow 3": airflow,
    "Dagster": dagster,
}
SHORT: Final = 3
LONG: Final = 100


@functools.cache
def measured(peer: str) -> Mapping[int, Chain]:
    """Return a peer's short chain and its long one, the one of median time of each; measured once for all rows.

    Raises:
        PeerMissing: when it cannot be installed, or does not end a run.
    """
    short, long = [SHORT] * 3, [LONG] * (1 if peer == "Airflow 3" else 3)
    chains = PEERS[peer]([*short, *long])
    return {count: _middle([each for each in chains if each.count == count]) for count in (SHORT, LONG)}


def _middle(chains: Sequence[Chain]) -> Chain:
    run_s = median([each.run_s for each in chains])
    return next(each for each in chains if each.run_s == run_s)


@dataclass(frozen=True, slots=True)
class AirflowRun:
    """A run as Airflow has recorded it.

    Attributes:
        whole_s: from being asked for to its end.
        tasks_s: from the start of its first task to the end of its last.
    """

    whole_s: float
    tasks_s: float


class Airflow:
    """A server that runs."""

    def __init__(self, home: Path, program: Path, environment: Mapping[str, str]) -> None:
        self._home, self._program, self._environment = home, program, environment
        self._runs = 0

    def run(self, dag: str) -> AirflowRun:
        """Start a run of a DAG, once that has been found, and return how long it took."""
        self._runs += 1
        run = f"{dag}_{self._runs}"
        command = [str(self._program), "dags", "trigger", dag, "--run-id", run]
        deadline_s = time.monotonic() + _PATIENCE_S
        while subprocess.run(command, env=self._environment, capture_output=True, timeout=120, check=False).returncode:
            if time.monotonic() > deadline_s:
                raise PeerMissing("airflow did not find its DAG")
            time.sleep(2 * _ASK_S)
        while time.monotonic() < deadline_s:
            if (ended := self._ended(run)) is not None:
                return ended
            time.sleep(_ASK_S)
        raise PeerMissing("airflow did not end its run")

    def _ended(self, run: str) -> AirflowRun | None:
        asked = (
            "SELECT run.state, run.queued_at, run.end_date, min(task.start_date), max(task.end_date)"
            " FROM dag_run AS run JOIN task_instance AS task USING (dag_id, run_id) WHERE run_id = ? GROUP BY run.id"
        )
        database = f"file:{self._home / 'airflow.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True, timeout=10)) as connection:
            row = connection.execute(asked, (run,)).fetchone()
        if row is None or row[0] in ("queued", "running"):
            return None
        if row[0] != "success":
            raise PeerMissing(f"airflow's run ended as {row[0]}")
        queued, ended, first, last = map(datetime.fromisoformat, row[1:])
        return AirflowRun((ended - queued).total_seconds(), (last - first).total_seconds())


@contextlib.contextmanager
def standalone(dags: Path, **more: str) -> Iterator[Airflow]:
    """Run `airflow standalone` with a file of DAGs in a folder of its own, and end it.

    Raises:
        PeerMissing: when it cannot be installed.
    """
    python = environments.python_of("airflow")
    port = service.free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        folder = Path(home, "dags")
        folder.mkdir()
        (folder / dags.name).write_text(dags.read_text("utf-8"), "utf-8")
        environment = {
            **os.environ,
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # after 5 s, a task on a busy machine fails
            **more,
        }
        program = python.with_name("airflow")
        with Path(home, "log").open("wb") as log:
            server = subprocess.Popen(
                [str(program), "standalone"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield Airflow(Path(home), program, environment)
        finally:
            service.end_group(server)


def _in_one_process(peer: str, home: str, counts: Sequence[int], more: Mapping[str, str]) -> list[Chain]:
    python = environments.python_of(peer)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(python), str(_PEERS / f"{peer}_chain.py"), *map(str, counts)],
            env={**os.environ, **more, home: folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=True,
        )
    return [Chain(**each) for each in json.loads(done.stdout.splitlines()[-1])]
