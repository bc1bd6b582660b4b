"""Tables written to PostgreSQL: CSV that an engine wrote goes to the server as it is, and appears in one transaction.

Rows go to a table beside the target first, however long that takes; readers of the target see either what was there
before or all that is new.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.base.lazily import Lazily
from penstock.connectors.postgresql_errors import translated
from penstock.core import limits
from penstock.core.columns import Column
from penstock.core.errors import TaskFailed
from penstock.core.ports import PipelineContext

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql
else:
    sql = Lazily("psycopg.sql")

_BLOCK_BYTES: Final = 256 * 2**10
_TYPES: Final = {
    "boolean": "boolean",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "string": "text",
    "uuid": "uuid",
    "binary": "bytea",
}


class ToPostgres(BaseModel):
    """Where in a database an export goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(
        min_length=1, description="With its schema: public.daily_totals; it is made when it is not there."
    )
    mode: Literal["replace", "merge"] = Field(
        "replace", description="replace: the table holds these rows then; merge: rows of the same key are replaced."
    )
    key: tuple[str, ...] = Field((), description="Of merge: the columns that tell rows apart.")

    @property
    def staged(self) -> str:
        """The file that is sent."""
        return "csv"

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if (self.mode == "merge") != bool(self.key):
            raise ValueError("merge needs a key, and replace has none: say mode: merge and key: [id]")
        return self


def write_table(
    connection: psycopg.Connection[Any],
    wanted: ToPostgres,
    file: Path,
    columns: Sequence[Column],
    ctx: PipelineContext,
    *,
    timeout_s: int,
) -> Mapping[str, Any]:
    """Write the rows of a CSV file to a table, in one transaction; return figures.

    Raises:
        TaskFailed: with the server's words.
        DestinationUnavailable: when the server goes away.
    """
    names = [column.name for column in columns]
    missing = [name for name in wanted.key if name not in names]
    if missing:
        raise TaskFailed(f"there is no column {missing[0]!r}", hint=f"There are: {', '.join(names)[:500]}.")
    target = sql.Identifier(*wanted.table.split("."))
    with translated(f"writing {wanted.table}"), connection.transaction(), connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(timeout_s * 1000))
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"penstock:{wanted.table}"])
        there = _is_there(cursor, wanted.table)
        beside = _make_beside(cursor, wanted, columns, there=there)
        _copy(cursor, beside, names, file, ctx)
        rows = cursor.rowcount
        ctx.confirm()  # copying may have taken long
        if not there:
            _rename(cursor, beside, wanted.table)
        elif wanted.mode == "replace":
            _swap(cursor, beside, wanted.table)
        else:
            _merge(cursor, beside, target, names, wanted.key)
    return {"table": wanted.table, "sent": rows}


def _is_there(cursor: psycopg.Cursor[Any], table: str) -> bool:
    found = cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [_quoted(table)]).fetchone()
    return bool(found and found[0])


def _make_beside(
    cursor: psycopg.Cursor[Any], wanted: ToPostgres, columns: Sequence[Column], *, there: bool
) -> sql.Identifier:
    """Make the table beside the target, of its columns and indexes, or of the types that rows have, and return it."""
    *schema, name = wanted.table.split(".")
    beside = sql.Identifier(*schema, f"{name[:40]}_{secrets.token_hex(6)}")
    if there:
        keeping = sql.SQL("INCLUDING ALL" if wanted.mode == "replace" else "INCLUDING DEFAULTS INCLUDING GENERATED")
        target = sql.Identifier(*schema, name)
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {} {})").format(beside, target, keeping))
        return beside
    typed = [sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_type(column))) for column in columns]
    if wanted.key:
        typed.append(sql.SQL("PRIMARY KEY ({})").format(_listed(wanted.key)))
    cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(beside, sql.SQL(", ").join(typed)))
    return beside


def _copy(
    cursor: psycopg.Cursor[Any], table: sql.Identifier, names: Sequence[str], file: Path, ctx: PipelineContext
) -> None:
    total, sent = file.stat().st_size, 0
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER true)").format(table, _listed(names))
    with file.open("rb") as source, cursor.copy(command) as copy:
        while block := source.read(_BLOCK_BYTES):
            copy.write(block)
            sent += len(block)
            ctx.progress(sent, total=total, unit="bytes")


def _rename(cursor: psycopg.Cursor[Any], beside: sql.Identifier, table: str) -> None:
    name = sql.Identifier(table.split(".")[-1])
    cursor.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(beside, name))


def _swap(cursor: psycopg.Cursor[Any], beside: sql.Identifier, table: str) -> None:
    """Put the table beside in the target's place, for whoever might read that; what waits for readers waits briefly."""
    cursor.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(limits.DATABASE_LOCK.value * 1000))
    target = sql.Identifier(*table.split("."))
    cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(target))
    granted = cursor.execute(
        "SELECT privilege_type, CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, is_grantable"
        " FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass(%s) AND grantee <> relowner",
        [_quoted(table)],
    ).fetchall()
    for privilege, grantee, passes_on in granted:
        who = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
        also = sql.SQL(" WITH GRANT OPTION" if passes_on else "")
        cursor.execute(sql.SQL("GRANT {} ON {} TO {}{}").format(sql.SQL(privilege), beside, who, also))
    cursor.execute(sql.SQL("DROP TABLE {}").format(target))
    _rename(cursor, beside, table)


def _merge(
    cursor: psycopg.Cursor[Any],
    beside: sql.Identifier,
    target: sql.Identifier,
    names: Sequence[str],
    key: Sequence[str],
) -> None:
    """Replace rows of the same key, and add the others; the target has a unique index on the key."""
    cursor.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(limits.DATABASE_LOCK.value * 1000))
    others = [name for name in names if name not in key]
    set_all = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in others)
    then = sql.SQL("DO UPDATE SET {}").format(set_all) if others else sql.SQL("DO NOTHING")
    cursor.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) {}").format(
            target, _listed(names), _listed(names), beside, _listed(key), then
        )
    )
    cursor.execute(sql.SQL("DROP TABLE {}").format(beside))


def _type(column: Column) -> str:
    """Return the type of a new column; what is nested is JSON."""
    if not isinstance(column.type, str):
        return "jsonb"
    return _TYPES.get(column.type, column.type.replace("decimal", "numeric"))


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _quoted(table: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
