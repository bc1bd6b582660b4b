"""Turns Arrow columns into values that JSON has a form for. Needs the profile arrow.

| Arrow | JSON |
|---|---|
| null, boolean, integer, text | itself |
| double | a number; NaN and the infinities, for which JSON has none, "NaN", "Infinity", "-Infinity" |
| decimal | text, so that no digit is lost: "10.50" |
| date, time | "2025-01-31", "09:30:00" |
| timestamp | "2025-01-31T09:30:00.250000"; where it has a zone, in UTC: "2025-01-31T08:30:00.250000Z" |
| duration | seconds |
| binary | text in base64 |
| list, struct, map with text as keys | array, object, object; any other map is an array of {"key", "value"} |
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def lines_of(batch: pa.RecordBatch) -> bytes:
    """Return the rows of a batch as lines of NDJSON."""
    names = batch.schema.names
    rows = zip(*map(plain, batch.columns), strict=True)
    dumps, newline = orjson.dumps, orjson.OPT_APPEND_NEWLINE
    return b"".join([dumps(dict(zip(names, row, strict=False)), option=newline) for row in rows])


def plain(column: pa.Array) -> list[Any]:
    """Return the values of a column as JSON has them."""
    for fits, convert in _CONVERSIONS:
        if fits(column.type):
            return convert(column)
    values: list[Any] = column.to_pylist()
    return values


def _doubles(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pc.all(pc.is_finite(column.cast(pa.float64()))).as_py() is not False:
        return values
    return [value if value is None or math.isfinite(value) else _NOT_FINITE[str(value)] for value in values]


_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _decimals(column: pa.Array) -> list[str | None]:
    return [None if value is None else format(value, "f") for value in column.to_pylist()]


def _timestamps(column: pa.Array) -> list[str | None]:
    # Through integers, because Arrow would read the zone's rules from a file.
    instants = column.view(pa.int64()).view(pa.timestamp(column.type.unit))
    text = pc.replace_substring(instants.cast(pa.string()), " ", "T")
    suffix = "" if column.type.tz is None else "Z"
    return [None if value is None else value + suffix for value in _without_idle_zeros(text)]


def _times(column: pa.Array) -> list[str | None]:
    return _without_idle_zeros(column.cast(pa.string()))


def _without_idle_zeros(text: pa.Array) -> list[str | None]:
    """Return times with no fraction, microseconds, or nanoseconds where there are any."""
    text = pc.replace_substring_regex(text, r"\.0+$", "")
    values: list[str | None] = pc.replace_substring_regex(text, r"(\.\d{6})000$", r"\1").to_pylist()
    return values


def _dates(column: pa.Array) -> list[str | None]:
    values: list[str | None] = column.cast(pa.string()).to_pylist()
    return values


def _durations(column: pa.Array) -> list[float | None]:
    per_second = _PER_SECOND[column.type.unit]
    return [None if value is None else value / per_second for value in column.view(pa.int64()).to_pylist()]


def _binaries(column: pa.Array) -> list[str | None]:
    return [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]


def _lists(column: pa.Array) -> list[list[Any] | None]:
    values = iter(plain(column.flatten()))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if length is None else list(islice(values, length)) for length in lengths]


def _structs(column: pa.Array) -> list[dict[str, Any] | None]:
    names = [field.name for field in column.type]
    rows = zip(*map(plain, column.flatten()), strict=True) if names else iter([()] * len(column))
    present = column.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, present, strict=True)]


def _maps(column: pa.Array) -> list[Any]:
    pair = pa.struct([("key", column.type.key_type), ("value", column.type.item_type)])
    values = _lists(column.cast(pa.list_(pair)))
    if not _is_text(column.type.key_type):
        return values
    return [None if pairs is None else {pair["key"]: pair["value"] for pair in pairs} for pairs in values]


def _is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind))


_CONVERSIONS: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]], ...]] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), lambda column: plain(column.storage)),
    (kinds.is_dictionary, lambda column: plain(column.dictionary_decode())),
    (kinds.is_floating, _doubles),
    (kinds.is_decimal, _decimals),
    (kinds.is_timestamp, _timestamps),
    (kinds.is_date, _dates),
    (kinds.is_time, _times),
    (kinds.is_duration, _durations),
    (_is_binary, _binaries),
    (_is_list, _lists),
    (kinds.is_struct, _structs),
    (kinds.is_map, _maps),
)
