"""Records as tables: every name is a column, every column has one type."""

import pyarrow as pa
import pytest

from penstock_guest.reading.columns import table_of


def test_every_name_in_any_record_is_a_column():
    table = table_of([{"a": 1}, {"b": "x", "a": None}, {}])
    assert table.to_pydict() == {"a": [1, None, None], "b": [None, "x", None]}


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None], pa.int64(), [1, None]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([2**53 + 1, 0.5], pa.string(), ["9007199254740993", "0.5"]),
        ([1, "x"], pa.string(), ["1", "x"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([2**70], pa.string(), ["1180591620717411303424"]),
        ([[1], {"a": 1}], pa.string(), ["[1]", '{"a":1}']),
        ([[1], [2, None]], pa.list_(pa.int64()), [[1], [2, None]]),
        ([None], pa.null(), [None]),
    ],
)
def test_a_column_has_the_type_its_values_share_or_is_text(values, kind, expected):
    column = table_of([{"v": value} for value in values])["v"]
    assert (column.type, column.to_pylist()) == (kind, expected)


def test_records_of_csv_are_text_even_where_nothing_stands():
    assert table_of([{"a": "1", "b": None}], as_text=True).schema.types == [pa.string(), pa.string()]


def test_no_records_are_a_table_without_columns():
    assert table_of([]).shape == (0, 0)
