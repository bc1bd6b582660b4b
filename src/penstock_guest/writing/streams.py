"""Reads a spool of Arrow streams: once for their columns, then for their rows. Needs the profile arrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as kinds

from penstock_guest.reading.plain import plain
from penstock_guest.writing.errors import SpoolError

_LENGTH_BYTES: Final = 8


def schema_of(spool: memoryview) -> pa.Schema:
    """Return the columns of all streams, in order of first appearance, each in the type that holds all its values.

    Raises:
        SpoolError: when there is none, or the spool is no sequence of streams.
    """
    columns: dict[str, pa.DataType] = {}
    for stream in _streams(spool):
        names = stream.schema.names
        if len(set(names)) < len(names):
            raise SpoolError("output_invalid", "the table returned has two columns of one name", hint="Rename one.")
        for field in stream.schema:
            kind = _value_type(field.type)
            columns[field.name] = _merged(field.name, columns.get(field.name, kind), kind)
    return pa.schema([(name, pa.string() if kinds.is_null(kind) else kind) for name, kind in columns.items()])


def tables_of(spool: memoryview, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield some rows at a time, with the columns and types of the schema."""
    for stream in _streams(spool):
        for batch in _batches(stream):
            yield pa.Table.from_arrays([_column(batch, field) for field in schema], schema=schema)


def columns_of(spool: memoryview, schema: pa.Schema) -> Iterator[list[list[Any]]]:
    """Yield the values of some rows as JSON has them, a list for each column."""
    for table in tables_of(spool, schema):
        for batch in table.to_batches():
            yield [plain(column) for column in batch.columns]


def _streams(spool: memoryview) -> Iterator[pa.ipc.RecordBatchStreamReader]:
    at = 0
    while at < len(spool):
        size = int.from_bytes(spool[at : at + _LENGTH_BYTES], "little")
        at += _LENGTH_BYTES + size
        if at > len(spool):
            raise SpoolError("reply_forged", "the spool ends amid an Arrow stream")
        try:
            yield pa.ipc.open_stream(pa.py_buffer(spool[at - size : at]))
        except pa.ArrowInvalid as error:
            raise _invalid(error) from error


def _batches(stream: pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    try:
        for batch in stream:
            batch.validate(full=True)  # a script's child gave it out, so it may be anything
            yield batch
    except (pa.ArrowException, OSError) as error:
        raise _invalid(error) from error


def _invalid(error: Exception) -> SpoolError:
    return SpoolError("reply_forged", f"the output is no Arrow stream: {str(error)[:200]}")


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if kinds.is_dictionary(kind) else kind


def _merged(name: str, one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both; integers become doubles, a decimal stays exact."""
    try:
        schemas = [pa.schema([(name, kind)]) for kind in (one, other)]
        merged = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        merged = None
    if merged is None or (kinds.is_floating(merged) and (kinds.is_decimal(one) or kinds.is_decimal(other))):
        message = f"column {name!r} is {one} in one chunk and {other} in another"
        raise SpoolError("output_types_differ", message, hint="Cast it to one type in the script.")
    return merged


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    place = batch.schema.get_field_index(field.name)
    if place < 0 or kinds.is_null(batch.column(place).type):
        return pa.nulls(batch.num_rows, field.type)
    try:
        return batch.column(place).cast(field.type)
    except pa.ArrowInvalid as error:
        message = f"column {field.name!r} has values that {field.type}, the type of all chunks together, cannot hold"
        raise SpoolError("output_types_differ", message, hint="Cast it to one type in the script.") from error
