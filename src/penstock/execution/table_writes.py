"""Writing a query's rows to a table: one locked child says its columns and writes its files; the lake says their ids.

child   the columns of the query, with those that are added
lake    begin: whether they fit, and which ids they have
child   Parquet files with these ids, of one partition each
lake    commit
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penstock.base.ids import new_id
from penstock.core import duckdb_sql, limits
from penstock.core.columns import Column, ColumnType, ListType, MapType, StructType, refusal, spelled, wider
from penstock.core.errors import Bug, RowsOutside, SchemaRefused
from penstock.core.ports.pipelines import TableWrite
from penstock.core.tables import Partition, WriteOrder, Writing

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_PLAIN: Final = re.compile(
    r"boolean|int|long|float|double|date|time|timestamp|timestamptz|string|uuid|binary|null|decimal\(\d{1,2}, \d{1,2}\)"
)
_DEPTH_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class QueryColumns:
    """What a query gives.

    Attributes:
        added: names of those that the write adds because the query has none of that name.
    """

    columns: tuple[Column, ...]
    added: frozenset[str]


def query_columns(ask: Ask, sql: str, write: TableWrite, known: Sequence[Column]) -> QueryColumns:
    """Return the columns that a query's rows will have.

    Args:
        ask: asks the engine.
        sql: the query.
        write: what is added to it.
        known: columns of the table.

    Raises:
        SchemaRefused: when a table has no place for the type of one, or the table is frozen and does not have it.
    """
    types = {column.name: duckdb_sql.sql_type(column.type) for column in known}
    added = [[column.name, column.type, literal(value, column.type)] for column, value in write.added]
    found = ask({"act": "columns", "sql": sql, "known": types, "added": added})
    if found["problems"]:
        raise refusal([(str(name), str(what)) for name, what in found["problems"]])
    theirs = {column.name: column.type for column in known}
    columns = tuple(Column(str(name), _type(type_) or theirs[name]) for name, type_ in found["columns"])
    _require_added(write, columns)
    if write.policy == "freeze" and known:
        _require_frozen(write, known, columns)
    return QueryColumns(columns, frozenset(map(str, found["added"])))


def query_files(
    ask: Ask, write: TableWrite, found: QueryColumns, writing: Writing, *, staging: Path
) -> list[tuple[Path, int]]:
    """Let the engine write the rows of the query, and return each file with its number of rows.

    Raises:
        RowsOutside: when rows lie outside of the partitions that are replaced.
    """
    ids = {column.name: column for column in writing.columns}
    one_partition = set(write.partition_by) <= found.added
    answer = ask(
        {
            "act": "write",
            "name": f"rows-{new_id('f')[2:].lower()}" + (".parquet" if one_partition else ""),
            "ids": duckdb_sql.field_ids([ids[column.name] for column in found.columns]),
            "partition_by": [] if one_partition else list(write.partition_by),
        }
    )
    files = [(_inside(staging, str(path)), int(rows), dict(keys)) for path, rows, keys in answer["files"]]
    if write.mode == "replace_partitions" and not one_partition:
        _require_inside(write, [(rows, keys) for _, rows, keys in files])
    return [(path, rows) for path, rows, _ in files]


def order_of(write: TableWrite, **words: Any) -> WriteOrder:
    """Return the order of a write."""
    return WriteOrder(
        table=write.table,
        mode=write.mode,
        partition_by=write.partition_by,
        partitions=write.partitions,
        depends_on_table=write.depends_on_table,
        **words,
    )


def literal(value: Any, kind: ColumnType) -> str:
    """Return a value as SQL, of a column's type."""
    if value is None:
        return f"CAST(NULL AS {duckdb_sql.sql_type(kind)})"
    return f"CAST({duckdb_sql.text(_text(value))} AS {duckdb_sql.sql_type(kind)})"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _type(said: Any, *, depth: int = 0) -> ColumnType | None:
    """Return a type as the engine has said it; None for one without values, which is the table's, whatever that is."""
    if depth > _DEPTH_MAX:
        raise Bug("an engine named a type that is nested too deeply", hint="Report this line.")
    match said:
        case str() if _PLAIN.fullmatch(said):
            return None if said == "null" else said
        case {"list": element}:
            return ListType(_part("element", element, depth))
        case {"map": [key, value]}:
            return MapType(_part("key", key, depth), _part("value", value, depth))
        case {"struct": list(parts)}:
            return StructType(tuple(_part(str(name), part, depth) for name, part in parts))
    raise Bug("an engine named a type that there is not", hint="Report this line.")


def _part(name: str, said: Any, depth: int) -> Column:
    kind = _type(said, depth=depth + 1)
    if kind is None:
        raise Bug("an engine named a part without a type", hint="Report this line.")
    return Column(name, kind)


def _require_added(write: TableWrite, columns: Sequence[Column]) -> None:
    """Raise when the rows have a column that would be added, of another type: whoever reads by it would miss them."""
    mine = {column.name: column.type for column in columns}
    problems = [
        (column.name, f"it is {spelled(mine[column.name])}, and has to be {spelled(column.type)}")
        for column, _ in write.added
        if column.name in mine and mine[column.name] != column.type
    ]
    if problems:
        raise refusal(problems)


def _require_frozen(write: TableWrite, known: Sequence[Column], columns: Sequence[Column]) -> None:
    theirs = {column.name: column.type for column in known}
    problems = []
    for column in columns:
        mine = theirs.get(column.name)
        if mine is None:
            problems.append((column.name, f"it is new, {spelled(column.type)}"))
        elif (merged := wider(mine, column.type)) != mine and (merged is not None or mine != column.type):
            problems.append((column.name, f"the table has {spelled(mine)}, this has {spelled(column.type)}"))
    if problems:
        raise SchemaRefused(
            f"the columns of {write.table} are frozen: "
            + "; ".join(f"{name!r}: {what}" for name, what in problems[: limits.SAMPLES.value]),
            hint="Say schema: evolve to let columns arrive and widen, or leave them out of what is written.",
            problems=[{"place": name, "message": what} for name, what in problems],
        )


def _require_inside(write: TableWrite, files: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Raise when rows lie outside: with counts, since what stands in partition columns are values of rows."""
    wanted = {_key(partition) for partition in write.partitions}
    total = sum(rows for rows, _ in files)
    outside = [(rows, keys) for rows, keys in files if tuple(map(keys.get, write.partition_by)) not in wanted]
    if not outside:
        return
    rows = sum(count for count, _ in outside)
    nulls = sum(count for count, keys in outside if None in map(keys.get, write.partition_by))
    names, missing = ", ".join(write.partition_by), f", {nulls:,} of them without a value" if nulls else ""
    only = "; ".join(", ".join(map(str, key)) for key in sorted(wanted, key=repr)[:3]) if len(wanted) <= 3 else ""
    raise RowsOutside(
        f"{rows:,} of {total:,} rows lie outside of the {len(wanted)} partitions of {write.table} that the task writes"
        f" ({names}{': ' + only if only else ''}){missing}",
        hint=f"Filter them by {names}, or let the task write all of its table: window: all.",
    )


def _key(partition: Partition) -> tuple[str | None, ...]:
    return tuple(None if value is None else _text(value) for value in partition)


def _inside(staging: Path, path: str) -> Path:
    """Return a file that an engine says it has written, if it is one of the staging folder: it might name any other."""
    found = Path(path)
    if not found.is_relative_to(staging) or ".." in found.parts:
        raise Bug("an engine named a file outside of its staging folder", hint="Report this line.")
    return found
