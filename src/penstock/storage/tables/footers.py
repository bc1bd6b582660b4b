"""What the footer of a Parquet file says: rows, columns with their ids, and the bounds that readers skip files by.

A footer is data that somebody else wrote. Whoever must not parse such data has it read in a locked child and hands on
the facts.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.core.columns import Column
from penstock.core.errors import FileRefused
from penstock.core.tables import ColumnFacts, FileFacts
from penstock.storage.tables.types import columns_of_arrow

_BOUNDED: Final = frozenset(["boolean", "int", "long", "float", "double", "date", "timestamp", "timestamptz", "string"])
_EXACT_TEXT_MAX: Final = 64  # some writers cut longer texts in their statistics
_FOOTER_BYTES_MAX: Final = 64 * 2**20


def read_footers(paths: Sequence[Path]) -> list[FileFacts]:
    """Return what the footers of Parquet files say, each in its place."""
    return [read_footer(path) for path in paths]


def read_footer(path: Path) -> FileFacts:
    """Return what a Parquet file's footer says.

    Raises:
        FileRefused: when it is no such file.
        SchemaRefused: when a column has a type that has no place in a table.
    """
    try:
        with pq.ParquetFile(
            path, thrift_string_size_limit=_FOOTER_BYTES_MAX, thrift_container_size_limit=1_000_000
        ) as file:
            metadata = file.metadata
            schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileRefused(
            f"{path.name} cannot be read as Parquet: {_first_line(error)}", hint="Write it again, and close it."
        ) from error
    columns = columns_of_arrow(schema)
    return FileFacts(
        rows=metadata.num_rows,
        size_bytes=path.stat().st_size,
        columns=columns,
        facts=_facts(metadata, columns),
        split_offsets=tuple(sorted(_offset(metadata.row_group(n)) for n in range(metadata.num_row_groups))),
    )


def _facts(metadata: Any, columns: tuple[Column, ...]) -> dict[int, ColumnFacts]:
    plain = {column.name: column for column in columns if column.id and isinstance(column.type, str)}
    found: dict[int, ColumnFacts] = {}
    for group_number in range(metadata.num_row_groups):
        group = metadata.row_group(group_number)
        for position in range(metadata.num_columns):
            chunk = group.column(position)
            column = plain.get(chunk.path_in_schema)
            if column is not None and chunk.num_values:
                new = _of_chunk(chunk, str(column.type))
                known = found.get(column.id)
                found[column.id] = new if known is None else known.together(new)
    return found


def _of_chunk(chunk: Any, kind: str) -> ColumnFacts:
    statistics = chunk.statistics if chunk.is_stats_set else None
    size, values = chunk.total_compressed_size, chunk.num_values
    if statistics is None:
        return ColumnFacts(size, values)
    nulls = statistics.null_count if statistics.has_null_count else None
    if kind not in _BOUNDED or not statistics.has_min_max:
        return ColumnFacts(size, values, nulls, exact=nulls == values)
    try:
        low, high = _plain(statistics.min), _plain(statistics.max)
    except (pa.ArrowException, ValueError, OverflowError):  # such as a date beyond the year 9999
        return ColumnFacts(size, values, nulls)
    if low is None or high is None:
        return ColumnFacts(size, values, nulls)
    exact = not (isinstance(high, str) and max(len(low.encode()), len(high.encode())) >= _EXACT_TEXT_MAX)
    return ColumnFacts(size, values, nulls, low, high, exact)


def _plain(value: Any) -> Any:
    """Return a bound as a value of its column; None for one that nothing can be told from."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC)
    return value


def _offset(group: Any) -> int:
    chunk = group.column(0)
    offsets = [chunk.data_page_offset, chunk.dictionary_page_offset if chunk.has_dictionary_page else None]
    return int(min(offset for offset in offsets if offset is not None))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
