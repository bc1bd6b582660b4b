"""Several questions to one engine: what a query's columns are, its rows into files, and rows of other queries.

A task writes to a table in two steps, with the lake's word in between on the ids of the columns; and a suite asks
later questions that follow from the answers to earlier ones. Both have one process.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import os
from typing import Any, Final

import _duckdb as duckdb  # without its Python layer, whose imports take longer than all else here

from penstock_guest.heavy.sql_types import NoPlace, column, literal, quoted

_RESULT: Final = "penstock_result"
_INTEGER_MAX: Final = 2**63


class SqlSession:
    """An engine whose tables are there, and which is locked.

    Args:
        connection: to DuckDB.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._picked = ""

    def answer(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Answer one question: `views`, `columns`, `write` or `rows`."""
        acts = {"views": self._views, "columns": self._columns, "write": self._write, "rows": self._rows}
        return acts[ask["act"]](ask)

    def _views(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Make views that were not known when the engine was started.

        Args:
            ask: `views`: the SQL that reads each, by name.
        """
        for name, relation in ask["views"].items():
            make_view(self._connection, name, relation)
        return {}

    def _columns(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of a query as a table has them; the rows are written afterwards.

        Args:
            ask: `sql`: one SELECT; `known`: the table's types by name, as DuckDB writes them; `added`: name, type of
                the table and literal of columns with one value, which are left out where the query has them.
        """
        one_select(self._connection, ask["sql"])
        found = self._connection.execute(f"FROM {_RESULT} LIMIT 0").description  # which reads no row
        names = {described[0].lower() for described in found}
        columns: list[list[Any]] = []
        problems: list[list[str]] = []
        picked = []
        for name, kind, *_ in found:
            try:
                type_, value = column(name, kind, known=ask["known"].get(name))
            except NoPlace as error:
                problems.append([name, str(error)])
                continue
            columns.append([name, type_])
            picked.append(value)
        added = [one for one in ask["added"] if one[0].lower() not in names]
        columns += [[name, type_] for name, type_, _ in added]
        picked += [f"{value} AS {quoted(name)}" for name, _, value in added]
        self._picked = ", ".join(picked)
        return {"columns": columns, "problems": problems, "added": [name for name, _, _ in added]}

    def _write(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Write the rows of the query whose columns were asked for.

        Args:
            ask: `name` in the staging folder; `ids`: of the columns, as COPY's option has them; `partition_by`: names
                of columns, whose values then are of one kind in each file.
        """
        target = os.path.join(os.getcwd(), ask["name"])
        options = ["FORMAT parquet", "COMPRESSION zstd", "RETURN_STATS", f"FIELD_IDS {ask['ids']}"]
        if ask["partition_by"]:
            listed = ", ".join(map(quoted, ask["partition_by"]))
            options += [f"PARTITION_BY ({listed})", "WRITE_PARTITION_COLUMNS true"]
        else:
            options.append("USE_TMP_FILE false")  # nothing is renamed in a staging folder
        query = f"SELECT {self._picked} FROM {_RESULT}"
        written = self._connection.execute(f"COPY ({query}) TO {literal(target)} ({', '.join(options)})")
        names = [described[0] for described in written.description]
        files = [dict(zip(names, row, strict=True)) for row in written.fetchall()]
        return {
            "files": [
                [file["filename"], file["count"], dict(file["partition_keys"] or {}) if ask["partition_by"] else {}]
                for file in files
            ]
        }

    def _rows(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Return rows of a query, up to `rows_max`; what JSON has no form for comes as a pair of a mark and text."""
        statements = self._connection.extract_statements(ask["sql"])
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise duckdb.ParserException("this is not one SELECT")
        rows = self._connection.execute(statements[0]).fetchmany(ask["rows_max"])
        return {"rows": [[plain(value) for value in row] for row in rows]}


def make_view(connection: duckdb.DuckDBPyConnection, name: str, relation: str) -> None:
    """Give a relation a name, with a schema where that has one."""
    schema, _, table = name.rpartition(".")
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    qualified = f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)
    connection.execute(f"CREATE VIEW {qualified} AS {relation}")


def one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Make a view of the query, which must be one SELECT and no more."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise duckdb.ParserException(f"one SELECT is expected, found: {kinds}")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {_RESULT} AS " + sql.rstrip().rstrip(";"))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: a mapping with a mark and text for what it has no form for."""
    match value:
        case bool() | str() | None:
            return value
        case int():
            return value if -_INTEGER_MAX <= value < _INTEGER_MAX else {"int": str(value)}
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case decimal.Decimal():
            return {"decimal": str(value)}
        case dt.date() | dt.time():  # a datetime is a date
            return {"time": value.isoformat()}
        case list() | tuple():
            return [plain(one) for one in value]
    return {"text": str(value)}
