"""PostgreSQL: rows read by COPY as lines of JSON that the server writes, and whole tables or rows by key written to it.

No row is parsed here. COPY gives each row as the bytes that it is, which go to a file; a locked child parses them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from penstock.base.lazily import Lazily
from penstock.connectors.databases import (
    MOMENTS,
    DatabaseSettings,
    FromDatabase,
    Look,
    bounds,
    endpoint,
    in_parts,
    landed,
    plan,
    relation,
    require_columns,
    since,
)
from penstock.connectors.gates import gate
from penstock.connectors.postgresql_errors import translated
from penstock.connectors.postgresql_export import ToPostgres, write_table
from penstock.connectors.tls import ca_file
from penstock.core import limits
from penstock.core.columns import Column
from penstock.core.errors import TaskFailed
from penstock.core.ports import Landed, PipelineContext

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql as pg
else:
    psycopg = Lazily("psycopg")
    pg = Lazily("psycopg.sql")

_CONNECT_S: Final = limits.DATABASE_CONNECT.value
# One row is one line of JSON: these two never stand in JSON as they are, so nothing of it is quoted or doubled.
_LINES: Final = "(FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')"
_TYPES: Final = {  # by the number of a type: of the lake, and what is read of it; the rest is text
    16: ("boolean", "{}"),
    20: ("long", "{}"),
    21: ("int", "{}"),
    23: ("int", "{}"),
    26: ("long", "{}"),
    700: ("float", "{}"),
    701: ("double", "{}"),
    1082: ("date", "CASE WHEN {0} BETWEEN '0001-01-01' AND '9999-12-31' THEN {0} END"),
    1083: ("time", "{}"),
    1114: ("timestamp", "CASE WHEN {0} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999' THEN {0} END"),
    1184: ("timestamptz", "CASE WHEN {0} BETWEEN '0001-01-02' AND '9999-12-30' THEN {0} END"),
    2950: ("uuid", "{}"),
    17: ("binary", "regexp_replace(encode({}, 'hex'), '(..)', '\\\\x\\1', 'g')"),
    25: ("string", "{}"),
    1043: ("string", "{}"),
    1042: ("string", "{}"),
    19: ("string", "{}"),
}
_TEXT, _SHOWN = ("string", "{}::text"), ("string", "{}")
_NUMERIC: Final = 1700
_JSON: Final = (114, 3802)  # its text is kept as it is; of other types the server writes what it shows, of arrays JSON
_DIGITS_MAX: Final = 38


class PostgresSettings(DatabaseSettings):
    """How to reach a PostgreSQL server."""

    port: int = Field(5_432, ge=1, le=65_535, description="Its port.")


class PostgresConnector:
    """Reads tables and queries, in parts where a task says so; all parts see the same moment."""

    Spec = PostgresSettings
    From = FromDatabase
    To = ToPostgres

    def fetch(
        self, name: str, settings: PostgresSettings, wanted: FromDatabase, ctx: PipelineContext, /
    ) -> Iterator[Landed]:
        """Yield what the query gives, a file for each part."""
        door = gate(ctx, name, settings)
        with contextlib.ExitStack() as stack:
            read = door.call(ctx, lambda: _Reading(_opened(settings, ctx, stack), wanted, ctx))
            files = [ctx.staging / f"{name}-{number}.ndjson" for number in range(len(read.queries))]
            at_once = min(settings.at_once, len(files))
            snapshot = read.export_snapshot() if at_once > 1 else None
            opening = partial(_opened, settings, ctx, stack, snapshot)

            def copy(number: int) -> int:
                with door.turn(ctx):
                    return _copy_part(read, number, files[number], opening)

            work = [partial(copy, number) for number in range(len(files))]
            ctx.log("rows are read", parts=len(files), at_once=at_once)
            with ctx.stopping(read.cancel):
                rows = (
                    list(in_parts(work, ctx, at_once=max(1, at_once), files=files, cancel=read.cancel)) if files else []
                )
        yield from landed(name, wanted, ctx, files=files, rows=rows, columns=read.look.columns, upto=read.upto)

    def send(
        self,
        name: str,
        settings: PostgresSettings,
        wanted: ToPostgres,
        file: Path,
        ctx: PipelineContext,
        /,
        *,
        columns: Sequence[Column] = (),
    ) -> Mapping[str, Any]:
        """Write a CSV file's rows to a table."""
        door = gate(ctx, name, settings)
        with contextlib.closing(door.call(ctx, lambda: connect(settings, ctx, read_only=False))) as connection:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            with ctx.stopping(lambda: connection.cancel_safe(timeout=_CONNECT_S)), door.turn(ctx):
                return write_table(connection, wanted, file, columns, ctx, timeout_s=settings.timeout)


CONNECTOR: Final = PostgresConnector()


def quoted(name: str) -> str:
    """Return a name as PostgreSQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str, _kind: str) -> str:
    """Return a value as a literal, of the type of what it is compared with."""
    return "'" + value.replace("'", "''") + "'"


def connect(settings: PostgresSettings, ctx: PipelineContext, *, read_only: bool) -> psycopg.Connection[Any]:
    """Return a connection to the first address of the server that answers; nothing of this machine's is used for it.

    Raises:
        EgressRefused: when it may not be reached.
        DestinationUnavailable: when it cannot be reached now.
        TaskFailed: when it refuses.
    """
    addresses = endpoint(settings, settings.port, ctx)
    modes = {"verify": "verify-full", "require": "require", "off": "disable"}
    with translated(f"connecting to {settings.host}"):
        connection = psycopg.connect(
            host=",".join([settings.host] * len(addresses)),
            hostaddr=",".join(addresses),
            port=settings.port,
            dbname=settings.database,
            user=settings.user,
            password=settings.password or "",
            passfile="/dev/null",  # there is none, whoever's account this is
            sslmode=modes[settings.tls],
            sslrootcert=str(ca_file(settings, ctx)) if settings.tls == "verify" else None,
            sslcertmode="disable",
            gssencmode="disable",
            connect_timeout=_CONNECT_S,
            tcp_user_timeout=_CONNECT_S * 1000,
            application_name="penstock",
            client_encoding="utf8",
        )
        connection.read_only = read_only
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return connection


def _opened(
    settings: PostgresSettings, ctx: PipelineContext, stack: contextlib.ExitStack, snapshot: str | None = None
) -> psycopg.Connection[Any]:
    """Return a connection in a transaction that reads of one moment; it is closed with the stack."""
    connection = connect(settings, ctx, read_only=True)
    stack.callback(connection.close)
    with translated("opening a transaction"):
        if snapshot is not None:
            connection.execute(pg.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        connection.execute(f"SET LOCAL statement_timeout = {settings.timeout * 1000}")
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        connection.execute("SET LOCAL DateStyle = 'ISO'")
        connection.execute("SET LOCAL IntervalStyle = 'iso_8601'")
        connection.execute("SET LOCAL bytea_output = 'hex'")
    return connection


class _Reading:
    """What is to be read, found out by the first connection."""

    def __init__(self, connection: psycopg.Connection[Any], wanted: FromDatabase, ctx: PipelineContext) -> None:
        self._first = connection
        self._open = [connection]
        self._wanted = wanted
        self._from = relation(wanted, quoted)
        with translated("the query"):
            self._columns = self._describe()
            self.look = self._look_around()
        planned = plan(wanted, self.look, since=since(wanted, ctx), quote=quoted, literal=literal)
        self.upto = planned.cursor
        self.queries = [self._query(condition) for condition in planned.conditions]

    def export_snapshot(self) -> str:
        """Return the name by which other connections see the same moment."""
        with translated("exporting a snapshot"):
            row = self._first.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        return str(row[0])

    def connection(self, number: int, opening: Callable[[], psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
        """Return the connection for a part: the first has one already."""
        if number == 0:
            return self._first
        connection = opening()
        self._open.append(connection)
        return connection

    def cancel(self) -> None:
        """End what the connections do."""
        for connection in self._open:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=_CONNECT_S)

    def _describe(self) -> dict[str, tuple[str, str]]:
        """Return the type of each column, and what is read of it."""
        found = self._first.execute(f"SELECT * FROM {self._from} LIMIT 0").description or ()
        require_columns(self._wanted, [column.name for column in found])
        return {column.name: _type(column) for column in found}

    def _look_around(self) -> Look:
        types = {name: kind for name, (kind, _) in self._columns.items()}
        asked = bounds(self._wanted, lambda function, name: f"{function}({self._compared(name)})::text")
        if not asked:
            return Look(types)
        row = self._first.execute(f"SELECT {asked} FROM {self._from}").fetchone()
        assert row is not None
        return Look(types, *row)

    def _compared(self, name: str) -> str:
        """Return what a column is compared by: a moment that no calendar has, such as infinity, by nothing."""
        kind, form = self._columns[name]
        return form.format(quoted(name)) if kind in MOMENTS else quoted(name)

    def _query(self, condition: str) -> str:
        picked = ", ".join(
            f"{form.format(quoted(name))} AS {quoted(name)}" for name, (_, form) in self._columns.items()
        )
        where = f" WHERE {condition}" if condition else ""
        rows = f"SELECT row_to_json(penstock_row) FROM (SELECT {picked} FROM {self._from}{where}) AS penstock_row"
        return f"COPY ({rows}) TO STDOUT {_LINES}"


def _copy_part(read: _Reading, number: int, file: Path, opening: Callable[[], psycopg.Connection[Any]]) -> int:
    """Copy the rows of a part into a file, as they come; return how many there are."""
    left_bytes = limits.SOURCE_BYTES.value * 2**20
    with translated("the query"), read.connection(number, opening).cursor() as cursor:
        with cursor.copy(read.queries[number]) as copy, file.open("wb") as out:
            for block in copy:
                out.write(block)
                left_bytes -= len(block)
                if left_bytes < 0:
                    raise TaskFailed(
                        f"more than {limits.SOURCE_BYTES.value:,} MiB have arrived",
                        hint="Read less at once: by a cursor, or a query for each of several.",
                    )
        return cursor.rowcount


def _type(column: psycopg.Column) -> tuple[str, str]:
    """Return the type of a column in the lake, and the SQL of what is read of it, which keeps every value as it is."""
    if column.type_code in _TYPES:
        return _TYPES[column.type_code]
    if column.type_code == _NUMERIC:
        digits, scale = column.precision, column.scale
        fits = digits is not None and scale is not None and 0 <= scale <= digits <= _DIGITS_MAX
        return (f"decimal({digits}, {scale})" if fits else "string"), "{}::text"
    return _TEXT if column.type_code in _JSON else _SHOWN
