"""Writes rows as Parquet. Needs the profile arrow.

Rows that come as JSON get their types from all their values:

| values of the column | type |
|---|---|
| booleans | boolean |
| integers | int64; uint64 where one is past 2**63 and none is negative |
| doubles, or doubles and integers that a double holds exactly | double |
| anything else: text, lists, objects, a mixture, nothing at all | text; what is no text is written as JSON |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_guest.reading.columns import column_of
from penstock_guest.writing.spool import Column

_GROUP_ROWS: Final = 100_000  # what DuckDB and Spark read at once, near enough
_GROUP_BYTES_MAX: Final = 64 * 2**20
_DOUBLE_INTEGER_MAX: Final = 2**53


def schema_of(columns: dict[str, Column]) -> pa.Schema:
    """Return the types of columns that come as JSON."""
    return pa.schema([(name, _kind(column)) for name, column in columns.items()])


def tables_of(batches: Iterable[list[list[Any]]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield some rows at a time, in the types of the schema."""
    for columns in batches:
        values = [column_of(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(values, schema=schema)


def parquet_blocks(schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[bytes]:
    """Yield the bytes of a Parquet file, a group of rows at a time."""
    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _groups(tables):
            writer.write_table(group, row_group_size=_GROUP_ROWS)
            yield sink.taken()
    yield sink.taken()


def _kind(column: Column) -> pa.DataType:
    if column.types == {bool}:
        return pa.bool_()
    if column.types == {int} and column.low >= -(2**63) and column.high < 2**63:
        return pa.int64()
    if column.types == {int} and column.low >= 0 and column.high < 2**64:
        return pa.uint64()
    exact = max(-column.low, column.high) <= _DOUBLE_INTEGER_MAX
    if column.types == {float} or (column.types == {float, int} and exact):
        return pa.float64()
    return pa.string()


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield as many rows as make a group."""
    held: pa.Table | None = None
    for table in tables:
        held = table if held is None else pa.concat_tables([held, table])
        while held.num_rows >= _GROUP_ROWS:
            yield held[:_GROUP_ROWS]
            held = held[_GROUP_ROWS:]
        if held.nbytes >= _GROUP_BYTES_MAX:
            yield held
            held = None
    if held:
        yield held


class _Sink:
    """A file that only ever grows, and hands out what was added to it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        """Return what was added since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
