"""What the footer of a Parquet file says: rows, columns with their ids, and the bounds that readers skip files by.

A footer is data that somebody else wrote. Whoever must not parse such data has it read in a locked child and hands on
the facts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.core.columns import Column, all_columns
from penstock.core.errors import FileRefused
from penstock.core.tables import ColumnFacts, FileFacts
from penstock.storage.tables.types import columns_of_arrow

_BOUNDED: Final = frozenset(["boolean", "int", "long", "float", "double", "date", "timestamp", "timestamptz", "string"])
_EXACT_TEXT_MAX: Final = 64  # some writers cut longer texts in their statistics
_FOOTER_BYTES_MAX: Final = 64 * 2**20


def read_footer(path: Path) -> FileFacts:
    """Return what a Parquet file's footer says.

    Raises:
        FileRefused: when it is no such file, or a column has no id, or a type that has no place in a table.
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
    if without := [column.name for column in all_columns(columns) if not column.id]:
        raise FileRefused(
            f"{path.name}: no field id on {', '.join(map(repr, without[:5]))}",
            hint="Write the file with the field ids that the lake gave for its columns.",
        )
    return FileFacts(
        rows=metadata.num_rows,
        size_bytes=path.stat().st_size,
        columns=columns,
        facts=_facts(metadata, columns),
        split_offsets=tuple(sorted(_offset(metadata.row_group(n)) for n in range(metadata.num_row_groups))),
    )


def _facts(metadata: Any, columns: tuple[Column, ...]) -> dict[int, ColumnFacts]:
    plain = {column.name: column for column in columns if isinstance(column.type, str)}
    found: dict[int, ColumnFacts] = {}
    for group_number in range(metadata.num_row_groups):
        group = metadata.row_group(group_number)
        for position in range(metadata.num_columns):
            chunk = group.column(position)
            column = plain.get(chunk.path_in_schema)
            if column is not None and chunk.num_values:
                new = _of_chunk(chunk, str(column.type))
                known = found.get(column.id)
                found[column.id] = new if known is None else _together(known, new)
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
        low, high = statistics.min, statistics.max
    except (pa.ArrowException, ValueError, OverflowError):  # such as a date beyond the year 9999
        return ColumnFacts(size, values, nulls)
    exact = not (isinstance(high, str) and max(len(low.encode()), len(high.encode())) >= _EXACT_TEXT_MAX)
    return ColumnFacts(size, values, nulls, low, high, exact)


def _together(one: ColumnFacts, other: ColumnFacts) -> ColumnFacts:
    nulls = None if one.nulls is None or other.nulls is None else one.nulls + other.nulls
    size, values = one.size_bytes + other.size_bytes, one.values + other.values
    if _all_null(one) or _all_null(other):
        bounds = other if _all_null(one) else one
        return ColumnFacts(size, values, nulls, bounds.lowest, bounds.highest, bounds.exact)
    if one.lowest is None or other.lowest is None:
        return ColumnFacts(size, values, nulls)
    low, high = min(one.lowest, other.lowest), max(one.highest, other.highest)
    return ColumnFacts(size, values, nulls, low, high, one.exact and other.exact)


def _all_null(facts: ColumnFacts) -> bool:
    return facts.nulls == facts.values


def _offset(group: Any) -> int:
    chunk = group.column(0)
    offsets = [chunk.data_page_offset, chunk.dictionary_page_offset if chunk.has_dictionary_page else None]
    return int(min(offset for offset in offsets if offset is not None))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
