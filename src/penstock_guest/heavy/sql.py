"""The profile `sql`: SELECTs over pinned Parquet files on DuckDB, written as Parquet into the staging folder.

DuckDB reads any file that its process can. Here the kernel leaves it its inputs and its staging folder, and DuckDB is
told the same and then told to take no more orders: what one of the two lets slip, the other stops.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Iterator
from typing import Any, Final

import _duckdb as duckdb  # without its Python layer, whose imports take longer than all else here

from penstock_guest.heavy.programs import SPILL, bounded
from penstock_guest.heavy.sql_session import SqlSession, make_view, one_select
from penstock_guest.heavy.sql_types import NANOSECONDS, literal, quoted

# What DuckDB uses beside the memory that it counts: 80 MiB, measured over sorts, joins and groups that spill.
_UNCOUNTED_BYTES: Final = 64 * 2**20
_COUNTED_SHARE: Final = 0.8
_SPILLED_SHARE: Final = 0.9
_SPILL_BOUND: Final = "max_temp_directory_size"  # in the words of a spill that found no more room
_FILE_BOUND: Final = "File too large"  # in those of a write beyond the bound of a file
_NO_ROOM: Final = "No space left on device"
_PLAIN_TYPES: Final = {
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("FLOAT", "DOUBLE", "VARCHAR"),
}
# Errors whose words come from the query; in those of all others, values of rows may stand.
_OF_THE_QUERY: Final = {
    *("BinderException", "CatalogException", "NotImplementedException", "OutOfMemoryException", "ParserException"),
    *("PermissionException", "SyntaxException"),
}
_OF_EITHER: Final = "NotImplementedException"  # also for a time zone that a row names
_INSTEAD: Final = {
    "ConversionException": "a value of the data cannot be converted",
    "InvalidInputException": "a function does not take a value that it was given",
    "IOException": "a file cannot be read or written",
    "OutOfRangeException": "a value lies outside of what its type holds",
}
_NOT_SHOWN: Final = "what DuckDB says of it may hold values of rows, and is not shown"
_OVERFLOW: Final = re.compile(r"Overflow in [a-z]+(?: [a-z]+)? of [A-Z]+[0-9]*(?![A-Za-z0-9])")
_QUOTED: Final = re.compile(r"\".*\"|'.*'", re.DOTALL)
# Names of columns, tables and functions that DuckDB has found alike, in a line below its words.
_ALIKE: Final = re.compile(r'^(?:Candidate (?:bindings|tables):[: ]*|Did you mean )("[^\n]+")', re.MULTILINE)
_NO_SCHEMA: Final = re.compile(r' because schema "[^"\n]*" does not exist')  # one is made for tables there are
_LINE: Final = re.compile(r"^LINE ([0-9]{1,6}):", re.MULTILINE)


def answer(ask: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    """Run a query over tables, and write its rows.

    Args:
        ask: `tables`: relation by name, each `relation`, the SQL that reads it; `sql`: one SELECT; `output`: None to
            return `rows_max` rows, or `name` in the staging folder, `options` of COPY and a `format` unless it is
            Parquet; `readable`: files that the tables are made of.
        limits: `memory_bytes`, `disk_bytes` and `threads`.
    """
    began_s = time.monotonic()
    with _connect(ask, limits) as connection:
        for name, table in ask["tables"].items():
            make_view(connection, name, table["relation"])
        opened_s = time.monotonic()
        one_select(connection, ask["sql"])
        result = _fetch(connection, ask) if ask["output"] is None else _write(connection, ask)
    return result | {"open_s": opened_s - began_s, "run_s": time.monotonic() - opened_s}


@contextlib.contextmanager
def converse(ask: dict[str, Any], limits: dict[str, Any]) -> Iterator[SqlSession]:
    """Give an engine that answers one question after the other.

    Args:
        ask: `tables`, by name, each with its `relation`; `readable`: files that they are made of; `ordered`: whether
            rows come in the order in which the files have them, which takes more memory.
        limits: as for one answer.
    """
    with _connect(ask, limits) as connection:
        for name, table in ask["tables"].items():
            make_view(connection, name, table["relation"])
        yield SqlSession(connection)


def describe(error: Exception) -> dict[str, Any]:
    """Return an engine's error in words; of one that values of rows may stand in, its kind only."""
    kind, words = type(error).__name__, str(error)
    place = _LINE.search(words) if kind in _OF_THE_QUERY else None  # others count in what reads the query's rows
    code = "sql_failed"
    if kind == "OutOfMemoryException":
        code = "limit_disk" if _SPILL_BOUND in words else "limit_memory"
    if kind == "IOException" and _FILE_BOUND in words:
        code, message = "limit_disk", "a file grew beyond the disk limit"
    elif kind == "IOException" and _NO_ROOM in words:
        code, message = "disk_full", _NO_ROOM
    elif not isinstance(error, duckdb.Error):
        message = kind
    elif kind == _OF_EITHER:
        message = _QUOTED.sub("...", words).partition("\n")[0]
    else:
        message = _with_names(words) if kind in _OF_THE_QUERY else _without_values(kind, words)
    return {"code": code, "type": kind, "message": bounded(message), "line": int(place[1]) if place else None}


def _with_names(words: str) -> str:
    """Return the first line of words about a query, and the names that it may have meant."""
    first = _NO_SCHEMA.sub("", words.partition("\n")[0])
    alike = _ALIKE.search(words)
    return first if alike is None else f"{first.rstrip('!')}; did you mean {alike[1]}?"


def _without_values(kind: str, words: str) -> str:
    """Return a kind of error in DuckDB's words, and what it means in ours."""
    shown = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.removesuffix("Exception").removesuffix("Error")).replace(
        " Of ", " of "
    )
    said = _INSTEAD.get(kind, "the query could not be carried out")
    if kind == "OutOfRangeException" and (overflow := _OVERFLOW.match(words.removeprefix("Out of Range Error: "))):
        said = overflow[0]
    if words.endswith(NANOSECONDS):  # of which it is certain that no value is in them
        return f"{shown} Error: {NANOSECONDS}"
    return f"{shown} Error: {said}; {_NOT_SHOWN}".lstrip()


def _connect(ask: dict[str, Any], limits: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    here = os.getcwd()
    config: dict[str, Any] = {
        "threads": limits["threads"],
        "memory_limit": f"{max(_UNCOUNTED_BYTES, int(limits['memory_bytes'] * _COUNTED_SHARE) - _UNCOUNTED_BYTES)}B",
        "temp_directory": os.path.join(here, SPILL),
        "max_temp_directory_size": f"{int(limits['disk_bytes'] * _SPILLED_SHARE)}B",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "allow_community_extensions": "false",
        "preserve_insertion_order": "true" if ask.get("ordered") else "false",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    _lock(connection, reads=ask["readable"], writes=here)
    return connection


def _lock(connection: duckdb.DuckDBPyConnection, *, reads: list[str], writes: str) -> None:
    connection.execute("SET allowed_directories = ?", [[writes + "/"]])
    connection.execute("SET allowed_paths = ?", [reads])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _fetch(connection: duckdb.DuckDBPyConnection, ask: dict[str, Any]) -> dict[str, Any]:
    """Return rows; what JSON has no form for comes as DuckDB writes it in text."""
    columns = _columns(connection)
    picked = ", ".join(
        quoted(name) if kind in _PLAIN_TYPES else f"CAST({quoted(name)} AS VARCHAR)" for name, kind in columns
    )
    rows = connection.execute(f"SELECT {picked} FROM penstock_result LIMIT {int(ask['rows_max']) + 1}").fetchall()
    more = len(rows) > ask["rows_max"]
    return {"columns": columns, "rows": [[_plain(v) for v in row] for row in rows[: ask["rows_max"]]], "more": more}


def _write(connection: duckdb.DuckDBPyConnection, ask: dict[str, Any]) -> dict[str, Any]:
    output = ask["output"]
    target = os.path.join(os.getcwd(), output["name"])
    if (kind := output.get("format", "parquet")) != "parquet":
        listed = ", ".join([f"FORMAT {kind}", "USE_TMP_FILE false", *output["options"]])
        (rows,) = connection.execute(f"COPY penstock_result TO {literal(target)} ({listed})").fetchall()[0]
        size_bytes = os.path.getsize(target)
        return {
            "columns": _columns(connection),
            "files": [{"path": target, "rows": rows, "size_bytes": size_bytes}],
            "rows": rows,
        }
    options = ["FORMAT parquet", "RETURN_STATS", *output["options"]]
    if not any(option.upper().startswith(("PARTITION_BY", "PER_THREAD", "FILE_SIZE")) for option in options):
        options.append("USE_TMP_FILE false")  # nothing is renamed in a staging folder
    written = connection.execute(f"COPY penstock_result TO {literal(target)} ({', '.join(options)})")
    names = [column[0] for column in written.description]
    files = [dict(zip(names, row, strict=True)) for row in written.fetchall()]
    return {
        "columns": _columns(connection),
        "files": [
            {"path": file["filename"], "rows": file["count"], "size_bytes": file["file_size_bytes"]} for file in files
        ],
        "rows": sum(file["count"] for file in files),
    }


def _columns(connection: duckdb.DuckDBPyConnection) -> list[list[str]]:
    return [[row[0], row[1]] for row in connection.execute("DESCRIBE penstock_result").fetchall()]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
