"""Cutting Parquet: rows as NDJSON in JSON's own types, or as Arrow streams."""

import datetime as dt
import io
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import penstock_guest.reading.parquet  # noqa: F401  # a profile loads it
from penstock_guest.reading import InputError
from tests.unit.guest.inputs import blocks_of, gzip_of, places_of, real_data, records_of, tar_of

TABLE = pa.table({"n": range(2_500), "t": [f"t{n}" for n in range(2_500)]})


def parquet_of(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def rows_of(blocks):
    return [row for block in blocks for row in pa.ipc.open_stream(block.payload).read_all().to_pylist()]


@pytest.mark.parametrize("as_arrow", [False, True])
@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("row_group_size", [300, 5_000])
def test_rows_fill_blocks_whatever_their_groups(as_arrow, mapped, row_group_size):
    content = parquet_of(TABLE, row_group_size=row_group_size)
    blocks = blocks_of(content, "in.parquet", mapped=mapped, as_arrow=as_arrow, records_max=1_000)
    assert [block.records for block in blocks] == [1_000, 1_000, 500]
    assert (rows_of if as_arrow else records_of)(blocks) == TABLE.to_pylist()


def test_rows_are_found_by_number():
    assert places_of(blocks_of(parquet_of(TABLE), "in.parquet"))[1_999] == (None, 2_000, None)


def test_parquet_may_be_compressed_archived_or_streamed():
    content = parquet_of(TABLE)
    assert len(records_of(blocks_of(gzip_of(content), "in.parquet.gz", mapped=True))) == 2_500
    assert len(records_of(blocks_of(content, "-", piece_bytes=100))) == 2_500
    blocks = blocks_of(tar_of({"1.parquet": content, "2.parquet": content}), "in.tar", mapped=True)
    assert [block.records for block in blocks] == [5_000]
    assert places_of(blocks)[-1] == ("2.parquet", 2_500, None)


BERLIN = dt.timezone(dt.timedelta(hours=1))
VALUES = [
    (pa.int64(), -(2**63), -(2**63)),
    (pa.uint64(), 2**64 - 1, 2**64 - 1),
    (pa.bool_(), True, True),
    (pa.float64(), 0.1, 0.1),
    (pa.float32(), float("nan"), "NaN"),
    (pa.float64(), float("-inf"), "-Infinity"),
    (pa.decimal128(20, 2), Decimal("10.50"), "10.50"),
    (pa.decimal128(38, 10), Decimal(0), "0.0000000000"),
    (pa.date32(), dt.date(2025, 1, 31), "2025-01-31"),
    (pa.timestamp("s"), dt.datetime(2025, 1, 31, 9, 30), "2025-01-31T09:30:00"),  # noqa: DTZ001  # a naive one
    (pa.timestamp("ns"), 1, "1970-01-01T00:00:00.000000001"),
    (pa.timestamp("ns"), 1_250_000_000, "1970-01-01T00:00:01.250000"),
    (pa.timestamp("us", "Europe/Berlin"), dt.datetime(2025, 1, 31, 9, tzinfo=BERLIN), "2025-01-31T08:00:00Z"),
    (pa.time64("us"), dt.time(9, 30, 0, 5), "09:30:00.000005"),
    (pa.duration("ms"), dt.timedelta(seconds=1.5), 1.5),
    (pa.binary(), b"\x00\xff", "AP8="),
    (pa.string(), "é\n", "é\n"),
    (pa.dictionary(pa.int8(), pa.string()), "x", "x"),
    (pa.list_(pa.decimal128(5, 1)), [Decimal("1.5"), None], ["1.5", None]),
    (pa.struct([("a", pa.float64()), ("b", pa.date32())]), {"a": float("inf")}, {"a": "Infinity", "b": None}),
    (pa.map_(pa.string(), pa.binary()), [("k", b"v")], {"k": "dg=="}),
    (pa.map_(pa.int8(), pa.int8()), [(1, 2)], [{"key": 1, "value": 2}]),
    (pa.list_(pa.list_(pa.int8())), [[1], [], None], [[1], [], None]),
]


@pytest.mark.parametrize(("kind", "value", "expected"), VALUES)
def test_every_type_has_a_form_in_json(kind, value, expected):
    table = pa.table({"v": pa.array([None, value, None, value], kind)})
    blocks = blocks_of(parquet_of(table), "in.parquet", records_max=3)
    assert [record["v"] for record in records_of(blocks)] == [None, expected, None, expected]


def test_wide_rows_make_blocks_of_few():
    table = pa.table({"t": ["x" * 1_000] * 100})
    for as_arrow in (False, True):
        blocks = blocks_of(parquet_of(table, use_dictionary=False), "in.parquet", bytes_max=5_000, as_arrow=as_arrow)
        assert sum(block.records for block in blocks) == 100
        assert max(block.size_bytes for block in blocks) <= 5_000


@pytest.mark.parametrize("as_arrow", [False, True])
def test_a_row_larger_than_a_block_costs_only_itself(as_arrow):
    table = pa.table({"n": [1, 2, 3], "t": ["", "x" * 9_000, ""]})
    blocks = blocks_of(parquet_of(table), "in.parquet", bytes_max=5_000, as_arrow=as_arrow)
    assert [failure.record for block in blocks for failure in block.failures] == [2]
    rows = (rows_of if as_arrow else records_of)([block for block in blocks if block.records])
    assert [row["n"] for row in rows] == [1, 3]


def test_no_rows_are_no_records():
    assert blocks_of(parquet_of(TABLE[:0]), "in.parquet") == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (parquet_of(TABLE)[:-10], "input_truncated"),
        (b"PAR1\x15" + b"x" * 100 + b"PAR1", "input_damaged"),
        (b"PAR1\x15PAR1", "input_damaged"),
        (parquet_of(TABLE)[:200] + b"x" * 500 + parquet_of(TABLE)[700:], "input_damaged"),
        (parquet_of(TABLE.rename_columns(["a", "a"])), "input_damaged"),
    ],
)
def test_a_broken_file_is_an_error(content, code):
    with pytest.raises(InputError) as caught:
        blocks_of(content, "in.parquet")
    assert caught.value.code == code


def test_parquet_without_arrow_is_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "penstock_guest.reading.parquet")
    with pytest.raises(InputError) as caught:
        blocks_of(parquet_of(TABLE), "in.parquet")
    assert caught.value.code == "input_needs_arrow"


def test_taxi_trips_agree_with_their_csv_twin():
    records = records_of(blocks_of(real_data("nyc-taxi/yellow_tripdata_sample.parquet"), "in.parquet", mapped=True))
    twins = records_of(blocks_of(real_data("nyc-taxi/yellow-tripdata-sample.csv.gz"), "in.csv.gz"))
    assert len(records) == len(twins) == 10_000
    assert round(sum(record["total_amount"] for record in records), 2) == 269_155.30
    assert records[0]["tpep_pickup_datetime"] == "2025-01-01T00:18:38"
    assert twins[0]["tpep_pickup_datetime"] == "2025-01-01 00:18:38.000000000"
