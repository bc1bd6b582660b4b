"""Files of a table are read as the table is now: by ids, widened, null where a file does not have a column."""

import datetime as dt
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock_guest.reading.blocks import Run
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.parquet import cut_parquet

NUMBER = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def field(name, kind, number):
    return pa.field(name, kind, metadata={"PARQUET:field_id": str(number)})


def file_of(*columns):
    schema = pa.schema([field(name, kind, number) for name, kind, number, _ in columns])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table([pa.array(values, kind) for _, kind, _, values in columns], schema=schema), sink)
    return sink.getvalue().to_pybytes()


def taken(whole, wanted, *, as_arrow):
    cutter = cut_parquet(whole, records_max=10, bytes_max=2**20, as_arrow=as_arrow, columns=wanted)
    run = cutter.take(10, 2**20)
    assert isinstance(run, Run)
    return run.text


def table(whole, wanted):
    return pa.ipc.open_stream(taken(whole, wanted, as_arrow=True)).read_all()


def test_columns_are_found_by_id_in_the_order_of_the_table():
    whole = file_of(("old_name", pa.int32(), 7, [1, None]), ("gone", pa.string(), 8, ["x", "y"]))
    found = table(whole, [(9, "new", "string"), (7, "name", "long")])
    assert found.schema.names == ["new", "name"]
    assert found.schema.field("name").type == pa.int64()
    assert found.to_pylist() == [{"new": None, "name": 1}, {"new": None, "name": None}]


def test_a_column_of_the_same_name_and_another_id_is_another():
    whole = file_of(("a", pa.string(), 1, ["dropped"]))
    assert table(whole, [(2, "a", "string")]).to_pylist() == [{"a": None}]


@pytest.mark.parametrize(
    ("kind", "wanted", "values", "shown"),
    [
        (pa.float32(), "double", [1.5], [1.5]),
        (pa.decimal128(4, 2), "decimal(9, 2)", [None], [None]),
        (pa.date32(), "date", [dt.date(2026, 1, 2)], [dt.date(2026, 1, 2)]),
        (pa.binary(16), "uuid", [NUMBER.bytes, None], [str(NUMBER), None]),
        (pa.binary(3), "fixed[3]", [b"abc"], [b"abc"]),
        (pa.list_(pa.struct([("x", pa.int32())])), {"list": {"struct": [["x", "int"]]}}, [[{"x": 1}]], [[{"x": 1}]]),
    ],
)
def test_types_are_those_of_the_table(kind, wanted, values, shown):
    assert table(file_of(("a", kind, 1, values)), [(1, "a", wanted)])["a"].to_pylist() == shown


@pytest.mark.parametrize(
    "wanted",
    ["timestamptz", "time", "boolean", {"map": ["string", {"list": "long"}]}, {"struct": [["a", "decimal(3, 1)"]]}],
)
def test_a_column_that_a_file_does_not_have_is_null_whatever_its_type(wanted):
    assert table(file_of(("a", pa.int64(), 1, [1])), [(1, "a", "long"), (2, "b", wanted)])["b"].to_pylist() == [None]


def test_records_have_the_same_fields():
    whole = file_of(("a", pa.int32(), 1, [1]))
    assert taken(whole, [(1, "a", "long"), (2, "b", "string")], as_arrow=False) == b'{"a":1,"b":null}\n'


def test_a_value_that_the_type_of_the_table_cannot_hold_is_damage():
    with pytest.raises(InputError) as caught:
        table(file_of(("a", pa.int64(), 1, [2**40])), [(1, "a", "int")])
    assert caught.value.code == "input_damaged"
