"""Lakes for tests: opened on either catalog and either warehouse, written to and read by small rows."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.core import duckdb_sql
from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId, TaskName
from penstock.core.tables import Author, Partition, Reading, SnapshotId, TableName, WriteOrder, Written
from penstock.database.opening import SqlDatabase
from penstock.storage.tables.catalog import Catalog
from penstock.storage.tables.lake import IcebergLake
from penstock.storage.tables.types import arrow_schema, columns_of_arrow

WORKSPACE = WorkspaceId("ws_1")
ORDERS = TableName("staging.orders")
D1 = dt.date(2024, 1, 1)
Row = Mapping[str, Any]

_numbers = itertools.count()


@dataclass(slots=True)
class Clock:
    """A clock that is moved by hand."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Harness:
    """A lake, and what a test needs around it."""

    lake: IcebergLake
    folder: Path
    clock: Clock = field(default_factory=Clock)

    def write(
        self,
        run: str,
        rows: Sequence[Row] | pa.Table,
        *,
        table: TableName = ORDERS,
        mode: Any = "append",
        days: Sequence[dt.date] | None = None,
        by: tuple[str, ...] = (),
        schema: pa.Schema | None = None,
        publish: bool = False,
        **of_author: str,
    ) -> Written | SnapshotId:
        """Begin a write, write the rows as files for each partition, commit them."""
        data = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=schema)
        partitions: tuple[Partition, ...] = tuple((day,) for day in days or ())
        if days is not None:
            mode, by = "replace_partitions", ("day",)
        writing = self.lake.begin(
            order(run, columns_of_arrow(data.schema), table=table, mode=mode, by=by, partitions=partitions, **of_author)
        )
        written: Written | SnapshotId
        if writing.done is None:
            written = self.lake.commit(writing, files(self.folder, data, writing.columns, by))
        else:
            written = writing.done
        if publish:
            self.lake.publish(WORKSPACE, RunId(run))
        return written

    def rows(self, table: TableName = ORDERS, *, at: SnapshotId | None = None, **options: Any) -> list[tuple[Any, ...]]:
        """Return what a reader sees, sorted."""
        return read_rows(self.lake.read(WORKSPACE, table, at=at, **options))


def order(run: str, columns: Any, *, table: TableName = ORDERS, by: tuple[str, ...] = (), **options: Any) -> WriteOrder:
    """Return an order of the task that writes the table."""
    names = {"project", "task", "fingerprint", "part", "version"}
    of_author = {name: options.pop(name) for name in names & options.keys()}
    author = {"project": "shop", "task": TaskName(f"write_{table}"), "fingerprint": "f1", **of_author}
    return WriteOrder(
        workspace=WORKSPACE,
        table=table,
        author=Author(run=RunId(run), **author),
        columns=columns,
        partition_by=by,
        **{"mode": "append", **options},
    )


def files(folder: Path, data: pa.Table, columns: Any, by: tuple[str, ...] = ()) -> list[Path]:
    """Write rows as an engine does: one file a partition, with field ids."""
    ids = {column.name: column for column in columns}
    schema = arrow_schema([ids[name] for name in data.schema.names])
    mine = [data.schema.field(name).type for name in schema.names]  # which may be narrower than the table's
    fields = [
        one if pa.types.is_nested(one.type) else pa.field(one.name, kind, metadata=one.metadata)
        for one, kind in zip(schema, mine, strict=True)
    ]
    schema = pa.schema(fields)
    groups = [data]
    if by:
        values = data.select(list(by)).to_pylist()
        keys = dict.fromkeys(tuple(value.values()) for value in values)
        groups = [data.filter(pa.array([tuple(value.values()) == key for value in values])) for key in keys]
    paths = []
    for group in groups:
        path = folder / f"{next(_numbers)}.parquet"
        pq.write_table(group.cast(schema), path)
        paths.append(path)
    return paths


def read_rows(reading: Reading) -> list[tuple[Any, ...]]:
    """Return the rows of a reading by DuckDB, sorted; moments are naive, in UTC."""
    names = [(duckdb_sql.quoted(column.name), column.type) for column in reading.columns]
    picked = ", ".join(f"timezone('UTC', {name})" if kind == "timestamptz" else name for name, kind in names)
    with duckdb.connect() as database:
        found = database.execute(f"SELECT {picked} FROM {duckdb_sql.scan(reading)}").fetchall()
    return sorted(found, key=repr)


@contextlib.contextmanager
def open_lake(
    database: SqlDatabase,
    folder: Path,
    *,
    catalog_url: str = "",
    warehouse: str = "",
    s3: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    lease_s: float = 15,
    step: Callable[[str], None] = lambda _step: None,
) -> Iterator[Harness]:
    """Open a lake, in a folder when nothing else is said."""
    folder.mkdir(exist_ok=True)
    clock = clock or Clock()
    url = catalog_url or f"sqlite:///{folder / 'catalog.db'}"
    catalog = Catalog(url, warehouse or str(folder / "warehouse"), s3=s3)
    written = folder / "written"
    written.mkdir(exist_ok=True)
    with contextlib.closing(catalog):
        yield Harness(IcebergLake(database, catalog, clock, lease_s=lease_s, step=step), written, clock)


def numbers(*ids: int, day: dt.date = D1) -> list[dict[str, Any]]:
    """Return rows that are told apart by a number."""
    return [{"id": number, "day": day} for number in ids]


def ids(rows: Sequence[tuple[Any, ...]]) -> list[int]:
    """Return the numbers of rows that were read."""
    return sorted(row[0] for row in rows)


def main_of(harness: Harness, name: TableName = ORDERS) -> tuple[Any, pa.Table]:
    """Return what other programs see: Iceberg's own reader on `main`."""
    table: Any = harness.lake._parts.catalog.load(WORKSPACE, name)
    return table, table.scan().to_arrow()


def empty(*names_and_types: tuple[str, pa.DataType]) -> pa.Table:
    """Return no rows of some columns."""
    return pa.table({name: pa.array([], kind) for name, kind in names_and_types})


NOTHING = empty(("id", pa.int64()), ("day", pa.date32()))
