"""SQL for DuckDB is right whatever names hold, and DuckDB takes it."""

import datetime as dt
from decimal import Decimal

import duckdb
import pytest

from penstock.core import duckdb_sql
from penstock.core.columns import Column, ListType, MapType, StructType, with_ids
from penstock.core.tables import DataFile, Reading, SnapshotId, TableName

KINDS = {
    "boolean": True,
    "int": 1,
    "long": 2**40,
    "float": 0.5,
    "double": 0.25,
    "decimal(10, 2)": Decimal("1.50"),
    "date": dt.date(2024, 2, 29),
    "time": dt.time(1, 2, 3),
    "timestamp": dt.datetime(2024, 1, 1, 2, 3, 4, 5, tzinfo=dt.UTC).replace(tzinfo=None),
    "string": 'it\'s "so"',
    "binary": b"\x00\xff",
}


def reading(columns, *paths):
    files = tuple(DataFile(str(path), 1, 1) for path in paths)
    return Reading(TableName("raw.x"), SnapshotId(1), tuple(columns), files)


def test_what_is_written_is_read_with_every_type(tmp_path):
    nested = StructType((Column("a", "long"), Column('odd "name"', ListType(Column("element", "string")))))
    wanted = [Column(f"c'{kind}\" -- ", kind) for kind in KINDS]
    wanted += [Column("nested", nested), Column("m", MapType(Column("key", "string"), Column("value", "double")))]
    columns = with_ids((), wanted, last_id=40)
    path = tmp_path / "it's.parquet"
    values = [*KINDS.values(), {"a": 1, 'odd "name"': ["x", None]}, {"k": 0.5}]
    casts = ", ".join(
        f"CAST(? AS {duckdb_sql.sql_type(column.type)}) AS {duckdb_sql.quoted(column.name)}" for column in columns
    )
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE t AS SELECT {casts}", values)
        database.execute(duckdb_sql.copy("SELECT * FROM t", str(path), columns))
        found = database.execute(f"SELECT * FROM {duckdb_sql.scan(reading(columns, path))}")
        assert [one[0] for one in found.description] == [column.name for column in columns]
        assert found.fetchall() == [tuple(values)]


def test_columns_are_found_by_their_ids_and_widened(tmp_path):
    path = tmp_path / "x.parquet"
    written = [Column("a", "int", 1), Column("b", "string", 2)]
    with duckdb.connect() as database:
        database.execute(duckdb_sql.copy("SELECT 1::INT AS a, 'x' AS b", str(path), written))
        columns = [Column("b", "long", 1), Column("new", "double", 3)]
        found = database.execute(f"SELECT *, typeof(b) FROM {duckdb_sql.scan(reading(columns, path))}").fetchall()
    assert found == [(1, None, "BIGINT")]


def test_a_snapshot_without_files_has_columns_and_no_rows():
    columns = [Column("a", "long", 1), Column('"', ListType(Column("element", "date", 3)), 2)]
    with duckdb.connect() as database:
        found = database.execute(f"SELECT * FROM {duckdb_sql.scan(reading(columns))}")
        assert [one[0] for one in found.description] == ["a", '"']
        assert found.fetchall() == []


@pytest.mark.parametrize("name", ['a"; DROP TABLE x; --', "'", "\\", "a b", "ünï", "SELECT"])
def test_a_name_is_a_name(name):
    with duckdb.connect() as database:
        assert database.execute(f"SELECT 1 AS {duckdb_sql.quoted(name)}").description[0][0] == name
        assert database.execute(f"SELECT {duckdb_sql.text(name)}").fetchall() == [(name,)]
