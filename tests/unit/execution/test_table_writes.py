"""What an engine says of a query is not believed: it ran somebody's code."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from penstock.core.columns import Column, ListType, MapType, StructType
from penstock.core.errors import Bug, SchemaRefused
from penstock.core.ports import TableWrite
from penstock.core.tables import TableName, Writing
from penstock.execution.table_writes import QueryColumns, literal, order_of, query_columns, query_files

WRITE = TableWrite(TableName("marts.totals"), "append")
STAGING = Path("/lake/attempts/run_1/staging")


def columns_of(said, *, known=()):
    answer = {"columns": [["a", said]], "problems": [], "added": []}
    return query_columns(lambda _: answer, "SELECT 1", WRITE, known).columns


def files_of(path):
    columns = (Column("a", "long", 1),)
    order = order_of(WRITE, columns=columns, workspace="ws_1", author=None)
    found = QueryColumns(columns, frozenset())
    answer = {"files": [[path, 3, {}]]}
    return query_files(lambda _: answer, WRITE, found, Writing(order, columns, None), staging=STAGING)


def test_types_are_understood_however_deep():
    nested = {"struct": [["x", {"list": {"map": ["string", "decimal(12, 2)"]}}]]}
    inner = MapType(Column("key", "string"), Column("value", "decimal(12, 2)"))
    assert columns_of(nested) == (Column("a", StructType((Column("x", ListType(Column("element", inner))),))),)


def test_a_column_without_values_has_the_type_of_the_table():
    assert columns_of("null", known=[Column("a", "double", 4)]) == (Column("a", "double"),)


@pytest.mark.parametrize(
    "said",
    [
        "LONG",
        "decimal(999, 2)",
        "long); DROP",
        7,
        None,
        ["long"],
        {"list": "nothing"},
        {"list": "null"},
        {"map": ["long"]},
    ],
)
def test_a_type_that_there_is_not_is_a_bug_and_no_type(said):
    with pytest.raises(Bug):
        columns_of(said)


def test_a_type_that_is_nested_without_end_is_not_followed():
    said: Any = "long"
    for _ in range(100):
        said = {"list": said}
    with pytest.raises(Bug, match="nested too deeply"):
        columns_of(said)


@pytest.mark.parametrize(
    "path",
    [
        "/lake/warehouse/ws_2/orders/data/1.parquet",
        "/lake/attempts/run_1/staging/../../../warehouse/1.parquet",
        "rows.parquet",
        "/lake/attempts/run_1/staging-2/rows.parquet",
    ],
)
def test_a_file_outside_of_the_staging_folder_is_never_taken(path):
    with pytest.raises(Bug, match="outside of its staging folder"):
        files_of(path)


def test_a_file_of_the_staging_folder_is_taken():
    assert files_of(f"{STAGING}/rows/a=1/data_0.parquet") == [(STAGING / "rows/a=1/data_0.parquet", 3)]


def test_a_column_that_would_be_added_must_have_that_type_where_the_rows_have_it():
    write = TableWrite(TableName("a.b"), "append", added=((Column("_date", "date"), dt.date(2026, 1, 2)),))
    answer = {"columns": [["_date", "string"]], "problems": [], "added": []}
    with pytest.raises(SchemaRefused, match="'_date': it is string, and has to be date"):
        query_columns(lambda _: answer, "SELECT 1", write, [])


@pytest.mark.parametrize(
    ("value", "kind", "sql"),
    [
        ("it's", "string", "CAST('it''s' AS VARCHAR)"),
        (dt.date(2026, 1, 2), "date", "CAST('2026-01-02' AS DATE)"),
        (True, "boolean", "CAST('true' AS BOOLEAN)"),
        (7, "long", "CAST('7' AS BIGINT)"),
        (None, "timestamptz", "CAST(NULL AS TIMESTAMPTZ)"),
    ],
)
def test_values_that_are_added_are_literals_of_their_type(value, kind, sql):
    assert literal(value, kind) == sql
