"""Columns of tables and their types; and how the columns of a table may change: be added and be widened, no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock.core import limits
from penstock.core.errors import SchemaRefused

# How many bytes of precision a type can hold that a wider one holds as well: what may become what.
_WIDER: Final = {"int": ("long",), "float": ("double",)}
_DECIMAL: Final = re.compile(r"decimal\((\d+), (\d+)\)")
_NAME_LENGTH_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class StructType:
    """Several named values in one."""

    fields: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class ListType:
    """Values of one type in order."""

    element: Column


@dataclass(frozen=True, slots=True)
class MapType:
    """Values by key."""

    key: Column
    value: Column


ColumnType = str | StructType | ListType | MapType


@dataclass(frozen=True, slots=True)
class Column:
    """One column, or one part of a nested one.

    Attributes:
        type: `boolean`, `int`, `long`, `float`, `double`, `decimal(p, s)`, `date`, `time`, `timestamp` (naive),
            `timestamptz` (UTC), `string`, `uuid`, `binary`, `fixed[n]`, or a nested type. Times have microseconds.
        id: what readers find it by, whatever it is called then; 0 as long as none is given.
    """

    name: str
    type: ColumnType
    id: int = 0


def with_ids(base: Sequence[Column], wanted: Sequence[Column], *, last_id: int) -> tuple[Column, ...]:
    """Return the columns of a table once these are written to it, each with its id.

    Columns are matched by name. One that the table has keeps its id; its type is the wider of the two. One that is not
    wanted stays, and is null in what is written. A new one comes last.

    Args:
        base: the table's columns; none for a new table.
        wanted: columns of what is to be written, whose ids do not matter.
        last_id: the highest id that the table has ever given.

    Raises:
        SchemaRefused: when a column would have to change in another way; with every difference, in words.
    """
    problems = _bad_names(base, wanted)
    new = {column.name: column for column in wanted}
    result = []
    for column in base:
        other = new.pop(column.name, None)
        merged = column.type if other is None else wider(column.type, other.type)
        if other is not None and merged is None:
            problems.append((column.name, f"the table has {spelled(column.type)}, this has {spelled(other.type)}"))
        result.append(replace(column, type=merged or column.type))
    if problems:
        raise refusal(problems)
    numbers = iter(range(last_id + 1, last_id + 100_000))
    return (*result, *(_numbered(column, numbers) for column in new.values()))


def union(one: Sequence[Column], other: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns of both, matched by their ids, each of the wider type.

    Raises:
        SchemaRefused: when two columns of one name have different ids, or no type holds what both hold.
    """
    result = {column.id: column for column in one}
    problems = []
    for column in other:
        mine = result.setdefault(column.id, column)
        kind = wider(mine.type, column.type)
        if kind is None:
            problems.append((column.name, f"it is {spelled(mine.type)} here and {spelled(column.type)} there"))
        result[column.id] = replace(mine, type=kind or mine.type)
    numbers: dict[str, int] = {}
    problems += [
        (column.name, "two runs have added it at the same time")
        for column in result.values()
        if numbers.setdefault(column.name.lower(), column.id) != column.id
    ]
    if problems:
        raise refusal(problems)
    return tuple(result.values())


def wider(one: ColumnType, other: ColumnType) -> ColumnType | None:
    """Return the type that holds what both hold without loss; None when there is none. Nested types never change."""
    if not isinstance(one, str) or not isinstance(other, str):
        return one if without_ids(one) == without_ids(other) else None
    if one == other or other in _WIDER.get(one, ()):
        return other
    if one in _WIDER.get(other, ()):
        return one
    mine, theirs = _DECIMAL.fullmatch(one), _DECIMAL.fullmatch(other)
    if mine and theirs and mine[2] == theirs[2]:
        return max(one, other, key=lambda text: int(text[8:].partition(",")[0]))
    return None


def without_ids(kind: ColumnType) -> ColumnType:
    """Return a type whose parts have no ids, to be compared."""

    def bare(column: Column) -> Column:
        return Column(column.name, without_ids(column.type))

    match kind:
        case StructType(fields):
            return StructType(tuple(map(bare, fields)))
        case ListType(element):
            return ListType(bare(element))
        case MapType(key, value):
            return MapType(bare(key), bare(value))
    return kind


def all_columns(columns: Sequence[Column]) -> Iterator[Column]:
    """Yield columns and, after each, its parts."""
    for column in columns:
        yield column
        yield from all_columns(parts(column.type))


def parts(kind: ColumnType) -> tuple[Column, ...]:
    """Return what a nested type is made of; nothing for another."""
    match kind:
        case StructType(fields):
            return fields
        case ListType(element):
            return (element,)
        case MapType(key, value):
            return (key, value)
    return ()


def type_tree(kind: ColumnType) -> Any:
    """Return a type as JSON, as children of the sandbox have it: text, or a mapping `struct`, `list` or `map`."""
    match kind:
        case StructType(fields):
            return {"struct": [[field.name, type_tree(field.type)] for field in fields]}
        case ListType(element):
            return {"list": type_tree(element.type)}
        case MapType(key, value):
            return {"map": [type_tree(key.type), type_tree(value.type)]}
    return kind


def spelled(kind: ColumnType) -> str:
    """Return a type in words that a person reads."""
    match kind:
        case StructType(fields):
            return f"struct<{', '.join(f'{field.name}: {spelled(field.type)}' for field in fields)}>"
        case ListType(element):
            return f"list<{spelled(element.type)}>"
        case MapType(key, value):
            return f"map<{spelled(key.type)}, {spelled(value.type)}>"
    return str(kind)


def refusal(problems: Sequence[tuple[str, str]]) -> SchemaRefused:
    """Return the error of columns that do not fit: each column's name, and what is wrong with it."""
    words = "; ".join(what if name == "*" else f"{name!r}: {what}" for name, what in problems)
    hint = (
        "Columns may be added, int may become long, float double, a decimal more digits. Cast the column to the"
        " table's type, or write it under another name."
    )
    many = "Take fewer columns, or keep those that nobody reads by name in one of JSON."
    return SchemaRefused(
        f"the columns do not fit: {words}",
        hint=many if any(name == "*" for name, _ in problems) else hint,
        problems=[{"place": name, "message": what} for name, what in problems],
    )


def _bad_names(base: Sequence[Column], wanted: Sequence[Column]) -> list[tuple[str, str]]:
    problems = [] if wanted else [("*", "there is no column")]
    if (count := len({column.name for column in (*base, *wanted)})) > limits.LAKE_COLUMNS.value:
        problems.append(("*", f"there are {count:,} columns; a table has {limits.LAKE_COLUMNS.value:,} at most"))
    seen = {column.name.lower(): column.name for column in base}
    mine: set[str] = set()
    for column in wanted:
        known = seen.setdefault(column.name.lower(), column.name)
        if not column.name or len(column.name) > _NAME_LENGTH_MAX or "\0" in column.name:
            problems.append((column.name[:40], f"a name has 1 to {_NAME_LENGTH_MAX} characters, none of them zero"))
        elif column.name in mine:
            problems.append((column.name, "there are two columns of this name"))
        elif known != column.name:
            problems.append((column.name, f"there is a column {known!r}, which many readers take for the same"))
        mine.add(column.name)
    return problems


def _numbered(column: Column, numbers: Iterator[int]) -> Column:
    def again(part: Column) -> Column:
        return _numbered(part, numbers)

    number = next(numbers)
    match column.type:
        case StructType(fields):
            return Column(column.name, StructType(tuple(map(again, fields))), number)
        case ListType(element):
            return Column(column.name, ListType(again(element)), number)
        case MapType(key, value):
            return Column(column.name, MapType(again(key), again(value)), number)
    return Column(column.name, column.type, number)
