"""The profile `sql`: one SELECT over pinned Parquet files on DuckDB, written as Parquet into the staging folder.

DuckDB reads any file that its process can. Here the kernel leaves it its inputs and its staging folder, and DuckDB is
told the same and then told to take no more orders: what one of the two lets slip, the other stops.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Final

import duckdb

from penstock_guest.heavy.programs import bounded

_TEMPORARY: Final = ".spill"


def answer(ask: dict[str, Any]) -> dict[str, Any]:
    """Run a query over tables, and write its rows.

    Args:
        ask: `tables`: relation by name, each `files`, and `relation`, the SQL that reads them; `sql`: one SELECT;
            `output`: None to return `rows_max` rows, or `folder` and `options` of COPY; `threads`; `memory_bytes`;
            `readable`: files that the tables are made of.
    """
    began_s = time.monotonic()
    with _connect(ask) as connection:
        for name, table in ask["tables"].items():
            _make_view(connection, name, table["relation"])
        opened_s = time.monotonic()
        _one_select(connection, ask["sql"])
        result = _fetch(connection, ask) if ask["output"] is None else _write(connection, ask)
    return result | {"open_s": opened_s - began_s, "run_s": time.monotonic() - opened_s}


def describe(error: Exception) -> dict[str, Any]:
    """Return an engine's error in words; values of rows, which DuckDB puts into some of them, are left out."""
    kind = type(error).__name__
    code = "limit_memory" if kind == "OutOfMemoryException" else "sql_failed"
    message = str(error).partition("\n")[0] if isinstance(error, duckdb.Error) else kind
    if kind in ("ConversionException", "ConstraintException"):
        message = re.sub(r"\"[^\"]*\"|'[^']*'", "...", message)
    place = re.search(r"^LINE ([0-9]+):", str(error), re.MULTILINE)
    return {"code": code, "type": kind, "message": bounded(message), "line": int(place[1]) if place else None}


def _connect(ask: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    here = os.getcwd()
    config: dict[str, Any] = {
        "threads": ask["threads"],
        "memory_limit": f"{ask['memory_bytes']}B",
        "temp_directory": os.path.join(here, _TEMPORARY),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "preserve_insertion_order": "false",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET allowed_directories = ?", [[here + "/"]])
    connection.execute("SET allowed_paths = ?", [ask["readable"]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _make_view(connection: duckdb.DuckDBPyConnection, name: str, relation: str) -> None:
    schema, _, table = name.rpartition(".")
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
    qualified = f"{_quoted(schema)}.{_quoted(table)}" if schema else _quoted(table)
    connection.execute(f"CREATE VIEW {qualified} AS {relation}")


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Make a view of the query, which must be one SELECT and no more."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise duckdb.ParserException(f"one SELECT is expected, found: {kinds}")
    connection.execute("CREATE TEMP VIEW penstock_result AS " + sql.rstrip().rstrip(";"))


def _fetch(connection: duckdb.DuckDBPyConnection, ask: dict[str, Any]) -> dict[str, Any]:
    cursor = connection.execute(f"SELECT * FROM penstock_result LIMIT {int(ask['rows_max']) + 1}")
    columns = [[column[0], str(column[1])] for column in cursor.description]
    rows = cursor.fetchall()
    more = len(rows) > ask["rows_max"]
    return {"columns": columns, "rows": [[_plain(v) for v in row] for row in rows[: ask["rows_max"]]], "more": more}


def _write(connection: duckdb.DuckDBPyConnection, ask: dict[str, Any]) -> dict[str, Any]:
    output = ask["output"]
    described = connection.execute("DESCRIBE penstock_result").fetchall()
    target = os.path.join(os.getcwd(), output["name"])
    options = ", ".join(["FORMAT parquet", "RETURN_STATS", *output["options"]])
    written = connection.execute(f"COPY penstock_result TO {_literal(target)} ({options})")
    names = [column[0] for column in written.description]
    files = [dict(zip(names, row, strict=True)) for row in written.fetchall()]
    return {
        "columns": [[row[0], row[1]] for row in described],
        "files": [
            {"path": file["filename"], "rows": file["count"], "size_bytes": file["file_size_bytes"]} for file in files
        ],
        "rows": sum(file["count"] for file in files),
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
