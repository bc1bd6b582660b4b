"""SQL text for DuckDB: reading a snapshot by its files and field ids, and writing files that carry field ids.

A plain list of files would be wrong once a column was widened, and reading by name once one was renamed, or dropped and
added again; so every column is asked for by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.core.columns import Column, ColumnType, ListType, MapType, StructType, parts
from penstock.core.tables import Reading

_TYPES: Final = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "uuid": "UUID",
    "binary": "BLOB",
}


def relation(reading: Reading) -> str:
    """Return the query that gives a snapshot's rows, such as a view is made of."""
    return f"SELECT * FROM {scan(reading)}"


def scan(reading: Reading) -> str:
    """Return what stands for a snapshot in a FROM clause: its files, or a table of its columns without rows."""
    if not reading.files:
        columns = ", ".join(f"CAST(NULL AS {sql_type(one.type)}) AS {quoted(one.name)}" for one in reading.columns)
        return f"(SELECT {columns} WHERE false)"
    files = ", ".join(text(file.path) for file in reading.files)
    columns = ", ".join(
        f"{one.id}: {{name: {text(one.name)}, type: {text(sql_type(one.type))}, default_value: NULL}}"
        for one in reading.columns
    )
    return f"read_parquet([{files}], schema = MAP {{{columns}}}, hive_partitioning = false)"


def copy(query: str, path: str, columns: Sequence[Column]) -> str:
    """Return a statement that writes a query's result to one Parquet file, its columns with their ids.

    Args:
        query: its columns are among `columns`.
        path: of the file.
        columns: of the result, in any order.
    """
    ids = field_ids(columns)
    return f"COPY ({query}) TO {text(path)} (FORMAT parquet, COMPRESSION zstd, FIELD_IDS {ids})"


def field_ids(columns: Sequence[Column]) -> str:
    """Return the option of COPY that gives columns their ids."""
    return f"{{{', '.join(f'{quoted(column.name)}: {_ids(column)}' for column in columns)}}}"


def sql_type(kind: ColumnType) -> str:
    """Return a type as DuckDB writes it."""
    match kind:
        case StructType(fields):
            return f"STRUCT({', '.join(f'{quoted(field.name)} {sql_type(field.type)}' for field in fields)})"
        case ListType(element):
            return f"{sql_type(element.type)}[]"
        case MapType(key, value):
            return f"MAP({sql_type(key.type)}, {sql_type(value.type)})"
    if kind.startswith("fixed"):
        return "BLOB"
    return _TYPES.get(kind) or kind.upper()


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as a literal."""
    return "'" + value.replace("'", "''") + "'"


def _ids(column: Column) -> str:
    inner = parts(column.type)
    if not inner:
        return str(column.id)
    named = ", ".join(f"{quoted(part.name)}: {_ids(part)}" for part in inner)
    return f"{{__duckdb_field_id: {column.id}, {named}}}"
