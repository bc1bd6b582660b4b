"""SQL for the paths that every job takes: written once, run by the driver itself.

SQLAlchemy's own constructs cost some 50 microseconds a statement even when cached, and a result of its kind another 20;
`fetch` and `do` cost two more than the driver.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

import sqlalchemy

_KEYS_MAX: Final = 200  # PostgreSQL prepares a statement for each number of them
_Values: TypeAlias = Mapping[str, Any] | tuple[Any, ...]  # by name, or by place where it says `?`
_NAME: Final = re.compile(r"(?<!:):([a-z_]\w*)")


class Statement:
    """One statement with `:name` parameters, for both databases.

    Args:
        sql: as SQLite reads it.
        postgresql: as PostgreSQL reads it, where the two differ in more than parameters.
    """

    def __init__(self, sql: str, *, postgresql: str | None = None) -> None:
        self._texts = {"sqlite": sql, "postgresql": _NAME.sub(r"%(\1)s", (postgresql or sql).replace("%", "%%"))}
        self._makers: dict[str, Callable[[Iterable[Any]], Any]] = {}

    def run(
        self, tx: sqlalchemy.Connection, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> sqlalchemy.CursorResult[Any]:
        """Execute it: once, or once for each of a list of values."""
        text = self._texts[tx.dialect.name]
        if values is None:
            return tx.exec_driver_sql(text)
        # The driver takes a dict or a list of dicts, as they are.
        return tx.exec_driver_sql(text, values if isinstance(values, dict) else list(values))

    def fetch(self, tx: sqlalchemy.Connection, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Execute it, and return its rows as plain tuples."""
        rows: list[tuple[Any, ...]] = self._execute(tx, values).fetchall()
        return rows

    def named(self, tx: sqlalchemy.Connection, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Execute it, and return its rows as tuples whose fields have the names of the columns."""
        cursor = self._execute(tx, values)
        make = self._makers.get(tx.dialect.name)
        if make is None:
            names = [column[0] for column in cursor.description]
            kind = namedtuple("Found", names)  # type: ignore[misc]  # noqa: PYI024  # what it has is known only now
            make = self._makers[tx.dialect.name] = kind._make
        return [make(row) for row in cursor.fetchall()]

    def do(self, tx: sqlalchemy.Connection, values: _Values | Sequence[_Values] | None = None) -> int:
        """Execute it: once, or once for each of a list of values; return how many rows it changed."""
        changed: int = self._execute(tx, values).rowcount
        return changed

    def _execute(self, tx: sqlalchemy.Connection, values: _Values | Sequence[_Values] | None) -> Any:
        text = self._texts[tx.dialect.name]
        driver: Any = tx.connection.dbapi_connection  # both drivers' own; asking by `driver_connection` costs 4 us
        cursor = driver.cursor()
        try:
            if values is None:
                cursor.execute(text)
            elif isinstance(values, list):
                cursor.executemany(text, values)
            else:
                cursor.execute(text, values)
        except Exception as error:  # noqa: BLE001  # what is not the driver's is raised as it is
            _translate(tx, error, text, cursor)
        return cursor


def copy_rows(tx: sqlalchemy.Connection, table: str, *, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert many rows at once, on PostgreSQL."""
    driver: Any = tx.connection.driver_connection
    text = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with driver.cursor() as cursor:
        try:
            with cursor.copy(text) as copy:
                for row in rows:
                    copy.write_row(row)
        except Exception as error:  # noqa: BLE001  # what is not the driver's is raised as it is
            _translate(tx, error, text, cursor)


def _translate(tx: sqlalchemy.Connection, error: Exception, text: str, cursor: Any) -> NoReturn:
    """Raise the driver's error as SQLAlchemy's, and let go of a connection that is lost."""
    tx._handle_dbapi_exception(error, text, None, cursor, None)  # noqa: SLF001  # no public way does the same


class ManyStatement:
    """One statement over any number of keys, where `(:keys)` stands in it.

    Args:
        sql: for both databases.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._made: dict[int, Statement] = {}

    def run(self, tx: sqlalchemy.Connection, keys: Sequence[str]) -> list[Any]:
        """Return the rows found for keys, a few hundred at a time; their fields have the names of the columns."""
        found: list[Any] = []
        for start in range(0, len(keys), _KEYS_MAX):
            some = keys[start : start + _KEYS_MAX]
            found += self._of(len(some)).named(tx, {f"key{n}": key for n, key in enumerate(some)})
        return found

    def _of(self, count: int) -> Statement:
        if count not in self._made:
            names = ", ".join(f":key{n}" for n in range(count))
            self._made[count] = Statement(self._sql.replace(":keys", names))
        return self._made[count]
