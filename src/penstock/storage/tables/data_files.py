"""Data files as Iceberg records them: made from facts, checked against the table's columns and partitions."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.typedef import Record
from pyiceberg.types import PrimitiveType

from penstock.core.columns import Column, all_columns, spelled, wider
from penstock.core.errors import FileRefused, RequestInvalid, RowsOutside
from penstock.core.tables import ColumnFacts, FileFacts, Partition
from penstock.storage.tables.manifests import partition_values
from penstock.storage.tables.types import iceberg_type

_TEXT_BOUND: Final = 16  # characters, as Iceberg writers do
_VALUES: Final = (dt.date, int, str, bool, type(None))
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


def data_file(
    path: str, facts: FileFacts, columns: Sequence[Column], spec: PartitionSpec, *, name: str = ""
) -> DataFile:
    """Return the record of a file in a table with these columns.

    Args:
        path: where it is in the warehouse.
        facts: what its footer says.
        columns: of the table, by whose ids the file is read.
        spec: the table's partitioning.
        name: what to call the file in messages.

    Raises:
        FileRefused: when a column of the file is not one of the table's, or its type does not fit.
        RowsOutside: when the file holds rows of more than one partition, or says nothing of that.
    """
    name = name or path.rpartition("/")[2]
    _check_columns(name, facts.columns, columns)
    by_id = {column.id: column for column in columns}
    partition = tuple(_partition_value(name, field.name, facts, field.source_id) for field in spec.fields)
    bounds = {number: _bounds(by_id[number], column) for number, column in facts.facts.items()}
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(*[_stored(value) for value in partition]),
        record_count=facts.rows,
        file_size_in_bytes=facts.size_bytes,
        column_sizes={number: column.size_bytes for number, column in facts.facts.items()},
        value_counts={number: column.values for number, column in facts.facts.items()},
        null_value_counts={n: column.nulls for n, column in facts.facts.items() if column.nulls is not None},
        nan_value_counts={},
        lower_bounds={number: low for number, (low, _) in bounds.items() if low is not None},
        upper_bounds={number: high for number, (_, high) in bounds.items() if high is not None},
        key_metadata=None,
        split_offsets=list(facts.split_offsets) or None,
        equality_ids=None,
        sort_order_id=None,
        spec_id=spec.spec_id,
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is partitioned."""

    spec: PartitionSpec
    names: tuple[str, ...]
    kinds: tuple[str, ...]

    def partition(self, file: DataFile) -> Partition:
        """Return a file's partition: the values of the partition columns in all its rows."""
        return tuple(
            dt.date.fromordinal(value + _EPOCH) if kind == "date" and value is not None else value
            for value, kind in zip(partition_values(file), self.kinds, strict=True)
        )


def layout(spec: PartitionSpec, columns: Sequence[Column]) -> Layout:
    """Return how a table with these columns is partitioned."""
    by_id = {column.id: column for column in columns}
    sources = [by_id[field.source_id] for field in spec.fields]
    return Layout(spec, tuple(source.name for source in sources), tuple(str(source.type) for source in sources))


def check_partitions(files: Sequence[tuple[str, DataFile]], table: Layout, allowed: Collection[Partition]) -> None:
    """Make sure that files, each with its name, hold rows of the partitions named only.

    Raises:
        RowsOutside: when one does not; the message names its partition.
    """
    wanted = set(allowed)
    for name, file in files:
        partition = table.partition(file)
        if partition not in wanted:
            values = ", ".join(f"{column}={value}" for column, value in zip(table.names, partition, strict=True))
            raise RowsOutside(
                f"{name}: {file.record_count} rows of {values or 'a table without partitions'}, which is not among"
                f" the {len(wanted)} partitions that the task writes",
                hint="Filter these rows, or let the task write all of its table.",
            )


def check_values(name: str, columns: Sequence[str], partitions: Collection[Partition]) -> None:
    """Make sure that partitions are ones of a table that is partitioned by these columns.

    Raises:
        RequestInvalid: when one has another number of values, or a value of a type that no partition has.
    """
    for partition in partitions:
        if len(partition) != len(columns):
            raise RequestInvalid(
                f"a partition of {name} has a value for each of {', '.join(columns) or 'no columns'}",
                hint="Give the values in the order of the partition columns.",
            )
        if wrong := [value for value in partition if type(value) not in _VALUES]:
            raise RequestInvalid(
                f"a partition of {name} is given by a {type(wrong[0]).__name__}",
                hint="Give dates, whole numbers, texts, booleans, or None.",
            )


def stored_partitions(partitions: Collection[Partition]) -> frozenset[tuple[Any, ...]]:
    """Return partitions as Iceberg stores them: dates as days since 1970."""
    return frozenset(tuple(_stored(value) for value in partition) for partition in partitions)


def _check_columns(name: str, mine: Sequence[Column], columns: Sequence[Column]) -> None:
    if without := [column.name for column in all_columns(mine) if not column.id]:
        raise FileRefused(
            f"{name}: no field id on {', '.join(map(repr, without[:5]))}",
            hint="Write the file with the field ids that the lake gave for its columns.",
        )
    theirs = {column.id: column for column in all_columns(columns)}
    for column in all_columns(mine):
        known = theirs.get(column.id)
        if known is None or known.name != column.name:
            what = "no column" if known is None else f"the column {known.name!r}"
            raise FileRefused(
                f"{name}: {column.name!r} has the field id {column.id}, which is {what} of the table",
                hint="Write the file with the field ids that the lake gave for its columns.",
            )
        plain = isinstance(column.type, str)
        if not (wider(known.type, column.type) == known.type if plain else column.type == known.type):
            raise FileRefused(
                f"{name}: {column.name!r} is {spelled(column.type)}, the table has {spelled(known.type)}",
                hint="Cast the column to the table's type.",
            )


def _partition_value(name: str, column: str, facts: FileFacts, number: int) -> Any:
    if not facts.rows:
        raise FileRefused(f"{name} has no rows", hint="Leave out files without rows.")
    known = facts.facts.get(number)
    if known is None or known.nulls == known.values:
        return None
    if not known.exact or known.nulls is None or known.lowest is None:
        raise FileRefused(
            f"{name}: nothing is known of the values of {column!r}, which the table is partitioned by",
            hint="Write the file with statistics of its columns; values of partitions are shorter than 64 bytes.",
        )
    if known.lowest != known.highest or known.nulls:
        raise RowsOutside(
            f"{name} holds rows of more than one partition: {column} has several values"
            + (", and null" if known.nulls else ""),
            hint="Write files for each partition.",
        )
    return known.lowest


def _stored(value: Any) -> Any:
    ordinal = getattr(value, "toordinal", None)
    return value if ordinal is None else ordinal() - _EPOCH


def _bounds(column: Column, facts: ColumnFacts) -> tuple[bytes | None, bytes | None]:
    kind = iceberg_type(column.type)
    if facts.lowest is None or not isinstance(kind, PrimitiveType):
        return None, None
    low, high = facts.lowest, facts.highest
    if isinstance(low, str):
        low, high = low[:_TEXT_BOUND], _above(high)
    if isinstance(low, float) and (math.isnan(low) or math.isnan(high)):
        return None, None
    return to_bytes(kind, low), None if high is None else to_bytes(kind, high)


def _above(text: str) -> str | None:
    """Return a short text that no text with this beginning comes after."""
    if len(text) <= _TEXT_BOUND:
        return text
    for position in range(_TEXT_BOUND - 1, -1, -1):
        following = ord(text[position]) + 1
        if following == 0xD800:  # where the halves of pairs begin, which are no characters
            following = 0xE000
        if following <= 0x10FFFF:
            return text[:position] + chr(following)
    return None
