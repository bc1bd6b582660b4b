"""Which part of its tables a task reads and replaces: the day of its run, or everything."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from penstock.core.columns import Column
from penstock.core.errors import PenstockError, TaskFailed
from penstock.core.ports import PipelineContext, TableWrite
from penstock.core.tables import Reading, TableName, table_name

DATE_COLUMN: Final = "_date"


def _table(text: str) -> str:
    try:
        return table_name(text)
    except PenstockError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None


TableText = Annotated[str, AfterValidator(_table)]
ColumnText = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class ReadSpec(BaseModel):
    """What tasks say of the part of their tables that they read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Literal["day", "all"] = Field(
        "all",
        description="What it reads, and replaces where it writes: `day` the partition of the run's date, of each table"
        " that has such partitions; `all` whole tables.",
    )


class WindowSpec(ReadSpec):
    """What tasks say of the part of their tables that they read and replace."""

    date_column: ColumnText | None = Field(
        None,
        description="The column of dates that the table it writes is partitioned by. With `window: day` it is `_date`"
        " when nothing is said, and is added with the run's date when the rows do not have it.",
    )


def read_window(ctx: PipelineContext, table: str, spec: ReadSpec) -> Reading:
    """Return what a task reads of a table: of one that is partitioned by dates, with `window: day`, the run's date."""
    name = TableName(table)
    if spec.window == "all":
        return ctx.read(name)
    nothing = ctx.read(name, partitions=[])
    types = {column.name: column.type for column in nothing.columns}
    if [types.get(column) for column in nothing.partition_by] != ["date"]:
        return ctx.read(name)
    return ctx.read(name, partitions=[(_date(ctx),)])


def write_window(ctx: PipelineContext, table: str, spec: WindowSpec, **words: Any) -> TableWrite:
    """Return how a task replaces what its table has of the window."""
    by = spec.date_column or (DATE_COLUMN if spec.window == "day" else None)
    if spec.window == "all":
        # Who replaces it meanwhile may have seen what this task has not: then it has to look again.
        words = {"depends_on_table": True, **words}
        return TableWrite(TableName(table), "replace_table", partition_by=(by,) if by else (), **words)
    date, column = _date(ctx), by or DATE_COLUMN
    return TableWrite(
        TableName(table),
        "replace_partitions",
        partition_by=(column,),
        partitions=((date,),),
        added=((Column(column, "date"), date),),
        **words,
    )


def _date(ctx: PipelineContext) -> dt.date:
    if ctx.occurrence.date is None:
        raise TaskFailed(
            "the task has window: day, and the run has no date",
            hint="Run it with --date YYYY-MM-DD, or let the task say window: all.",
        )
    return dt.date.fromisoformat(ctx.occurrence.date)
