"""What a task with `for_each` is done for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.core import limits
from penstock.core.errors import TaskFailed
from penstock.core.ports import FileConnector, PipelineContext
from penstock.core.tables import table_name


def list_items(form: Mapping[str, Any], ctx: PipelineContext) -> list[Any]:
    """Return what a task is to be done for: listed values, files, rows of a small table, or partitions of one.

    Raises:
        TaskFailed: when there are more than a run does.
    """
    if "values" in form:
        items = list(form["values"])
    elif "rows" in form:
        items = _rows(form, ctx)
    elif "partitions" in form:
        items = _partitions(form, ctx)
    else:
        items = _files(form, ctx)
    if len(items) > limits.RUN_ITEMS.value:
        raise TaskFailed(
            f"for_each gives {len(items):,} items; a task can be done for {limits.RUN_ITEMS.value:,}",
            hint="Take fewer: narrow the pattern, or filter the table's rows with `where`.",
        )
    return items


def _rows(form: Mapping[str, Any], ctx: PipelineContext) -> list[Any]:
    reading = ctx.read(table_name(form["rows"]))
    where = f" WHERE {form['where']}" if form.get("where") else ""
    answer = ctx.query(
        f"SELECT * FROM items{where} ORDER BY ALL", tables={"items": reading}, rows_max=limits.RUN_ITEMS.value
    ).answer
    if answer["more"]:
        raise TaskFailed(
            f"{form['rows']} has more than {limits.RUN_ITEMS.value:,} rows to do a task for",
            hint="Filter with `where`.",
        )
    names = [name for name, _ in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def _partitions(form: Mapping[str, Any], ctx: PipelineContext) -> list[Any]:
    reading = ctx.read(table_name(form["partitions"]))
    if not reading.partition_by:
        raise TaskFailed(
            f"{reading.table} is not cut into partitions",
            hint="Use for_each: {rows: ...}, or a table with window: day.",
        )
    found = {file.partition for file in reading.files}
    values = [dict(zip(reading.partition_by, map(str, each), strict=True)) for each in sorted(found, key=str)]
    return [next(iter(value.values())) if len(value) == 1 else value for value in values]


def _files(form: Mapping[str, Any], ctx: PipelineContext) -> list[Any]:
    name = form["connection"]
    connector: FileConnector = ctx.connector(ctx.project.connections[name].kind)
    return sorted(connector.list_files(name, ctx.connection(name), form["files"], ctx))
