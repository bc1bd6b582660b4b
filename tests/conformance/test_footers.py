"""Footers read here and in a locked child say the same; and what is made to do harm is refused."""

import datetime as dt
import math
import os
from decimal import Decimal

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.core import duckdb_sql
from penstock.core.columns import with_ids
from penstock.core.errors import FileRefused, SchemaRefused
from penstock.sandbox.children import Reply
from penstock.sandbox.footers import LockedFooters
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.tables.footers import read_footers
from penstock.storage.tables.types import arrow_schema, columns_of_arrow

NAIVE = dt.datetime(1960, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC).replace(tzinfo=None)
ROWS = [
    {
        "flag": True, "small": -1, "number": 2**40, "half": 0.5, "double": math.inf, "text": "é" * 40, "bytes": b"\xff",
        "day": dt.date(1969, 12, 31), "time": dt.time(1, 2), "at": NAIVE, "there": NAIVE.replace(tzinfo=dt.UTC),
        "price": Decimal("1.50"), "s": {"a": 1, "tags": ["x"]}, "m": [("k", 1)], "none": None,
    },
    {
        "flag": False, "small": 1, "number": 7, "half": None, "double": 1.5, "text": "a", "bytes": None,
        "day": dt.date(2024, 2, 29), "time": None, "at": NAIVE + dt.timedelta(days=30_000), "there": None,
        "price": None, "s": None, "m": None, "none": None,
    },
]  # fmt: skip
KINDS = {
    "flag": pa.bool_(), "small": pa.int16(), "number": pa.int64(), "half": pa.float32(), "double": pa.float64(),
    "text": pa.string(), "bytes": pa.binary(), "day": pa.date32(), "time": pa.time64("us"), "at": pa.timestamp("us"),
    "there": pa.timestamp("us", tz="Europe/Lisbon"), "price": pa.decimal128(10, 2),
    "s": pa.struct([("a", pa.int64()), ("tags", pa.list_(pa.string()))]), "m": pa.map_(pa.string(), pa.int64()),
    "none": pa.int64(),
}  # fmt: skip
SCHEMA = pa.schema(KINDS.items())


@pytest.fixture(scope="module")
def locked():
    sandbox = StrictSandbox()
    reader = LockedFooters(sandbox)
    yield reader
    reader.close()
    sandbox.close()


def written(path, data, **options):
    columns = with_ids((), columns_of_arrow(data.schema), last_id=0)
    pq.write_table(data.cast(arrow_schema(columns)), path, **options)
    return path


def test_a_locked_child_says_what_is_read_here(locked, tmp_path):
    data = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    paths = [
        written(tmp_path / "one.parquet", data),
        written(tmp_path / "groups.parquet", data, row_group_size=1),
        written(tmp_path / "none.parquet", data.slice(0, 0)),
        written(tmp_path / "plain.parquet", data, write_statistics=False),
        written(tmp_path / "wide.parquet", pa.table({f"c{number}": [number] for number in range(500)})),
    ]
    pq.write_table(data, tmp_path / "no_ids.parquet")
    found = locked([*paths, tmp_path / "no_ids.parquet"])
    assert found == read_footers([*paths, tmp_path / "no_ids.parquet"])
    assert found[0].facts[3].lowest == 7
    assert {column.id for column in found[-1].columns} == {0}


def test_what_duckdb_writes_is_read_the_same(locked, tmp_path):
    columns = with_ids((), columns_of_arrow(SCHEMA), last_id=0)
    data = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    path = tmp_path / "x.parquet"
    with duckdb.connect() as database:
        database.register("data", data)
        database.execute(duckdb_sql.copy("SELECT * FROM data", str(path), columns))
    assert locked([path]) == read_footers([path])
    assert {column.name: column.id for column in locked([path])[0].columns} == {one.name: one.id for one in columns}


def test_a_type_without_a_place_in_a_table_is_refused(locked, tmp_path):
    pq.write_table(pa.table({"n": pa.array([1], pa.uint64()), "t": pa.array([1], pa.timestamp("ns"))}), tmp_path / "x")
    for read in (locked, read_footers):
        with pytest.raises(SchemaRefused) as caught:
            read([tmp_path / "x"])
        assert [problem["place"] for problem in caught.value.problems] == ["n", "t"]


def test_a_file_without_an_end_is_refused_before_anybody_parses_it(locked, tmp_path):
    good = written(tmp_path / "good.parquet", pa.table({"x": [1]})).read_bytes()
    for number, data in enumerate(
        [b"", b"PAR1", good[:-1], good[:-8] + b"\xff\xff\xff\x7fPAR1", b"PAR1" * 3, os.urandom(99)]
    ):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(data)
        with pytest.raises(FileRefused, match="cannot be read as Parquet"):
            locked([path])
    (tmp_path / "link.parquet").symlink_to(tmp_path / "good.parquet")
    with pytest.raises(FileRefused, match=r"link\.parquet"):
        locked([tmp_path / "link.parquet"])


def test_a_damaged_footer_harms_nobody(locked, tmp_path):
    good = bytearray(written(tmp_path / "good.parquet", pa.Table.from_pylist(ROWS, SCHEMA)).read_bytes())
    length = int.from_bytes(good[-8:-4], "little")
    path = tmp_path / "bad.parquet"
    refused = 0
    for place in range(0, length, 37):
        bad = bytearray(good)
        bad[len(good) - 8 - length + place] ^= 0xFF
        path.write_bytes(bad)
        try:
            locked([path])
        except (FileRefused, SchemaRefused):
            refused += 1
    assert refused > 0
    assert locked([tmp_path / "good.parquet"])


@pytest.mark.parametrize(
    "said",
    [
        b"{}",
        b"[]",
        b"[1]",
        b"not json",
        b'[{"rows": -1, "columns": [], "facts": [], "offsets": []}]',
        b'[{"rows": 1e300, "columns": [], "facts": [], "offsets": []}]',
        b'[{"rows": 1, "columns": [["x", "long", 1]], "facts": [[1, 1, 1, 0, 2e19, 1]], "offsets": []}]',
        b'[{"rows": 1, "columns": [["x", "date", 1]], "facts": [[1, 1, 1, 0, 2000000000, 1]], "offsets": []}]',
        b'[{"rows": 1, "columns": [["x", "string", 1]], "facts": [[1, 1, 1, 0, 7, 8]]}]',
        b'[{"rows": 1, "columns": [["x", "long", 1]], "facts": [[2, 1, 1, 0, 7, 8]], "offsets": []}]',
        b'[{"rows": 1, "columns": [["x", {"list": 7}, 1]], "facts": [], "offsets": []}]',
        orjson.dumps([{"rows": 1, "facts": [], "offsets": [], "columns": [["x", "long", 1]] * 2 + [7]}]),
    ],
)
def test_a_child_that_says_nonsense_is_not_believed(locked, tmp_path, monkeypatch, said):
    """As one would that a footer has taken over."""

    class Lying:
        alive = True

        def run(self, request, data):
            return Reply(message={}, output=said, dead_letters=b"")

    path = written(tmp_path / "x.parquet", pa.table({"x": [1]}))
    monkeypatch.setattr(locked, "_children", Lying())
    with pytest.raises(FileRefused, match="makes no sense"):
        locked([path])
    monkeypatch.undo()
    assert locked([path])
