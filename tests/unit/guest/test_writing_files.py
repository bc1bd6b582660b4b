"""Writing files from spools: columns are the union of all records', and nothing is lost on the way."""

import csv
import io
import json
import struct
from decimal import Decimal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock_guest.writing.parquet
import penstock_guest.writing.streams  # noqa: F401  # a profile loads it
from penstock_guest.writing import SpoolError, spool, write_blocks
from tests.unit.guest.inputs import blocks_of, records_of


def written(records, to, *, slice_bytes=spool._SLICE_BYTES):
    """Write records from a spool of NDJSON."""
    lines = b"".join(orjson.dumps(record) + b"\n" for record in records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_SLICE_BYTES", slice_bytes)
        return b"".join(write_blocks(memoryview(lines), to=to, spool_format="ndjson"))


def written_tables(tables, to):
    """Write tables from a spool of Arrow streams."""
    streams = []
    for table in tables:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        data = sink.getvalue().to_pybytes()
        streams.append(struct.pack("<Q", len(data)) + data)
    return b"".join(write_blocks(memoryview(b"".join(streams)), to=to, spool_format="arrow"))


def table_in(content):
    return pq.read_table(io.BytesIO(content))


TEXTS = st.text(alphabet='ab",\n\r;é=', max_size=6)
FLAT = st.lists(st.dictionaries(st.sampled_from(["a", "b", 'c"\n']), TEXTS | st.none(), max_size=3), max_size=8)


@given(FLAT, st.integers(1, 60))
def test_csv_comes_out_as_the_csv_module_reads_it(records, slice_bytes):
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = list(csv.reader(io.StringIO(written(records, "csv", slice_bytes=slice_bytes).decode(), newline="")))
    expected = [[record.get(name) or "" for name in names] for record in records] if names else []
    assert rows == ([names] if names else []) + expected


@given(FLAT.filter(lambda records: any(records)))
def test_csv_can_be_read_back_by_penstock(records):
    names = list(dict.fromkeys(name for record in records for name in record))
    back = records_of(blocks_of(written(records, "csv"), "out.csv"))
    assert back == [{name: record.get(name) or None for name in names} for record in records]


def test_csv_shows_values_as_json_does():
    record = {"t": True, "f": False, "n": None, "i": 2**60, "d": 0.1, "l": [1, None], "o": {"a": "é"}}
    expected = b't,f,n,i,d,l,o\ntrue,false,,1152921504606846976,0.1,"[1,null]","{""a"":""\xc3\xa9""}"\n'
    assert written([record], "csv") == expected


def test_a_formula_stays_as_it_is():
    assert written([{"a": "=1+1"}, {"a": "-2"}], "csv") == b"a\n=1+1\n-2\n"


def test_no_records_make_an_empty_csv():
    assert written([], "csv") == b""


@pytest.mark.parametrize("slice_bytes", [1, 50, 10**6])
def test_columns_stand_in_order_of_first_appearance(slice_bytes):
    content = written([{"b": 1}, {"a": 2, "b": 3}, {"c": 4}], "csv", slice_bytes=slice_bytes)
    assert content == b"b,a,c\n1,,\n3,2,\n,,4\n"


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([True, None], pa.bool_(), [True, None]),
        ([1, -(2**63)], pa.int64(), [1, -(2**63)]),
        ([1, 2**64 - 1], pa.uint64(), [1, 2**64 - 1]),
        ([-1, 2**64 - 1], pa.string(), ["-1", "18446744073709551615"]),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([2**53 + 1, 0.5], pa.string(), ["9007199254740993", "0.5"]),
        (["x", None], pa.string(), ["x", None]),
        (["x", 1, True, [1]], pa.string(), ["x", "1", "true", "[1]"]),
        ([{"a": 1}, None], pa.string(), ['{"a":1}', None]),
        ([None, None], pa.string(), [None, None]),
        ([1, True], pa.string(), ["1", "true"]),
    ],
)
@pytest.mark.parametrize("slice_bytes", [1, 10**6])
def test_a_parquet_column_has_the_type_that_its_values_share(values, kind, expected, slice_bytes):
    table = table_in(written([{"v": value} for value in values], "parquet", slice_bytes=slice_bytes))
    assert (table.schema.field("v").type, table["v"].to_pylist()) == (kind, expected)


def test_parquet_has_groups_of_a_hundred_thousand_rows():
    content = written(({"n": n} for n in range(250_000)), "parquet")
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    assert [metadata.row_group(group).num_rows for group in range(3)] == [100_000, 100_000, 50_000]
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert table_in(content)["n"].to_pylist() == list(range(250_000))


def test_no_records_make_a_parquet_file_without_columns():
    assert table_in(written([], "parquet")).shape == (0, 0)


@pytest.mark.parametrize("line", [b"{", b"[1]", b"\xff", b'{"a":1}\n\n'])
def test_a_spool_that_is_no_ndjson_is_an_error(line):
    with pytest.raises(SpoolError) as caught:
        list(write_blocks(memoryview(b'{"a":1}\n' + line + b"\n"), to="csv", spool_format="ndjson"))
    assert caught.value.code == "reply_forged"


DECIMAL = pa.decimal128(12, 3)


def test_tables_of_all_chunks_make_one():
    tables = [
        pa.table({"a": [1, 2], "d": pa.array([Decimal("1.500"), None], DECIMAL), "n": pa.nulls(2)}),
        pa.table({"x": ["new"], "a": [0.5], "n": [["x"]]}),
        pa.table({"a": pa.array([], pa.int8())}),
        pa.table({"a": pa.array([7], pa.int8()), "x": pa.array(["c"]).dictionary_encode()}),
    ]
    table = table_in(written_tables(tables, "parquet"))
    assert table.schema.types == [pa.float64(), DECIMAL, pa.list_(pa.string()), pa.string()]
    assert table.column_names == ["a", "d", "n", "x"]
    assert table["a"].to_pylist() == [1, 2, 0.5, 7]
    assert table["d"].to_pylist() == [Decimal("1.500"), None, None, None]
    assert table["x"].to_pylist() == [None, None, "new", "c"]


def test_a_column_of_nulls_only_is_text():
    assert table_in(written_tables([pa.table({"a": pa.nulls(1)})], "parquet")).schema.types == [pa.string()]


def test_tables_become_csv():
    table = pa.table({"d": pa.array([Decimal("1.500"), None], DECIMAL), "b": [True, None], "l": [[1], []]})
    assert written_tables([table, pa.table({"z": [0.5]})], "csv") == b"d,b,l,z\n1.500,true,[1],\n,,[],\n,,,0.5\n"


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (["x"], [1], "column 'c' is string in one chunk and int64 in another"),
        ([True], [1], "column 'c' is bool in one chunk and int64 in another"),
        ([Decimal("0.1")], [0.1], "column 'c' is decimal128(1, 1) in one chunk and double in another"),
        ([2**53 + 1], [0.5], "column 'c' has values that double, the type of all chunks together, cannot hold"),
    ],
)
def test_types_that_have_none_in_common_are_an_error(one, other, message):
    with pytest.raises(SpoolError) as caught:
        written_tables([pa.table({"c": one}), pa.table({"c": other})], "parquet")
    assert (caught.value.code, caught.value.message) == ("output_types_differ", message)


def test_two_columns_of_one_name_are_an_error():
    with pytest.raises(SpoolError) as caught:
        written_tables([pa.table([[1], [2]], names=["a", "a"])], "csv")
    assert caught.value.code == "output_invalid"


@pytest.mark.parametrize("content", [b"\x05", struct.pack("<Q", 99) + b"x", struct.pack("<Q", 4) + b"abcd"])
def test_a_spool_that_is_no_stream_is_an_error(content):
    with pytest.raises(SpoolError) as caught:
        list(write_blocks(memoryview(content), to="csv", spool_format="arrow"))
    assert caught.value.code == "reply_forged"


def test_a_record_longer_than_a_slice_is_written():
    text = "x" * 300
    assert json.loads(json.dumps(text)) == text
    assert written([{"a": text}, {"a": "y"}], "csv", slice_bytes=10) == f"a\n{text}\ny\n".encode()
