"""Tasks of pipelines over tables of the lake, as an attempt of a run carries them out, in locked children.

`sql`: 1 M rows of six columns appended to a table: from the query to the commit. Beside it the same query written to a
Parquet file by DuckDB in a plain process, started anew as ours is. `expectations`: the suite of row 41 on a table of
5 M rows, from its file to the kept result; beside it one SELECT by hand over the same files, in a process that is
warm. `script`: a function that adds a field to each of 1 M rows, and how much more memory this process needs for them
than for a tenth of them. Each in turn with what is beside it; medians.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, number
from benchmarks.rows import expectations as suite_row
from benchmarks.timing import elapsed_s, median
from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId, TaskName
from penstock.core.ports import Occurrence, TableWrite
from penstock.core.projects import Project
from penstock.core.tables import TableName

NUMBER: Final = 47
TITLE: Final = "tasks over tables: sql, expectations, script"
_PLAIN: Final = Path(__file__).parents[1] / "peers" / "plain_duckdb.py"
_WORKSPACE: Final = WorkspaceId("ws_bench")
_MEMORY_BYTES: Final = 4 * 2**30
_PATIENCE_S: Final = 120
_SCRIPT: Final = b"def process(data):\n    data['double'] = data['total'] * 2\n    return data\n"
_QUERY: Final = """
SELECT range AS id, range * 7919 % 100003 AS customer, (range % 9973) / 100.0 AS total,
    'sku-' || (range % 4070) AS sku, TIMESTAMP '2025-01-01' + INTERVAL (range) SECOND AS at, DATE '2026-01-02' AS day
FROM range({rows})
"""


def measure(*, quick: bool) -> list[Figure]:
    """Return what each kind of task takes, beside the same without a platform around it."""
    rows, checked, rounds = (20_000, 20_000, 1) if quick else (1_000_000, 5_000_000, 5)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, _attempts(Path(name)) as attempts:
        return [
            *_appended(attempts, Path(name), rows=rows, rounds=rounds),
            *_checked(attempts, rows=checked, rounds=rounds),
            *_scripted(attempts, rows=rows),
        ]


def _appended(attempts: _Attempts, folder: Path, *, rows: int, rounds: int) -> list[Figure]:
    sql = _QUERY.format(rows=rows)
    ours, plain = [], []
    for turn in range(rounds + 1):
        mine_s = elapsed_s(partial(attempts.write, "bench.rows", sql, mode="append"))
        theirs_s = elapsed_s(partial(_plainly, folder / f"plain-{turn}.parquet", sql))
        if turn or rounds == 1:  # the first one warms the caches
            ours.append(mine_s)
            plain.append(theirs_s)
    how = f"{number(median(ours) * 1e3)} ms / {number(median(plain) * 1e3)} ms"
    return [Figure(f"sql: {rows:,} rows appended / written", median(ours) / median(plain), "x", how, at_most=2)]


def _plainly(path: Path, sql: str) -> None:
    nothing = str(path.parent / "nothing.parquet")
    _nothing(nothing)
    command = [sys.executable, str(_PLAIN), nothing, str(path), str(_MEMORY_BYTES), sql]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_PATIENCE_S, check=True)
    path.unlink()


def _nothing(path: str) -> None:
    import duckdb

    if not Path(path).exists():
        duckdb.execute(f"COPY (SELECT 1 AS a) TO '{path}' (FORMAT parquet)")


def _checked(attempts: _Attempts, *, rows: int, rounds: int) -> list[Figure]:
    import orjson

    attempts.write("bench.checked", suite_row.ROWS.format(rows=rows))
    attempts.publish()
    attempts.files["suite.json"] = orjson.dumps({"name": "orders", "expectations": suite_row.entries()})
    spec = {"from": "bench.checked", "suite": "suite.json"}
    taken = [
        (elapsed_s(partial(attempts.run, "expectations", spec)), elapsed_s(partial(attempts.by_hand, "bench.checked")))
        for _ in range(rounds)
    ]
    ours_s, hand_s = (median(column) for column in zip(*taken, strict=True))
    how = f"{number(ours_s)} s / {number(hand_s)} s"
    return [Figure(f"expectations: 20 on {rows:,} rows / by hand", ours_s / hand_s, "x", how, at_most=1.3)]


def _scripted(attempts: _Attempts, *, rows: int) -> list[Figure]:
    peaks, taken_s = [], 0.0
    for count in (rows // 10, rows):
        attempts.write("bench.given", _QUERY.format(rows=count))
        attempts.publish()
        taken_s = elapsed_s(
            partial(attempts.run, "script", {"from": "bench.given", "to": "bench.made", "script": "add"})
        )
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    figures = [Figure(f"script: {rows:,} rows", rows / taken_s, "rows/s", f"{number(taken_s)} s")]
    return [*figures, Figure("more memory for ten times the rows", peaks[1] - peaks[0], "MiB")]


@dataclass(slots=True)
class _Attempts:
    """Attempts of tasks, each of a run of its own."""

    parts: Any
    kinds: Any
    folder: Path
    files: dict[str, bytes]
    runs: int = 0

    def write(self, table: str, sql: str, *, mode: Any = "replace_table") -> None:
        """Write a query's rows, and publish nothing."""
        with self._context() as ctx:
            ctx.write_query(TableWrite(TableName(table), mode), sql, tables={})

    def publish(self) -> None:
        """Publish what was written last."""
        self.parts.lake.publish(_WORKSPACE, RunId(f"run_{self.runs}"))

    def run(self, kind: str, spec: dict[str, Any]) -> None:
        """Carry out an attempt."""
        with self._context() as ctx:
            self.kinds[kind].run(self.kinds[kind].Spec.model_validate(spec), ctx)

    def by_hand(self, table: str) -> None:
        """Run the one SELECT that measures the same."""
        from penstock.checks.engine import open_engine
        from penstock.core import duckdb_sql

        reading = self.parts.lake.read(_WORKSPACE, TableName(table))
        with open_engine(folders=[Path(file.path).parent for file in reading.files]) as execute:
            execute(suite_row.BY_HAND.format(relation=duckdb_sql.scan(reading)))

    def _context(self) -> Any:
        from penstock.execution.task_context import TaskContext

        self.runs += 1
        project = Project(name="bench", revision="r1", pipelines={}, connections={}, pools={}, files=dict(self.files))
        run = RunId(f"run_{self.runs}")
        now = Occurrence(run, _WORKSPACE, "bench", "main", TaskName("task"), time.time(), f"f{self.runs}", date=None)
        return TaskContext(self.parts, now, project, self.folder / f"attempt-{self.runs}")


@contextlib.contextmanager
def _attempts(folder: Path) -> Iterator[_Attempts]:
    from penstock.checks.judging import GxSuites
    from penstock.database.opening import open_database
    from penstock.database.versioning import upgrade
    from penstock.execution.task_parts import TaskParts
    from penstock.sandbox.heavy import HeavySandbox
    from penstock.sandbox.strict import StrictSandbox
    from penstock.storage.attempt_records import SqlAttemptRecords
    from penstock.tasks import run_kinds
    from penstock.wiring.lake import open_lake

    with contextlib.ExitStack() as stack:
        database = stack.enter_context(contextlib.closing(open_database(f"sqlite:///{folder / 'records.db'}")))
        upgrade(database)
        strict, heavy = stack.enter_context(contextlib.closing(StrictSandbox())), HeavySandbox()
        heavy.report()
        parts = TaskParts(
            database=database,
            records=SqlAttemptRecords(),
            lake=stack.enter_context(open_lake(database, time.time, strict=strict, heavy=heavy, home=folder)),
            engines=heavy,
            sandbox=strict,
            suites=GxSuites(),
            connectors={},
            secret=_none,
            resolve=_none,
            raw=contextlib.nullcontext,  # type: ignore[arg-type]  # nothing is read from outside
            clock=time.time,
        )
        kinds = run_kinds(suites=GxSuites(), connectors={})
        yield _Attempts(parts, kinds, folder / "attempts", {"scripts/add.py": _SCRIPT})


def _none(*_: str) -> Any:
    raise AssertionError("nothing is asked for outside")
