"""Rows of a table's Parquet file as the table has them now. Needs the profile arrow.

A file keeps the columns that the table had when it was written: fewer, narrower, under the same ids. So each column is
found by its id, cast to the type that it has now, and null where the file does not have it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

_FIELD_ID: Final = b"PARQUET:field_id"
_DECIMAL: Final = re.compile(r"decimal\((\d+), (\d+)\)")
_FIXED: Final = re.compile(r"fixed\[(\d+)\]")
_TYPES: Final[dict[str, pa.DataType]] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "string": pa.string(),
    "uuid": pa.string(),  # JSON has no other form for it, and neither have most readers of Arrow
    "binary": pa.binary(),
}

Wanted = Sequence[tuple[int, str, Any]]  # id, name, type; a nested type is a mapping: `list`, `map`, `struct`


def shaped(batch: pa.RecordBatch, wanted: Wanted) -> pa.RecordBatch:
    """Return rows with exactly these columns, in this order."""
    places = {_id(field): place for place, field in enumerate(batch.schema)}
    arrays, fields = [], []
    for number, name, kind in wanted:
        target = _type(kind)
        place = places.get(number)
        values = pa.nulls(batch.num_rows, target) if place is None else _cast(batch.column(place), kind, target)
        arrays.append(values)
        fields.append(pa.field(name, values.type))
    return pa.record_batch(arrays, schema=pa.schema(fields))


def _id(field: pa.Field) -> int:
    number = (field.metadata or {}).get(_FIELD_ID, b"")
    return int(number) if number.isdigit() else -1


def _cast(values: pa.Array, kind: Any, target: pa.DataType) -> pa.Array:
    if kind == "uuid":
        found = [
            value if value is None or isinstance(value, uuid.UUID) else _uuid(value) for value in values.to_pylist()
        ]
        return pa.array([None if value is None else str(value) for value in found], pa.string())
    if not isinstance(kind, str) or values.type == target:
        return values  # a nested column is what it always was
    return values.cast(target)


def _uuid(value: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=value)


def _type(kind: Any) -> pa.DataType:
    match kind:
        case {"list": element}:
            return pa.list_(_type(element))
        case {"map": [key, value]}:
            return pa.map_(_type(key), _type(value))
        case {"struct": parts}:
            return pa.struct([pa.field(name, _type(part)) for name, part in parts])
    if found := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(found[1]), int(found[2]))
    if found := _FIXED.fullmatch(kind):
        return pa.binary(int(found[1]))
    return _TYPES[kind]
