"""Sends a published table somewhere else: to a file, to S3, to an HTTP API, to a database.

It waits until the run has published its tables, so that nothing leaves that a check has refused. A file or an object
appears whole or not at all; what is sent in batches says each time by a key which batch it is. An export that is tried
again sends the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Self

from pydantic import Field

from penstock.base.hashing import fingerprint
from penstock.core.columns import Column
from penstock.core.duckdb_sql import quoted
from penstock.core.ports import Connector, PipelineContext
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.tasks.connecting import connected, connection_problems
from penstock.tasks.windows import TableText, WindowSpec, read_window

_AS_TEXT: Final = {  # as ISO 8601 has it; an engine writes a blank where others expect a T
    "timestamp": "strftime({name}, '%Y-%m-%dT%H:%M:%S.%f')",
    "timestamptz": "strftime(timezone('UTC', {name}), '%Y-%m-%dT%H:%M:%S.%fZ')",
    "binary": "'\\x' || lower(hex({name}))",
}


class ExportSpec(WindowSpec):
    """What a task of the kind `export` says."""

    source: TableText = Field(alias="from", description="The table, such as marts.daily_totals.")
    to: dict[str, Any] = Field(description="A connection by its name, and where to; see the kinds of connections.")
    columns: list[str] = Field(
        default_factory=list, description="Which columns, in their order; all when none is said."
    )


@dataclass(frozen=True, slots=True)
class ExportTask:
    """Sends a table somewhere else.

    Attributes:
        connectors: by kind of connection, to check what is said under `to`.
    """

    connectors: Mapping[str, Connector] = field(default_factory=dict)

    name: ClassVar = "export"
    Spec = ExportSpec
    follows_publish = True
    publishes = False

    def connecting(self, connectors: Mapping[str, Connector]) -> Self:
        """Return the same kind, which knows the kinds of connections."""
        return replace(self, connectors=connectors)

    def reads(self, spec: ExportSpec, /) -> Iterable[str]:
        """Return the table."""
        return (spec.source,)

    def writes(self, spec: ExportSpec, /) -> Iterable[str]:
        """Return nothing: what it writes is outside."""
        return ()

    def code(self, spec: ExportSpec, project: Project, /) -> str:
        """Return a hash of the connection."""
        connection = project.connections.get(str(spec.to.get("connection")))
        return fingerprint(None if connection is None else connection.spec.model_dump(mode="json"))

    def problems(self, task: Task, project: Project, /) -> Iterator[ProjectProblem]:
        """Yield what is wrong with the connection that is named, and with what is said of it."""
        yield from connection_problems(task, project, self.connectors, "to", task.spec.to)

    def run(self, spec: ExportSpec, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Write the table's rows to a file, and send that."""
        name, connector, settings, wanted = connected(ctx, "to", spec.to)
        reading = read_window(ctx, spec.source, spec)
        staged = str(wanted.staged)
        known = {column.name: column for column in reading.columns}
        names = [each for each in spec.columns or known if each in known]
        sql = f"SELECT {_picked(reading.columns, spec.columns, staged=staged)} FROM penstock_export"
        if getattr(wanted, "in_batches", False):  # the same rows in the same batches, whenever they are sent again
            sql += " ORDER BY ALL"
        file, rows = ctx.write_file(sql, tables={"penstock_export": reading}, name=f"export.{staged}", format=staged)
        ctx.progress(rows, total=rows)
        ctx.confirm()
        figures = connector.send(name, settings, wanted, file, ctx, columns=[known[each] for each in names])
        return {"rows": rows, "rejected": 0, "bytes": file.stat().st_size, **figures}


KIND: Final = ExportTask()


def _picked(columns: Iterable[Column], names: list[str], *, staged: str) -> str:
    """Return what a query picks of a table; what text has no one form for is written as most readers expect it."""
    types = {column.name: column.type for column in columns}
    picked = []
    for name in names or types:
        kind = types.get(name, "")
        form = _AS_TEXT.get(kind.partition("(")[0]) if isinstance(kind, str) and staged != "parquet" else None
        if not isinstance(kind, str) and staged == "csv":
            form = "CAST(to_json({name}) AS VARCHAR)"
        picked.append(f"{form.format(name=quoted(name))} AS {quoted(name)}" if form else quoted(name))
    return ", ".join(picked)
