"""A locked DuckDB connection that runs the statements of checks: it reads the folders it is given, and no more.

For trusted tables, such as those of tests and benchmarks. Statements that a person wrote belong into a locked child,
which can run the same texts.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from penstock.checks.validating import Execute, StatementFailed
from penstock.core import limits
from penstock.core.duckdb_sql import quoted, text

# Errors whose words are of the statement; those of others may hold what stands in rows.
_ABOUT_SQL: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
)


@contextlib.contextmanager
def open_engine(
    *, folders: Sequence[Path] = (), tables: Mapping[str, Any] | None = None, threads: int | None = None
) -> Iterator[Execute]:
    """Yield a function that runs one SELECT.

    Args:
        folders: whose files statements may read.
        tables: Arrow tables by the name under which statements find them.
        threads: that DuckDB uses; as many as there are cores when left out.
    """
    with duckdb.connect(":memory:") as connection:
        for name, table in (tables or {}).items():
            connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
            connection.register(name, table)
        listed = ", ".join(text(f"{folder.resolve()}/") for folder in folders)
        connection.execute(f"SET allowed_directories = [{listed}]")
        connection.execute("SET TimeZone = 'UTC'")
        if threads is not None:
            connection.execute(f"SET threads = {threads}")
        for setting in ("python_enable_replacements", "autoinstall_known_extensions", "autoload_known_extensions"):
            connection.execute(f"SET {setting} = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield _Engine(connection)


class _Engine:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __call__(self, sql: str, /) -> Sequence[Sequence[Any]]:
        timer = threading.Timer(limits.CHECK_WALL.value, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise StatementFailed("this is not one SELECT")
            return self._connection.execute(statements[0]).fetchall()
        except (duckdb.Error, RuntimeError) as error:  # an interruption is the latter
            raise StatementFailed(_words(error)) from error
        finally:
            timer.cancel()


def _words(error: Exception) -> str:
    if isinstance(error, _ABOUT_SQL):
        return str(error).split("\n")[0]
    if isinstance(error, duckdb.InterruptException | RuntimeError):
        return f"it took longer than {limits.CHECK_WALL.value} s"
    return f"DuckDB: {type(error).__name__}; what it says may hold values of rows, and is not shown"
