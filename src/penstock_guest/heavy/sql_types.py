"""Types of a query's columns as a table has them, and what a column must be cast to so that it has one.

A type is text, such as `long` or `decimal(12, 2)`, or a nested one: `{"struct": [[name, type], ...]}`,
`{"list": type}`, `{"map": [type, type]}`. A cast loses nothing: a value that the table's type cannot hold fails the
query.
"""

from __future__ import annotations

from typing import Any, Final

Kind = str | dict[str, Any]
NANOSECONDS: Final = "a column has nanoseconds, which a table does not hold: round it"
NULL: Final = "null"  # in place of a type: no value tells it, and the table's own holds

# By DuckDB's name of a type: the table's, and DuckDB's type to cast to; none where it is the same.
_PLAIN: Final[dict[str, tuple[str, str]]] = {
    "boolean": ("boolean", "BOOLEAN"),
    "tinyint": ("int", "INTEGER"),
    "smallint": ("int", "INTEGER"),
    "integer": ("int", "INTEGER"),
    "utinyint": ("int", "INTEGER"),
    "usmallint": ("int", "INTEGER"),
    "bigint": ("long", "BIGINT"),
    "uinteger": ("long", "BIGINT"),
    "ubigint": ("long", "BIGINT"),
    "hugeint": ("long", "BIGINT"),  # what a sum of whole numbers is
    "uhugeint": ("long", "BIGINT"),
    "float": ("float", "FLOAT"),
    "double": ("double", "DOUBLE"),
    "varchar": ("string", "VARCHAR"),
    "enum": ("string", "VARCHAR"),
    "blob": ("binary", "BLOB"),
    "uuid": ("uuid", "UUID"),
    "date": ("date", "DATE"),
    "time": ("time", "TIME"),
    "timestamp": ("timestamp", "TIMESTAMP"),
    "timestamp_s": ("timestamp", "TIMESTAMP"),
    "timestamp_ms": ("timestamp", "TIMESTAMP"),
    "timestamp with time zone": ("timestamptz", "TIMESTAMPTZ"),
}
_ADVICE: Final = {
    "null": "it has no values, so no type: cast it, as in NULL::BIGINT",
    "timestamp_ns": "a table holds microseconds: cast it to TIMESTAMP",
    "interval": "there is no place in a table for it: cast it to VARCHAR, or count seconds",
}


class NoPlace(Exception):
    """A table has no place for a type; the message says what to do."""


def column(name: str, kind: Any, *, known: str | None) -> tuple[Kind, str]:
    """Return the table's type of a column, and the expression that gives its values in it.

    Args:
        name: of the column.
        kind: DuckDB's type of it.
        known: what the table has under that name, as DuckDB writes the type; None when it has nothing.

    Raises:
        NoPlace: when there is none.
    """
    value = quoted(name)
    if kind.id == "null" and known is not None:
        return NULL, f"CAST({value} AS {known}) AS {value}"
    if kind.id == "timestamp_ns":
        wrong = f"error({literal(NANOSECONDS)})"
        exact = f"CASE WHEN epoch_ns({value}) % 1000 = 0 THEN CAST({value} AS TIMESTAMP) ELSE {wrong} END"
        return _PLAIN["timestamp"][0], f"CASE WHEN {value} IS NOT NULL THEN {exact} END AS {value}"
    found, wanted = _type(kind)
    same = str(kind) == wanted or (kind.id in _PLAIN and _PLAIN[kind.id][1].lower() == kind.id)
    return found, value if same and str(kind) != "JSON" else f"CAST({value} AS {wanted}) AS {value}"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _type(kind: Any) -> tuple[Kind, str]:
    """Return the table's type, and the type of DuckDB's that is written as it."""
    match kind.id:
        case "struct":
            parts = [(name, _type(part)) for name, part in kind.children]
            listed = ", ".join(f"{quoted(name)} {sql}" for name, (_, sql) in parts)
            return {"struct": [[name, found] for name, (found, _) in parts]}, f"STRUCT({listed})"
        case "list" | "array":
            found, sql = _type(kind.children[0][1])
            return {"list": found}, f"{sql}[]"
        case "map":
            (key, key_sql), (value, value_sql) = (_type(part) for _, part in kind.children)
            return {"map": [key, value]}, f"MAP({key_sql}, {value_sql})"
        case "decimal":
            (_, precision), (_, scale) = kind.children
            return f"decimal({precision}, {scale})", f"DECIMAL({precision},{scale})"
    if kind.id in _PLAIN:
        return _PLAIN[kind.id]
    raise NoPlace(_ADVICE.get(kind.id, f"there is no place in a table for the type {str(kind)[:80]}: cast it"))
