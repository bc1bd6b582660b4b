"""The profile `sqlite`: rows of a SQLite file, which is somebody's data: a damaged one meets the lock.

SQLite keeps values of any type in a column of any type. So a column gets the type that its table declares only when
every value of what is read has the form of it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from penstock_guest.heavy.programs import bounded
from penstock_guest.heavy.rows import escaped, write_lines

_LONG: Final = range(-(2**63), 2**63)
_DATE: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_MOMENT: Final = re.compile(_DATE.pattern + r"[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?")
_DECIMAL: Final = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*([0-9]+)\s*(?:,\s*([0-9]+)\s*)?\)")
_DIGITS_MAX: Final = 38
_FETCHED: Final = 1_000
_QUOTED: Final = re.compile(r"\".*\"|'.*'", re.DOTALL)


def answer(ask: dict[str, Any], _limits: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked of a file; what SQLite refuses is an answer, too: `failed`.

    Args:
        ask: `file`; and either `look`: queries by name, each answered with the names of its columns and its first row
            as texts; or `read`: a query whose rows are written to the file `output`, `declared`: types by column.
    """
    connection = sqlite3.connect(f"file:{ask['file']}?mode=ro&immutable=1", uri=True)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA trusted_schema = off")
        connection.execute("PRAGMA temp_store = memory")
        if "look" in ask:
            return {name: _look(connection, sql) for name, sql in ask["look"].items()}
        return _read(connection, ask)
    except sqlite3.Error as error:
        return {"failed": {"code": 0, "message": bounded(_words(error))}}
    finally:
        connection.close()


def describe(error: Exception) -> dict[str, Any]:
    """Return what went wrong here, without what the file holds."""
    return {"code": "bug", "message": f"reading the file failed: {type(error).__name__}"}


def _look(connection: sqlite3.Connection, sql: str) -> dict[str, Any]:
    cursor = connection.execute(sql)
    rows = [[None if value is None else str(value) for value in row] for row in cursor.fetchmany(_FETCHED)]
    return {"columns": [[column[0], ""] for column in cursor.description or ()], "rows": rows}


def _read(connection: sqlite3.Connection, ask: dict[str, Any]) -> dict[str, Any]:
    cursor = connection.execute(ask["read"])
    names = [column[0] for column in cursor.description]
    columns = [_Column(ask["declared"].get(name, "")) for name in names]
    written = write_lines(ask["output"], _rows(cursor), names=names, forms=[column.form for column in columns])
    types = {name: column.type for name, column in zip(names, columns, strict=True) if column.type}
    return {**written, "types": types, "names": names}


def _rows(cursor: sqlite3.Cursor) -> Iterator[Sequence[Any]]:
    while rows := cursor.fetchmany(_FETCHED):
        yield from rows


class _Column:
    """A column, and what its values have in common."""

    def __init__(self, declared: str) -> None:
        self._fits = _judge(declared.upper())
        self.type = self._fits[0] if self._fits else ""
        self.form: Callable[[Any], Any] = self._judged if self._fits else _json

    def _judged(self, value: Any) -> Any:
        if self._fits is not None and self.type and not self._fits[1](value):
            self.type = ""
        return _json(value)


def _judge(declared: str) -> tuple[str, Callable[[Any], bool]] | None:
    """Return the type that a declaration means, and what says whether a value has it; None when values say it best."""
    if declared in _DECLARED:
        return _DECLARED[declared]
    if declared.startswith(("DATETIME", "TIMESTAMP")):
        return _DECLARED["DATETIME"]
    if "BLOB" in declared:
        return _DECLARED["BLOB"]
    if (found := _DECIMAL.match(declared)) and int(found[1]) <= _DIGITS_MAX:
        digits, scale = int(found[1]), int(found[2] or 0)
        form = re.compile(rf"-?[0-9]{{1,{max(1, digits - scale)}}}(\.[0-9]{{0,{scale}}})?")
        return f"decimal({digits}, {scale})", lambda value: form.fullmatch(str(value)) is not None
    return None


def _is_boolean(value: Any) -> bool:
    return type(value) is int and value in (0, 1)


_DECLARED: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "BOOL": ("boolean", _is_boolean),
    "BOOLEAN": ("boolean", _is_boolean),
    "DATE": ("date", lambda value: type(value) is str and _DATE.fullmatch(value) is not None),
    "DATETIME": ("timestamp", lambda value: type(value) is str and _MOMENT.fullmatch(value) is not None),
    "BLOB": ("binary", lambda value: type(value) is bytes),
}


def _json(value: Any) -> Any:
    if type(value) is bytes:
        return escaped(value)
    if type(value) is int and value not in _LONG:
        return str(value)
    return value


def _words(error: sqlite3.Error) -> str:
    """Return SQLite's words; they name tables and columns, and of some errors values."""
    words = str(error)
    return words if isinstance(error, sqlite3.OperationalError) else _QUOTED.sub("...", words)
