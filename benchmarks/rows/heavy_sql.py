"""Two queries over 5 M rows of Parquet, written as Parquet: an aggregate over 1,000 groups, and a sort of all rows.

Ours: DuckDB in a locked child of the heavy class, a process for each. Beside it: the same query on DuckDB in a process
without a lock, with as many threads and as much memory. Each in turn, the file warm in the page cache; the fastest of
seven rounds, because whatever else the machine does only adds. A query's time begins when DuckDB is imported; what
comes before, an interpreter and its imports and for ours the lock, is the start-up, reported apart.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, number
from benchmarks.timing import median
from penstock.core.engines import EngineAnswer, EngineLimits, EngineRequest
from penstock.sandbox.heavy import HeavySandbox

NUMBER: Final = 42
TITLE: Final = "heavy sandbox: SQL over 5 M rows"
_PLAIN: Final = Path(__file__).parents[1] / "peers" / "plain_duckdb.py"
_MEMORY_BYTES: Final = 4 * 2**30
_QUERIES: Final = {
    "aggregate": "SELECT shop, count(*), sum(price * quantity) AS total, max(day) AS last FROM orders GROUP BY shop",
    "sort": "SELECT * FROM orders ORDER BY price, id",
}
_PATIENCE_S: Final = 120


def measure(*, quick: bool) -> list[Figure]:
    """Return what the lock costs while a query runs, and before it does."""
    rows, rounds = (100_000, 1) if quick else (5_000_000, 7)
    sandbox = HeavySandbox()
    sandbox.report()
    figures, starts, plain_starts = [], [], []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        path = _orders(Path(name), rows)
        for query, sql in _QUERIES.items():
            ours, plain = [], []
            for turn in range(rounds + 1):
                start_s, run_s = _locked(sandbox, path, Path(name, f"{query}-{turn}"), sql)
                plain_start_s, plain_run_s = _unlocked(path, Path(name, f"plain-{query}-{turn}.parquet"), sql)
                if turn or quick:  # the first one warms the caches
                    ours.append(run_s)
                    plain.append(plain_run_s)
                    starts.append(start_s)
                    plain_starts.append(plain_start_s)
            how = f"{number(min(ours) * 1e3)} ms / {number(min(plain) * 1e3)} ms"
            figures.append(Figure(f"{query} / plain DuckDB", min(ours) / min(plain), "x", how, at_most=1.1))
    how = f"plain: {number(median(plain_starts) * 1e3)} ms"
    return [*figures, Figure("start-up", median(starts) * 1e3, "ms", how)]


def _locked(sandbox: HeavySandbox, path: Path, staging: Path, sql: str) -> tuple[float, float]:
    """Return the seconds before the query and those of the query, in a locked child."""
    staging.mkdir()
    ask = {
        "tables": {"orders": {"relation": f"SELECT * FROM read_parquet('{path}')"}},
        "sql": sql,
        "output": {"name": "out.parquet", "options": []},
        "readable": [str(path)],
    }
    started_s = time.perf_counter()
    end = sandbox.run(EngineRequest("sql", ask, [str(path)], str(staging), EngineLimits(memory_bytes=_MEMORY_BYTES)))
    elapsed_s = time.perf_counter() - started_s
    assert isinstance(end, EngineAnswer), end
    (staging / "out.parquet").unlink()
    run_s = float(end.answer["open_s"] + end.answer["run_s"])
    return elapsed_s - run_s, run_s


def _unlocked(path: Path, output: Path, sql: str) -> tuple[float, float]:
    """Return the same of a plain process."""
    started_s = time.perf_counter()
    command = [sys.executable, str(_PLAIN), str(path), str(output), str(_MEMORY_BYTES), sql]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PATIENCE_S, check=True)
    elapsed_s = time.perf_counter() - started_s
    output.unlink()
    run_s = float(done.stdout)
    return elapsed_s - run_s, run_s


def _orders(folder: Path, rows: int) -> Path:
    import duckdb

    path = folder / "orders.parquet"
    columns = (
        "range AS id, (hash(range) % 1_000)::INTEGER AS shop, (hash(range + 1) % 100)::INTEGER AS quantity, "
        "(hash(range + 2) % 100_000) / 100 AS price, TIMESTAMP '2025-01-01' + INTERVAL (range) SECOND AS day"
    )
    duckdb.execute(f"COPY (SELECT {columns} FROM range({rows})) TO '{path}' (FORMAT parquet)")
    return path
