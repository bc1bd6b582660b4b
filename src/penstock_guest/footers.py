"""What the footers of Parquet files say: rows, columns with their field ids, and bounds; said in JSON.

Who registers a file in a table needs no more of it than that. A footer is a few kilobytes of Thrift that whoever wrote
the file has chosen, so it is parsed here, and each attempt's files in a child of their own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from orjson import dumps

if TYPE_CHECKING:
    from penstock_guest.child import Output

_MAGIC: Final = b"PAR1"
_FIELD_ID: Final = b"PARQUET:field_id"
_STRING_BYTES_MAX: Final = 64 * 2**20
_ITEMS_MAX: Final = 1_000_000
_WORDS_MAX: Final = 200
_PLAIN: Final = {
    pa.bool_(): "boolean",
    pa.int8(): "int",
    pa.int16(): "int",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.time64("us"): "time",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.string_view(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.binary_view(): "binary",
}
_BOUNDED: Final = frozenset(["boolean", "int", "long", "float", "double", "date", "timestamp", "timestamptz", "string"])
_DAY: Final = pa.date32()
_MOMENT: Final = pa.timestamp("us")


class Footers:
    """Answers one request: for each footer behind one another in the input, one object."""

    def __init__(self, _spec: dict[str, Any], _source: bytes) -> None:
        self.problems: list[dict[str, Any]] = []

    def rehearse(self) -> None:
        """Do nothing: a file is written more often than its footer is read."""

    def park(self, output: Output) -> None:
        """Do nothing yet."""

    def run(self, request: dict[str, Any], given: memoryview, output: Output) -> dict[str, Any]:
        """Write what each footer says."""
        said, start = [], 0
        for size_bytes in request["sizes"]:
            said.append(_said(bytes(given[start : start + size_bytes])))
            start += size_bytes
        output.write(dumps(said))
        return {"output_bytes": output.size_bytes}


def _said(footer: bytes) -> dict[str, Any]:
    try:
        return describe(footer)
    except (pa.ArrowException, OSError, ValueError) as error:
        return {"broken": (str(error).splitlines() or [type(error).__name__])[0][:_WORDS_MAX]}


def describe(footer: bytes) -> dict[str, Any]:
    """Return what a footer says: the end of a Parquet file, from its metadata on."""
    whole = pa.BufferReader(_MAGIC + footer)
    with pq.ParquetFile(
        whole, thrift_string_size_limit=_STRING_BYTES_MAX, thrift_container_size_limit=_ITEMS_MAX
    ) as file:
        metadata, schema = file.metadata, file.schema_arrow
    columns = [_column(field) for field in schema]
    return {
        "rows": metadata.num_rows,
        "columns": columns,
        "facts": _facts(
            metadata, {name: (kind, number) for name, kind, number in columns if number and isinstance(kind, str)}
        ),
        "offsets": sorted(_offset(metadata.row_group(number)) for number in range(metadata.num_row_groups)),
    }


def _column(field: pa.Field, name: str = "") -> list[Any]:
    number = (field.metadata or {}).get(_FIELD_ID, b"0")
    return [name or field.name, _kind(field.type), int(number) if number.isdigit() else 0]


def _kind(kind: pa.DataType) -> Any:
    """Return a type by the lake's name; of one that has no place there, what Arrow calls it."""
    if pa.types.is_struct(kind):
        return {"struct": [_column(kind.field(position)) for position in range(kind.num_fields)]}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return {"list": _column(kind.value_field, "element")}
    if pa.types.is_map(kind):
        return {"map": [_column(kind.key_field, "key"), _column(kind.item_field, "value")]}
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return "timestamp" if kind.tz is None else "timestamptz"
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if isinstance(kind, pa.UuidType):
        return "uuid"
    if pa.types.is_fixed_size_binary(kind):
        return f"fixed[{kind.byte_width}]"
    return _PLAIN.get(kind) or {"arrow": str(kind)[:_WORDS_MAX]}


def _facts(metadata: Any, plain: dict[str, tuple[str, int]]) -> list[list[Any]]:
    """Return, for each row group and plain column: id, size, values, nulls, lowest, highest."""
    found = []
    for group_number in range(metadata.num_row_groups):
        group = metadata.row_group(group_number)
        for position in range(metadata.num_columns):
            chunk = group.column(position)
            if chunk.path_in_schema in plain and chunk.num_values:
                kind, number = plain[chunk.path_in_schema]
                found.append([number, chunk.total_compressed_size, chunk.num_values, *_bounds(chunk, kind)])
    return found


def _bounds(chunk: Any, kind: str) -> list[Any]:
    statistics = chunk.statistics if chunk.is_stats_set else None
    if statistics is None:
        return [None, None, None]
    nulls = statistics.null_count if statistics.has_null_count else None
    if kind not in _BOUNDED or not statistics.has_min_max:
        return [nulls, None, None]
    try:
        low, high = _plain_value(statistics.min, kind), _plain_value(statistics.max, kind)
    except (pa.ArrowException, ValueError, OverflowError):  # such as a date beyond the year 9999
        return [nulls, None, None]
    return [nulls, low, high] if low is not None and high is not None else [nulls, None, None]


def _plain_value(value: Any, kind: str) -> Any:
    """Return a bound as JSON has it: dates as days, moments as microseconds since 1970."""
    if kind == "date":
        return pa.scalar(value, _DAY).value
    if kind in ("timestamp", "timestamptz"):
        return pa.scalar(value.replace(tzinfo=None), _MOMENT).value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _offset(group: Any) -> int:
    chunk = group.column(0)
    offsets = [chunk.data_page_offset, chunk.dictionary_page_offset if chunk.has_dictionary_page else None]
    return int(min(offset for offset in offsets if offset is not None))
