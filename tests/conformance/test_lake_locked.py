"""The lake as a server has it: engines, footers and upkeep in locked children; nothing of a table is touched here."""

import contextlib
import datetime as dt

import pytest

from penstock.core import duckdb_sql, limits
from penstock.core.columns import Column
from penstock.core.engines import EngineAnswer, EngineRequest
from penstock.core.errors import FileRefused, RowsOutside
from penstock.core.plan import RunId
from penstock.core.tables import TableName
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.tables import footers
from penstock.wiring.lake import open_lake
from tests.lakes import ORDERS, WORKSPACE, Clock, Harness, ids, order, read_rows

DAY = dt.date(2024, 1, 1)
COLUMNS = (Column("id", "long"), Column("day", "date"))
TOTALS = TableName("marts.totals")


@pytest.fixture(scope="module")
def locked():
    with contextlib.closing(StrictSandbox()) as strict:
        yield strict, HeavySandbox()


@pytest.fixture
def lake(locked, tmp_path, fresh_database, monkeypatch):
    """A lake whose process never parses a footer."""
    monkeypatch.setattr(footers, "pq", None)
    strict, heavy = locked
    clock, written = Clock(), tmp_path / "written"
    written.mkdir()
    with open_lake(fresh_database("sqlite"), clock, strict=strict, heavy=heavy, home=tmp_path) as opened:
        yield Harness(opened, written, clock), heavy


def run_sql(harness, heavy, run, sql, columns, *, reads=(), name="out.parquet", **options):
    """Run a query in a locked child and publish what it has written."""
    writing = harness.lake.begin(order(run, columns, **options))
    tables = {reading.table: {"relation": duckdb_sql.relation(reading)} for reading in reads}
    paths = [file.path for reading in reads for file in reading.files]
    folder = harness.folder / run
    folder.mkdir(mode=0o700)
    output = {"name": name, "options": [f"FIELD_IDS {duckdb_sql.field_ids(writing.columns)}"]}
    ask = {"tables": tables, "sql": sql, "output": output, "readable": paths}
    ended = heavy.run(EngineRequest(profile="sql", ask=ask, reads=paths, writes=str(folder)))
    assert isinstance(ended, EngineAnswer), ended
    harness.lake.commit(writing, [folder / name])
    return harness.lake.publish(WORKSPACE, RunId(run))[0].snapshot


def test_a_query_reads_a_snapshot_and_writes_the_next_table_in_locked_children(lake):
    harness, heavy = lake
    made = f"SELECT i::BIGINT AS id, DATE '{DAY}' AS day FROM range(5) t(i)"
    first = run_sql(
        harness, heavy, "run_1", made, COLUMNS, by=("day",), mode="replace_partitions", partitions=((DAY,),)
    )
    reading = harness.lake.read(WORKSPACE, ORDERS, at=first)
    sql = 'SELECT sum(id)::BIGINT AS total FROM "staging"."orders"'
    run_sql(
        harness, heavy, "run_2", sql, (Column("total", "long"),), reads=[reading], table=TOTALS, inputs={ORDERS: first}
    )
    assert read_rows(harness.lake.read(WORKSPACE, TOTALS)) == [(10,)]
    made = f"SELECT 1::BIGINT AS id, DATE '{DAY}' + 1 AS day"
    with pytest.raises(RowsOutside):
        run_sql(harness, heavy, "run_3", made, COLUMNS, by=("day",), mode="replace_partitions", partitions=((DAY,),))


def test_upkeep_happens_in_locked_children(lake):
    harness, heavy = lake
    for number in range(limits.COMPACT_FROM.value):
        run_sql(harness, heavy, f"run_{number}", f"SELECT {number}::BIGINT AS id, DATE '{DAY}' AS day", COLUMNS)
    assert harness.lake.maintain(WORKSPACE, ORDERS).files_after == 1
    reading = harness.lake.read(WORKSPACE, ORDERS)
    assert ids(read_rows(reading)) == list(range(limits.COMPACT_FROM.value))
    assert [column.id for column in reading.columns] == [1, 2]


def test_a_link_that_an_engine_might_have_left_is_not_followed(lake, tmp_path):
    harness, _ = lake
    writing = harness.lake.begin(order("run_1", COLUMNS))
    (harness.folder / "out.parquet").symlink_to(tmp_path / "another workspace's.parquet")
    with pytest.raises(FileRefused, match="is a link"):
        harness.lake.commit(writing, [harness.folder / "out.parquet"])
