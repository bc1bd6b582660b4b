"""Writes to the lake, from rows in memory to what readers see: begin, Parquet file, commit to a branch, publish.

As a server has it: a locked child reads each file's footer. 1 M rows of six columns: five rounds, beside writing the
same Parquet file alone. 1,000 rows: 60 commits to one table in turn with `append` of pyiceberg on a catalog of its
own, which has no branch, no journal and leaves it to the operating system when its bytes come to the disk; ours are
there when a commit returns. A year of nights: 305 commits, each of a day's partition of 1,800 rows, published one by
one, snapshots expiring on the way; and the same as parts of one run, published at the end.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s, median
from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId, TaskName
from penstock.core.tables import Author, TableName, WriteMode, WriteOrder

NUMBER: Final = 40
TITLE: Final = "lake: append, commit, a year of nights"
_WORKSPACE: Final = WorkspaceId("ws_bench")
_FIRST: Final = dt.date(2024, 1, 1)


def measure(*, quick: bool) -> list[Figure]:
    """Return what writing to the lake costs beside the bare parts of it."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, _lake(Path(name)) as lake:
        folder = Path(name)
        return [
            *_append(lake, folder, rows=10_000 if quick else 1_000_000, rounds=1 if quick else 5),
            *_commits(lake, folder, times=4 if quick else 60),
            *_nights(lake, folder, days=6 if quick else 305, window=2 if quick else 30),
            *_parts(lake, folder, days=6 if quick else 305, window=2 if quick else 30),
        ]


def _append(lake: Any, folder: Path, *, rows: int, rounds: int) -> list[Figure]:
    data = _rows(rows)
    plain, ours = [], []
    for turn in range(rounds):
        plain.append(elapsed_s(partial(_write, data, folder / f"plain-{turn}.parquet")))
        started_s = time.perf_counter()
        _publish(lake, folder, f"run_big_{turn}", "raw.big", data)
        ours.append(time.perf_counter() - started_s)
    how = f"{number(median(ours) * 1e3)} ms / {number(median(plain) * 1e3)} ms"
    return [
        Figure(f"append of {rows:,} rows / writing the Parquet file", median(ours) / median(plain), "x", how, at_most=2)
    ]


def _commits(lake: Any, folder: Path, *, times: int) -> list[Figure]:
    data = _rows(1_000)
    bare, ours, publishing = [], [], []
    with _bare_table(folder / "bare", data.schema) as table:
        for turn in range(times):
            bare.append(elapsed_s(lambda: table.append(data)))
            started_s = time.perf_counter()
            published_s = _publish(lake, folder, f"run_small_{turn}", "raw.small", data)
            ours.append(time.perf_counter() - started_s)
            publishing.append(published_s)
    how = f"{number(median(ours) * 1e3)} ms / {number(median(bare) * 1e3)} ms"
    return [
        Figure(
            "commit of 1,000 rows, published / pyiceberg's append", median(ours) / median(bare), "x", how, at_most=1.5
        ),
        Figure("of that, publishing", median(publishing) * 1e3, "ms"),
    ]


def _nights(lake: Any, folder: Path, *, days: int, window: int) -> list[Figure]:
    taken_s = []
    for day_number in range(days):
        data = _rows(1_800, day=_FIRST + dt.timedelta(days=day_number))
        started_s = time.perf_counter()
        _publish(lake, folder, f"run_night_{day_number}", "staging.nights", data, mode="replace_partitions")
        taken_s.append(time.perf_counter() - started_s)
    first, last = median(taken_s[:window]), median(taken_s[-window:])
    how = f"{number(last * 1e3)} ms / {number(first * 1e3)} ms, {number(sum(taken_s))} s together"
    return [
        Figure(f"{days} nights: median of the last {window} / the first {window}", last / first, "x", how, at_most=1.5)
    ]


def _parts(lake: Any, folder: Path, *, days: int, window: int) -> list[Figure]:
    taken_s = []
    for number_of_day in range(days):
        data = _rows(1_800, day=_FIRST + dt.timedelta(days=number_of_day))
        started_s = time.perf_counter()
        _write_part(lake, folder, "run_year", "staging.year", data, mode="replace_partitions", part=str(number_of_day))
        taken_s.append(time.perf_counter() - started_s)
    lake.publish(_WORKSPACE, RunId("run_year"))
    first, last = median(taken_s[:window]), median(taken_s[-window:])
    how = f"{number(last * 1e3)} ms / {number(first * 1e3)} ms, {number(sum(taken_s))} s together"
    return [Figure(f"{days} parts of one back-fill, likewise", last / first, "x", how, at_most=1.5)]


def _publish(lake: Any, folder: Path, run: str, table: str, data: Any, *, mode: WriteMode = "append") -> float:
    """Write rows and publish them; return how long publishing took, in seconds."""
    _write_part(lake, folder, run, table, data, mode=mode)
    return elapsed_s(lambda: lake.publish(_WORKSPACE, RunId(run)))


def _write_part(lake: Any, folder: Path, run: str, table: str, data: Any, *, mode: WriteMode, part: str = "") -> None:
    """Begin a write, write the Parquet file, commit it to the run's branch."""
    from penstock.storage.tables.types import arrow_schema, columns_of_arrow

    nightly = mode == "replace_partitions"
    writing = lake.begin(
        WriteOrder(
            workspace=_WORKSPACE,
            table=TableName(table),
            author=Author(RunId(run), "bench", TaskName(table), "f1", part),
            columns=columns_of_arrow(data.schema),
            mode=mode,
            partition_by=("day",) if nightly else (),
            partitions=((data["day"][0].as_py(),),) if nightly else (),
        )
    )
    path = folder / f"{run}-{part}.parquet"
    _write(data.cast(arrow_schema(writing.columns)), path)
    lake.commit(writing, [path])


def _rows(count: int, *, day: dt.date = _FIRST) -> Any:
    import numpy as np
    import pyarrow as pa

    numbers = np.arange(count)
    return pa.table(
        {
            "id": numbers,
            "customer": numbers * 7_919 % 100_003,
            "amount": (numbers % 9_973) / 100,
            "sku": pa.array([f"sku-{n % 4_070}" for n in range(count)]),
            "at": pa.array(numbers * 1_000_000 + 1_700_000_000_000_000, pa.timestamp("us", tz="UTC")),
            "day": pa.array([day] * count, pa.date32()),
        }
    )


def _write(data: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(data, path, compression="zstd")


@contextlib.contextmanager
def _lake(folder: Path) -> Iterator[Any]:
    from penstock.database.opening import open_database
    from penstock.database.versioning import upgrade
    from penstock.sandbox.heavy import HeavySandbox
    from penstock.sandbox.strict import StrictSandbox
    from penstock.wiring.lake import open_lake

    with contextlib.ExitStack() as stack:
        database = stack.enter_context(contextlib.closing(open_database(f"sqlite:///{folder / 'records.db'}")))
        upgrade(database)
        strict = stack.enter_context(contextlib.closing(StrictSandbox()))
        yield stack.enter_context(open_lake(database, time.time, strict=strict, heavy=HeavySandbox(), home=folder))


@contextlib.contextmanager
def _bare_table(folder: Path, schema: Any) -> Iterator[Any]:
    from pyiceberg.catalog.sql import SqlCatalog

    folder.mkdir()
    catalog = SqlCatalog("bare", uri=f"sqlite:///{folder / 'catalog.db'}", warehouse=str(folder))
    try:
        catalog.create_namespace("bench")
        yield catalog.create_table("bench.small", schema=schema)
    finally:
        catalog.engine.dispose()
        shutil.rmtree(folder)
