"""MySQL and MariaDB: rows read by a locked child over one connection, which is made and checked here.

The protocol has to be spoken by whoever reads rows, so its client runs where data is parsed: in a child that has this
connection and no other. It is told the password, and nothing else of this machine's.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from pydantic import Field

from penstock.connectors.databases import (
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
from penstock.connectors.tls import ca_file
from penstock.core import limits
from penstock.core.errors import DestinationUnavailable, TaskFailed
from penstock.core.ports import Landed, PipelineContext

_CONNECT_S: Final = limits.DATABASE_CONNECT.value
_NUMBER: Final = re.compile(r"int|long|decimal\(.*\)|float|double")
_SESSION: Final = (  # what every connection begins with: of one moment, in UTC, and only reading
    "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)


class MysqlSettings(DatabaseSettings):
    """How to reach a MySQL or MariaDB server."""

    port: int = Field(3_306, ge=1, le=65_535, description="Its port.")


class MysqlConnector:
    """Reads tables and queries, in parts where a task says so."""

    Spec = MysqlSettings
    From = FromDatabase
    To = None

    def fetch(
        self, name: str, settings: MysqlSettings, wanted: FromDatabase, ctx: PipelineContext, /
    ) -> Iterator[Landed]:
        """Yield what the query gives, a file for each part."""
        door = gate(ctx, name, settings)
        look = door.call(ctx, lambda: _look(settings, wanted, ctx))
        planned = plan(wanted, look, since=since(wanted, ctx), quote=quoted, literal=literal)
        files = [ctx.staging / f"{name}-{number}.ndjson" for number in range(len(planned.conditions))]

        def read(number: int) -> int:
            where = f" WHERE {planned.conditions[number]}" if planned.conditions[number] else ""
            query = f"SELECT * FROM {relation(wanted, quoted)}{where}"
            with door.turn(ctx):
                said = _ask(settings, ctx, {"read": query, "output": files[number].name})
            return int(said["rows"])

        work = [partial(read, number) for number in range(len(files))]
        at_once = max(1, min(settings.at_once, len(files)))
        ctx.log("rows are read", parts=len(files), at_once=at_once)
        rows = list(in_parts(work, ctx, at_once=at_once, files=files))
        yield from landed(name, wanted, ctx, files=files, rows=rows, columns=look.columns, upto=planned.cursor)


CONNECTOR: Final = MysqlConnector()


def quoted(name: str) -> str:
    """Return a name as MySQL reads it."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: str, kind: str) -> str:
    """Return a value as a literal; numbers bare, or they would be compared as floating-point numbers."""
    if _NUMBER.fullmatch(kind):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "''").removesuffix("+00:00") + "'"


def _look(settings: MysqlSettings, wanted: FromDatabase, ctx: PipelineContext) -> Look:
    """Return what the server says before rows are read."""
    source = relation(wanted, quoted)
    questions = {"columns": f"SELECT * FROM {source} LIMIT 0"}
    if asked := bounds(wanted, lambda function, name: f"{function}({quoted(name)})"):
        questions["bounds"] = f"SELECT {asked} FROM {source}"
    said = _ask(settings, ctx, {"look": questions})
    columns = [(str(name), str(kind)) for name, kind in said["columns"]["columns"]]
    require_columns(wanted, [name for name, _ in columns])
    row = said["bounds"]["row"] if "bounds" in said else ()
    return Look(dict(columns), *(None if value is None else str(value) for value in row))


def _ask(settings: MysqlSettings, ctx: PipelineContext, ask: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a locked child was answered, over a connection of its own.

    Raises:
        EgressRefused: when the server may not be reached.
        DestinationUnavailable: when it cannot be reached now, or what it says will pass.
        TaskFailed: with its words.
    """
    certificates: dict[str, Any] = {}
    reads: list[str] = []
    if settings.tls == "verify" and settings.ca is not None:
        certificates = {"ca": ctx.file(settings.ca).decode("ascii", "replace")}
    elif settings.tls == "verify":
        path = os.path.realpath(ca_file(settings, ctx))
        certificates, reads = {"ca_file": path}, [path]
    addresses = endpoint(settings, settings.port, ctx)
    with contextlib.closing(_connected(addresses, settings)) as link:
        said = ctx.run_driver(
            "mysql",
            {
                "link": link.fileno(),
                "host": settings.host,
                "user": settings.user,
                "password": settings.password,
                "database": settings.database,
                "tls": settings.tls,
                "session": _SESSION,
                "timeout_s": settings.timeout,
                **certificates,
                **ask,
            },
            reads=reads,
            link=link.fileno(),
        )
    if (failed := said.get("failed")) is None:
        return said
    message = f"{settings.host}: {failed['message']}" + (f" ({failed['code']})" if failed["code"] else "")
    if failed.get("passes"):
        raise DestinationUnavailable(message, hint="Look at the server; it is tried again.")
    raise TaskFailed(message, hint="Correct the query, or what the connection says.")


def _connected(addresses: tuple[str, ...], settings: MysqlSettings) -> socket.socket:
    """Return a socket to the first address that answers; it waits as long as a statement may take."""
    for address in addresses:
        try:
            link = socket.create_connection((address, settings.port), timeout=_CONNECT_S)
        except OSError as error:
            last = error
            continue
        link.settimeout(None)
        wait = struct.pack("ll", settings.timeout, 0)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return link
    raise DestinationUnavailable(
        f"{settings.host}:{settings.port} refuses connections: {last.strerror or last}",
        hint="Look at the server; it is tried again.",
    )
