"""Ingest of 100,000 orders from an HTTP API on loopback, in pages of 1,000, into a published table of the lake.

Ours: an attempt of the task, with pages parsed in locked children, types found out, audit columns, hashes, the commit
and the publication. Beside it: the loop that anybody would write with httpx and pyarrow, whose Parquet file nobody
published. In turn, five rounds; the median counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.figures import Figure, number
from benchmarks.rest_source import serving
from benchmarks.timing import median

NUMBER: Final = 46
TITLE: Final = "REST: ingest of 100,000 rows"
_PLAIN: Final = Path(__file__).parents[1] / "peers" / "plain_rest.py"
_PATIENCE_S: Final = 120
_PAGE: Final = 1_000


def measure(*, quick: bool) -> list[Figure]:
    """Return what an ingest costs beside the plain loop."""
    records, rounds = (5_000, 1) if quick else (100_000, 5)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, serving(records=records, page=_PAGE) as url:
        plain, ours = [], []
        with _Ingest(Path(name), url) as ingest:
            for turn in range(rounds + 1):
                plain_s, ours_s = _loop(url, Path(name, f"{turn}.parquet")), ingest.run(turn, records)
                if turn or quick:  # the first one warms the caches
                    plain.append(plain_s)
                    ours.append(ours_s)
    how = f"{number(median(ours) * 1e3)} ms / {number(median(plain) * 1e3)} ms"
    rate = f"{number(records / median(ours))} rows a second"
    return [
        Figure("ingest / a loop of httpx and pyarrow", median(ours) / median(plain), "x", how, at_most=1.5),
        Figure("ingest", median(ours) * 1e3, "ms", rate),
    ]


def _loop(url: str, path: Path) -> float:
    ran = subprocess.run(
        [sys.executable, str(_PLAIN), url, str(path)], check=True, capture_output=True, text=True, timeout=_PATIENCE_S
    )
    return float(ran.stdout)


class _Ingest:
    """Attempts of ingest tasks of a project without a server."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        task = "{ connection: shop, path: orders, records_at: orders, pages: { kind: page, size: 1000 } }"
        tasks = "".join(
            f"  land_{turn}: {{ kind: ingest, from: {task}, to: raw.orders_{turn} }}\n" for turn in range(9)
        )
        self._files = {
            "penstock.yml": f"name: bench\nconnections: {{ shop: {{ kind: rest, url: '{url}' }} }}\n".encode(),
            "pipelines/main.yml": f"tasks:\n{tasks}".encode(),
        }

    def __enter__(self) -> Self:
        from penstock.wiring.local import open_local

        self._opened = open_local(self._folder)
        self._local = self._opened.__enter__()
        self._project = self._local.use(self._files)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.__exit__(None, None, None)

    def run(self, turn: int, records: int) -> float:
        """Carry out one attempt, each of a table of its own, and return how long that took."""
        from penstock.core.plan import RunId, TaskName
        from penstock.core.ports import Occurrence
        from penstock.execution.task_context import TaskContext
        from penstock.wiring.local import LOCAL

        attempts: Any = self._local.attempts
        name = TaskName(f"land_{turn}")
        task = self._project.pipelines["main"].tasks[name]  # type: ignore[index]  # a name by itself
        occurrence = Occurrence(RunId(f"run_{turn}"), LOCAL, "bench", "main", name, time.time(), f"f{turn}")
        started_s = time.perf_counter()
        with TaskContext(attempts.parts, occurrence, self._project, self._folder / f"attempt-{turn}") as ctx:
            report = attempts.kinds[task.kind].run(task.spec, ctx)
        assert report["rows"] == records, report
        return time.perf_counter() - started_s
