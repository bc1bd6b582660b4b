"""What is taken from a footer, and that Iceberg's readers skip files by it rightly."""

import datetime as dt
import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.conversions import from_bytes

from penstock.core.columns import Column
from penstock.core.errors import FileRefused, RowsOutside
from penstock.storage.tables.catalog import partition_spec
from penstock.storage.tables.data_files import data_file
from penstock.storage.tables.footers import read_footer
from penstock.storage.tables.manifests import partition_values
from penstock.storage.tables.types import arrow_schema, iceberg_schema, iceberg_type

UTC = dt.UTC
NAIVE = dt.datetime(1960, 1, 1, 0, 0, 0, 1, tzinfo=UTC).replace(tzinfo=None)
VALUES: dict[str, list[Any]] = {
    "boolean": [False, True],
    "int": [-5, 7],
    "long": [-(2**40), 2**40],
    "float": [-0.5, 2.5],
    "double": [-1e300, 1e300],
    "date": [dt.date(1969, 12, 31), dt.date(2024, 2, 29)],
    "timestamp": [NAIVE, NAIVE + dt.timedelta(days=20_000)],
    "timestamptz": [dt.datetime(1960, 1, 1, tzinfo=UTC), dt.datetime(2024, 1, 1, tzinfo=UTC)],
    "string": ["a", "b"],
}


def written(folder, columns, data, *, schema=None, **options):
    path = folder / "x.parquet"
    pq.write_table(pa.table(data, schema=schema or arrow_schema(columns)), path, **options)
    return read_footer(path), path


def bound(file, column, which):
    kind: Any = iceberg_type(column.type)
    return from_bytes(kind, getattr(file, which)[column.id])


@pytest.mark.parametrize("kind", VALUES)
def test_bounds_are_the_lowest_and_the_highest_of_all_row_groups(tmp_path, kind):
    column = Column("x", kind, 3)
    low, high = VALUES[kind]
    facts, path = written(tmp_path, [column], {"x": [high, None, low, None, None, None]}, row_group_size=1)
    assert (facts.facts[3].values, facts.facts[3].nulls) == (6, 4)
    spec = partition_spec(iceberg_schema([column], schema_id=0), ())
    file = data_file(str(path), facts, [column], spec)
    plain = {"date": days, "timestamp": micros, "timestamptz": micros}.get(kind, lambda value: value)
    assert bound(file, column, "lower_bounds") == plain(low)
    assert bound(file, column, "upper_bounds") == plain(high)
    assert (file.value_counts[3], file.null_value_counts[3], file.record_count) == (6, 4, 6)


def days(value):
    return (value - dt.date(1970, 1, 1)).days


def micros(value):
    since = value.replace(tzinfo=UTC) - dt.datetime(1970, 1, 1, tzinfo=UTC)
    return since // dt.timedelta(microseconds=1)


@pytest.mark.parametrize("text", ["x" * 40, "z" + "\U0010ffff" * 30, "\ud7ff" * 20, "é" * 17])
def test_a_long_text_is_bounded_by_a_short_one_that_none_exceeds(tmp_path, text):
    column = Column("x", "string", 1)
    facts, path = written(tmp_path, [column], {"x": ["a" * 40, text]})
    file = data_file(str(path), facts, [column], partition_spec(iceberg_schema([column], schema_id=0), ()))
    assert bound(file, column, "lower_bounds") == "a" * 16
    high = bound(file, column, "upper_bounds")
    assert high > text
    assert len(high) <= 16


def test_a_file_of_a_narrower_type_has_bounds_of_the_table_s_type(tmp_path):
    facts, path = written(tmp_path, [Column("x", "int", 1)], {"x": [1, 2]})
    wide = Column("x", "long", 1)
    file = data_file(str(path), facts, [wide], partition_spec(iceberg_schema([wide], schema_id=0), ()))
    assert bound(file, wide, "upper_bounds") == 2


def test_what_is_no_number_is_no_bound(tmp_path):
    column = Column("x", "double", 1)
    facts, path = written(tmp_path, [column], {"x": [math.nan, math.nan]})
    file = data_file(str(path), facts, [column], partition_spec(iceberg_schema([column], schema_id=0), ()))
    assert file.upper_bounds in (None, {})


def partition_of(folder, values, **options):
    column = Column("x", "string", 1)
    facts, path = written(folder, [column], {"x": values}, **options)
    spec = partition_spec(iceberg_schema([column], schema_id=0), ("x",))
    return partition_values(data_file(str(path), facts, [column], spec))


def test_the_partition_of_a_file_is_what_all_its_rows_have(tmp_path):
    assert partition_of(tmp_path, ["a", "a"]) == ("a",)
    assert partition_of(tmp_path, [None, None]) == (None,)
    for values in (["a", "b"], ["a", None]):
        with pytest.raises(RowsOutside, match="more than one partition: x has"):
            partition_of(tmp_path, values)


def test_a_file_that_does_not_tell_its_partition_is_refused(tmp_path):
    for values, options in ((["a"], {"write_statistics": False}), (["x" * 64], {})):
        with pytest.raises(FileRefused, match="nothing is known of the values of 'x'"):
            partition_of(tmp_path, values, **options)


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ms"), pa.uint32(), pa.float16()])
def test_a_type_without_a_place_in_a_table_is_refused(tmp_path, kind):
    schema = pa.schema([pa.field("x", kind, metadata={"PARQUET:field_id": "1"})])
    with pytest.raises(Exception, match="'x'"):
        written(tmp_path, (), {"x": pa.array([None], kind)}, schema=schema)
