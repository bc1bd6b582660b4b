"""Cuts Parquet into rows, as NDJSON or as Arrow streams. Needs the profile arrow, and the whole file at hand."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_guest.reading.blocks import BlockFormat, Broken, Cutter, Run
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.lines import LineCutter, scan_ndjson, too_large
from penstock_guest.reading.plain import lines_of
from penstock_guest.reading.window import Window

_MAGIC: Final = b"PAR1"
_REASON_CHARACTERS_MAX: Final = 200


def cut_parquet(whole: bytes | memoryview, *, records_max: int, bytes_max: int, as_arrow: bool) -> Cutter:
    """Return a cutter for a Parquet file; it uses one thread and opens nothing.

    Raises:
        InputError: when the file is cut short or damaged, or two of its columns share a name.
    """
    file = _open(whole)
    batches = _batches(file, _batch_rows(file.metadata, records_max, bytes_max))
    if as_arrow:
        return _StreamCutter(batches, bytes_max)
    # Rows are not in lines, but once they are NDJSON they can be cut like it.
    return LineCutter(Window(_lines(batches)), scan_ndjson, first_line=None, record_bytes_max=bytes_max)


class _StreamCutter:
    """Makes an Arrow stream of each batch."""

    format: BlockFormat = "arrow"
    header = b""
    first_line: int | None = None

    def __init__(self, batches: Iterator[pa.RecordBatch], bytes_max: int) -> None:
        self._batches = batches
        self._halves: deque[pa.RecordBatch] = deque()
        self._bytes_max = bytes_max

    def take(self, records_max: int, bytes_max: int) -> Run | Broken | None:
        """Return the next rows as one stream; None at the end."""
        while batch := self._halves.popleft() if self._halves else next(self._batches, None):
            stream = stream_of(batch)
            if len(stream) <= self._bytes_max:
                return Run(stream, batch.num_rows, 0)
            if batch.num_rows == 1:
                return too_large(b"", len(stream), self._bytes_max, lines=0)
            half = batch.num_rows // 2
            self._halves.extendleft((batch[half:], batch[:half]))
        return None


def stream_of(rows: pa.RecordBatch | pa.Table) -> bytes:
    """Return rows as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _open(whole: bytes | memoryview) -> pq.ParquetFile:
    if whole[-len(_MAGIC) :] != _MAGIC:
        message = f"the Parquet file ends after {len(whole):,} bytes, before its own end mark"
        hint = "the file was cut short: fetch it again"
        raise InputError("input_truncated", message, offset_bytes=len(whole), hint=hint)
    try:
        file = pq.ParquetFile(pa.BufferReader(whole), pre_buffer=False)
        names = Counter(file.schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        message = f"two columns of the Parquet file are called {twice[0]!r}; every column needs its own name"
        raise InputError("input_damaged", message, hint="rename one of them")
    return file


def _batch_rows(metadata: pq.FileMetaData, records_max: int, bytes_max: int) -> int:
    """Return how many rows to read at once: as many as a block has, but no more bytes than it holds, as a rule."""
    size = sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
    row_bytes: int = size // max(metadata.num_rows, 1)
    return min(records_max, max(bytes_max // max(row_bytes, 1), 1))


def _batches(file: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(batch_size=rows, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error


def _lines(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        try:
            yield lines_of(batch)
        except UnicodeDecodeError as error:
            raise InputError("input_damaged", "a text column of the Parquet file is not UTF-8") from error


def _damaged(error: Exception) -> InputError:
    reason = str(error).split("\n", 1)[0][:_REASON_CHARACTERS_MAX]
    hint = "check the file, or fetch it again"
    return InputError("input_damaged", f"the Parquet file cannot be read: {reason}", hint=hint)
