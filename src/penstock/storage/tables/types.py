"""Types of columns, there and back: ours, Iceberg's and Arrow's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from pyiceberg.types import ListType as IcebergList
from pyiceberg.types import MapType as IcebergMap
from pyiceberg.types import StructType as IcebergStruct

from penstock.core import limits
from penstock.core.columns import Column, ColumnType, ListType, MapType, StructType, refusal, spelled

FIELD_ID: Final = b"PARQUET:field_id"

_PLAIN: Final[dict[str, IcebergType]] = {
    str(kind): kind
    for kind in (
        BooleanType(),
        IntegerType(),
        LongType(),
        FloatType(),
        DoubleType(),
        DateType(),
        TimeType(),
        TimestampType(),
        TimestamptzType(),
        StringType(),
        UUIDType(),
        BinaryType(),
    )
}
_ARROW: Final[dict[str, pa.DataType]] = {
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
    "uuid": pa.binary(16),
    "binary": pa.binary(),
}
_OURS: Final = {kind: name for name, kind in _ARROW.items() if name != "uuid"}
_ADVICE: Final = {
    "uint": "it has no sign: cast it to a signed integer",
    "null": "it has no values, so no type: leave it out or cast it",
}


def columns_of_arrow(schema: pa.Schema) -> tuple[Column, ...]:
    """Return the columns of an Arrow schema; their ids are those that it carries, else 0.

    Raises:
        SchemaRefused: when a type has no place in a table; with every such column.
    """
    problems: list[tuple[str, str]] = []
    columns = tuple(_column_of_arrow(field, problems, field.name) for field in schema)
    if len(columns) > limits.LAKE_COLUMNS.value:
        problems.append(("*", f"there are {len(columns)} columns; a table has {limits.LAKE_COLUMNS.value} at most"))
    if problems:
        raise refusal(problems)
    return columns


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of columns, whose ids a Parquet writer puts into the file."""
    return pa.schema([_arrow_field(column) for column in columns])


def columns_of_iceberg(schema: Schema) -> tuple[Column, ...]:
    """Return the columns of an Iceberg schema."""
    return tuple(_column_of_field(field) for field in schema.fields)


def iceberg_schema(columns: Sequence[Column], *, schema_id: int) -> Schema:
    """Return the Iceberg schema of columns, each of which may be null."""
    return Schema(*[_field(column) for column in columns], schema_id=schema_id)


def iceberg_type(kind: ColumnType) -> IcebergType:
    """Return the Iceberg type of a column."""
    match kind:
        case StructType(fields):
            return IcebergStruct(*[_field(field) for field in fields])
        case ListType(element):
            return IcebergList(element.id, iceberg_type(element.type), element_required=False)
        case MapType(key, value):
            return IcebergMap(key.id, iceberg_type(key.type), value.id, iceberg_type(value.type), value_required=False)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind.startswith("decimal"):
        precision, scale = kind[8:-1].split(",")
        return DecimalType(int(precision), int(scale))
    if kind.startswith("fixed"):
        return FixedType(int(kind[6:-1]))
    raise refusal([(kind, "there is no such type")])


def _field(column: Column) -> NestedField:
    return NestedField(column.id, column.name, iceberg_type(column.type), required=False)


def _column_of_field(field: NestedField) -> Column:
    return Column(field.name, _type_of_iceberg(field.field_type), field.field_id)


def _type_of_iceberg(kind: IcebergType) -> ColumnType:
    match kind:
        case IcebergStruct():
            return StructType(tuple(_column_of_field(field) for field in kind.fields))
        case IcebergList():
            return ListType(_column_of_field(kind.element_field))
        case IcebergMap():
            return MapType(_column_of_field(kind.key_field), _column_of_field(kind.value_field))
    return str(kind)


def _column_of_arrow(field: pa.Field, problems: list[tuple[str, str]], place: str) -> Column:
    metadata = field.metadata or {}
    number = metadata.get(FIELD_ID, b"0")
    kind = _type_of_arrow(field.type, problems, place)
    return Column(field.name, kind, int(number) if number.isdigit() else 0)


def _type_of_arrow(kind: pa.DataType, problems: list[tuple[str, str]], place: str) -> ColumnType:
    def part(field: pa.Field, name: str = "") -> Column:
        column = _column_of_arrow(field, problems, f"{place}.{name or field.name}")
        return Column(name or column.name, column.type, column.id)

    if pa.types.is_struct(kind):
        return StructType(tuple(part(field) for field in kind.fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return ListType(part(kind.value_field, "element"))
    if pa.types.is_map(kind):
        return MapType(part(kind.key_field, "key"), part(kind.item_field, "value"))
    if pa.types.is_dictionary(kind):
        return _type_of_arrow(kind.value_type, problems, place)
    name = _name_of_arrow(kind)
    if name is None:
        problems.append((place, _advice(kind)))
    return name or "string"


def _name_of_arrow(kind: pa.DataType) -> str | None:
    if kind in _OURS:
        return _OURS[kind]
    if kind in (pa.int8(), pa.int16()):
        return "int"
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return "binary"
    if isinstance(kind, pa.UuidType):
        return "uuid"
    if pa.types.is_fixed_size_binary(kind):
        return f"fixed[{kind.byte_width}]"
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return "timestamptz"  # of another zone than UTC; the instant is the same
    return None


def _advice(kind: pa.DataType) -> str:
    if pa.types.is_unsigned_integer(kind):
        return _ADVICE["uint"]
    if pa.types.is_null(kind):
        return _ADVICE["null"]
    if getattr(kind, "unit", "") in ("s", "ms", "ns"):
        return "a table holds microseconds: cast it to them"
    return f"there is no place in a table for the type {kind}"


def _arrow_field(column: Column) -> pa.Field:
    return pa.field(column.name, _arrow_type(column.type), metadata={FIELD_ID: str(column.id).encode()})


def _arrow_type(kind: ColumnType) -> Any:
    match kind:
        case StructType(fields):
            return pa.struct([_arrow_field(field) for field in fields])
        case ListType(element):
            return pa.list_(_arrow_field(element))
        case MapType(key, value):
            return pa.map_(_arrow_field(key).with_nullable(nullable=False), _arrow_field(value))
    if kind in _ARROW:
        return _ARROW[kind]
    if kind.startswith("decimal"):
        precision, scale = kind[8:-1].split(",")
        return pa.decimal128(int(precision), int(scale))
    if kind.startswith("fixed"):
        return pa.binary(int(kind[6:-1]))
    raise refusal([(spelled(kind), "there is no such type")])
