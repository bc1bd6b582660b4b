"""Cuts Parquet into rows, as NDJSON or as Arrow streams. Needs the profile arrow, and the whole file at hand."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_guest.reading.blocks import BlockFormat, Broken, Cutter, Run
from penstock_guest.reading.errors import InputError
from penstock_guest.reading.lines import LineCutter, scan_ndjson, too_large
from penstock_guest.reading.plain import lines_of
from penstock_guest.reading.shaping import Wanted, shaped
from penstock_guest.reading.window import Window

Item = TypeVar("Item")

_MAGIC: Final = b"PAR1"
_REASON_CHARACTERS_MAX: Final = 200


def cut_parquet(
    whole: bytes | memoryview, *, records_max: int, bytes_max: int, as_arrow: bool, columns: Wanted | None = None
) -> Cutter:
    """Return a cutter for a Parquet file; it uses one thread and opens nothing.

    Args:
        whole: the file.
        records_max: most rows of a block.
        bytes_max: most bytes of one.
        as_arrow: whether blocks are Arrow streams.
        columns: of the table that the file is of; None to take it as it is.

    Raises:
        InputError: when the file is cut short or damaged, or two of its columns share a name.
    """
    batches = _batches(whole, records_max=records_max, bytes_max=bytes_max)
    if columns is not None:
        batches = _with_damage_named(shaped(batch, columns) for batch in batches)
    if as_arrow:
        return _StreamCutter(batches, bytes_max)
    # Rows are not in lines, but once they are NDJSON they can be cut like it.
    lines = _with_damage_named(map(lines_of, batches))
    return LineCutter(Window(lines), scan_ndjson, first_line=None, record_bytes_max=bytes_max)


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


def _batches(whole: bytes | memoryview, *, records_max: int, bytes_max: int) -> Iterator[pa.RecordBatch]:
    if whole[-len(_MAGIC) :] != _MAGIC:
        message = f"the Parquet file ends after {len(whole):,} bytes, before its own end mark"
        hint = "The file was cut short: fetch it again."
        raise InputError("input_truncated", message, offset_bytes=len(whole), hint=hint)
    return _with_damage_named(_read(whole, records_max, bytes_max))


def _read(whole: bytes | memoryview, records_max: int, bytes_max: int) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(pa.BufferReader(whole), pre_buffer=False)
    twice = [name for name, count in Counter(file.schema_arrow.names).items() if count > 1]
    if twice:
        message = f"two columns of the Parquet file are called {twice[0]!r}; every column needs its own name"
        raise InputError("input_damaged", message, hint="Rename one of them.")
    yield from file.iter_batches(batch_size=_batch_rows(file.metadata, records_max, bytes_max), use_threads=False)


def _batch_rows(metadata: pq.FileMetaData, records_max: int, bytes_max: int) -> int:
    """Return how many rows to read at once: as many as a block has, but no more bytes than it holds, as a rule."""
    size = sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
    row_bytes: int = size // max(metadata.num_rows, 1)
    return min(records_max, max(bytes_max // max(row_bytes, 1), 1))


def _with_damage_named(items: Iterator[Item]) -> Iterator[Item]:
    """Yield what an iterator yields; whatever Arrow raises about the file becomes an InputError."""
    try:
        yield from items
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        # One line, because what follows may be a trace. Text that is not UTF-8 is named, because Python would quote it.
        reason = "text in it is not UTF-8" if isinstance(error, UnicodeError) else str(error).partition("\n")[0]
        message = f"the Parquet file cannot be read: {reason[:_REASON_CHARACTERS_MAX]}"
        raise InputError("input_damaged", message, hint="Check the file, or fetch it again.") from error
