"""`process_table`: a chunk as one Arrow table in, one out."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from penstock_guest import chunk
from penstock_guest.reading import decode
from penstock_guest.reading.columns import table_of
from penstock_guest.reading.plain import lines_of
from penstock_guest.wire import WHOLE_CHUNK

_ROWS_AT_ONCE: Final = 1024
_LENGTH: Final = struct.Struct("<Q")


class TableRecords:
    """The rows of a table, as records for dead letters."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._record: dict[str, Any] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each row."""
        for batch in self._table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            for self._record in batch.to_pylist():
                yield self._record

    def original(self) -> dict[str, Any]:
        """Return the row last yielded."""
        return self._record

    def line(self) -> int:
        """Rows have no lines."""
        return 0


def run_table(
    call: chunk.Call, payload: memoryview, request: dict[str, Any], account: chunk.Account, schemas: Any = None
) -> None:
    """Call a function once with the chunk as a table; when it fails, all rows fail together."""
    account.output.mark[0] = WHOLE_CHUNK
    if request["format"] == "arrow":
        table = pa.ipc.open_stream(pa.py_buffer(payload)).read_all()
        records: Any = TableRecords(table)
        if account.skip:
            chunk.readable(records, account)
            return
        if schemas is not None and (checked := schemas.check_rows(records)) is not None:
            records = checked
            table = table.filter(pa.array(sys.modules["penstock_guest.schemas"].fitting(records, account)))
        else:
            account.records = table.num_rows
    else:
        records = decode(request["format"], payload)
        if schemas is not None:
            records = schemas.check_records(records)
        table = table_of(chunk.readable(records, account), as_text=request["format"] == "csv")
    if table.num_rows == 0:
        return
    try:
        result = call.function(table)
        data, rows = call.lines_of(result) if result is not None else (b"", 0)
        account.emit(data, rows)
    except BaseException as error:  # noqa: BLE001  # tenant code may raise anything; it was one call for all rows
        account.fail_all(records, call.describer.describe(error))
        return
    account.settle(table.num_rows, rows)


def encoder(emit: str, schemas: Any = None) -> chunk.Encoder:
    """Return what turns a table into output: `ndjson` lines, or `arrow`, an IPC stream after its length in 8 bytes."""
    lines_of = _as_stream if emit == "arrow" else _as_lines
    if schemas is None:
        return lines_of
    checked: chunk.Encoder = schemas.check_lines(lines_of, shown=_as_lines)
    return checked


def _as_stream(result: Any) -> tuple[Stream, int]:
    table = _table(result)
    return Stream(table), table.num_rows


class Stream:
    """A table as an IPC stream after its length in 8 bytes; written only once, where it is to lie."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        counting = pa.MockOutputStream()
        self._write(counting)
        self._size_bytes: int = counting.size()

    def __len__(self) -> int:
        """Return how many bytes it takes."""
        return _LENGTH.size + self._size_bytes

    def write_to(self, memory: memoryview) -> None:
        """Write it into memory of its size."""
        _LENGTH.pack_into(memory, 0, self._size_bytes)
        self._write(pa.FixedSizeBufferWriter(pa.py_buffer(memory[_LENGTH.size :])))

    def _write(self, sink: Any) -> None:
        with pa.ipc.new_stream(sink, self._table.schema) as stream:
            stream.write_table(self._table)


def _as_lines(result: Any) -> tuple[bytes, int]:
    table = _table(result)
    return b"".join(map(lines_of, table.to_batches(max_chunksize=_ROWS_AT_ONCE))), table.num_rows


def _table(result: Any) -> pa.Table:
    if isinstance(result, pa.RecordBatch):
        return pa.Table.from_batches([result])
    if isinstance(result, pa.Table):
        return result
    raise TypeError(f"process_table returned {type(result).__name__}; valid: a pyarrow.Table, or None to drop all rows")
