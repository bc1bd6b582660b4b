"""Brings raw data into a table of the lake, as it came, with what is known of where it came from.

What arrives is appended, partitioned by the date of the run, and published at the end of the task together with how far
the source was read: a check that fails later loses nothing of it, and nothing of it arrives twice. A record that cannot
be read goes to the table `<to>__rejected`, with its line, the reason and its text. When more are rejected than
`errors_max` allows, the task fails and takes nothing, and that table can be read all the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from penstock.base.hashing import fingerprint
from penstock.core import limits
from penstock.core.columns import Column, spelled
from penstock.core.errors import NeedsRerun, PenstockError, TaskFailed
from penstock.core.ports import Connector, PipelineContext, TableWrite
from penstock.core.processing import parse_error_budget
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.core.raw import AUDIT, landed_name
from penstock.core.tables import TableName, table_name
from penstock.tasks import raw_sql
from penstock.tasks.arriving import Arrived, Arriving
from penstock.tasks.connecting import connected, connection_problems
from penstock.tasks.error_budgets import ErrorsMax
from penstock.tasks.raw_columns import GUESSES, TYPES, LandingColumn, Policy, decide, guessed, settle

REJECTED: Final = "__rejected"  # behind the name of a table


def _raw_table(text: str) -> str:
    try:
        return table_name(text)
    except PenstockError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None


def _column_type(text: str) -> str:
    if not TYPES.fullmatch(text):
        raise ValueError(
            f"{text!r} is no type; valid are boolean, int, long, float, double, decimal(p, s), date, time, timestamp,"
            " timestamptz, string"
        )
    return text if "," not in text else text.replace(" ", "").replace(",", ", ")


class IngestSpec(BaseModel):
    """What a task of the kind `ingest` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: dict[str, Any] = Field(
        alias="from", description="A connection by its name, and what to read from it; see the kinds of connections."
    )
    to: Annotated[str, AfterValidator(_raw_table)] = Field(description="The table, such as raw.orders.")
    policy: Policy = Field(
        "evolve",
        alias="schema",
        description="When what arrives has other columns: evolve lets them arrive, freeze fails with the difference,"
        " quarantine sets those records aside.",
    )
    columns: dict[str, Annotated[str, AfterValidator(_column_type)]] = Field(
        default_factory=dict, description="Types of columns by name, where they are not to be found out."
    )
    infer: bool = Field(
        default=False, description="Whether texts that all look like numbers, dates or times get such a type."
    )
    errors_max: ErrorsMax = Field(
        "50%", description="How many of the records that arrive may be rejected: a number of them, or a share."
    )


@dataclass(frozen=True, slots=True)
class IngestTask:
    """Lands raw data.

    Attributes:
        connectors: by kind of connection, to check what is said under `from`.
    """

    connectors: Mapping[str, Connector] = field(default_factory=dict)

    Spec = IngestSpec
    follows_publish = False
    publishes = True

    def connecting(self, connectors: Mapping[str, Connector]) -> Self:
        """Return the same kind, which knows the kinds of connections."""
        return replace(self, connectors=connectors)

    def reads(self, spec: IngestSpec, /) -> Iterable[str]:
        """Return nothing: what it reads is outside."""
        return ()

    def writes(self, spec: IngestSpec, /) -> Iterable[str]:
        """Return the table, and that of what is rejected."""
        return (spec.to, spec.to + REJECTED)

    def code(self, spec: IngestSpec, project: Project, /) -> str:
        """Return a hash of the connection."""
        connection = project.connections.get(str(spec.source.get("connection")))
        return fingerprint(None if connection is None else connection.spec.model_dump(mode="json"))

    def problems(self, task: Task, project: Project, /) -> Iterator[ProjectProblem]:
        """Yield what is wrong with the connection that is named, and with what is said of it."""
        yield from connection_problems(task, project, self.connectors, "from", task.spec.source)

    def run(self, spec: IngestSpec, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Fetch, land, publish; once more when another run of the task has read the same from the source meanwhile."""
        before: frozenset[TableName] = frozenset()  # tables that an earlier turn has written
        for turn in range(1, limits.SOURCE_TURNS.value + 1):
            try:
                return self._land(spec, ctx, before)
            except NeedsRerun:
                if turn == limits.SOURCE_TURNS.value:
                    raise
                ctx.log("the source was read by another attempt meanwhile; it is read again from where that came to")
                before |= ctx.start_over()
        raise AssertionError("the last turn returns or raises")

    def _land(self, spec: IngestSpec, ctx: PipelineContext, before: frozenset[TableName]) -> Mapping[str, Any]:
        name, connector, settings, wanted = connected(ctx, "from", spec.source)
        arrived = Arrived()
        with contextlib.ExitStack() as stack:
            arriving = Arriving(ctx, stack)
            for landed in connector.fetch(name, settings, wanted, ctx):
                arriving.take(landed, arrived)
        if not arrived.files:
            ctx.log("there is nothing new")
        if not arrived.files and not before and ctx.exists(TableName(spec.to)):
            return {"rows": 0, "rejected": 0, "bytes": 0}
        ctx.cursors.take(arrived.taken)
        rows, rejected = _write(spec, arrived, ctx, before)
        ctx.publish()
        return {"rows": rows, "rejected": rejected, "bytes": arrived.size_bytes}


KIND: Final = IngestTask()


def _write(spec: IngestSpec, arrived: Arrived, ctx: PipelineContext, before: frozenset[TableName]) -> tuple[int, int]:
    """Write what has arrived, and return how many rows landed and how many were rejected."""
    table = TableName(spec.to)
    known = ctx.columns(table)
    is_new = {column.name for column in known} <= {*AUDIT, *spec.columns}  # also one that never had a row
    when = dt.datetime.now(dt.UTC)
    day = dt.date.fromisoformat(ctx.occurrence.date) if ctx.occurrence.date else _today(ctx, when)
    audit = ((Column("_run", "string"), ctx.occurrence.run), (Column("_date", "date"), day))
    write = TableWrite(
        table,
        "append",
        partition_by=("_date",),
        added=(*audit, (Column("_landed_at", "timestamptz"), when.isoformat())),
        policy="freeze" if spec.policy == "freeze" and not is_new else "evolve",
        with_cursors=True,
    )
    views: Mapping[str, str]
    if not arrived.parquet and not arrived.kinds:  # nothing, or nothing good; what comes after it finds a table
        sql, views, aside = raw_sql.nothing(spec.columns), {}, None
    elif arrived.parquet:
        sql, views, aside = _parquet(spec, arrived, known, ctx)
    else:
        sql, views, aside = _lines(spec, arrived, known, ctx, is_new=is_new)
    left = TableName(write.table + REJECTED)
    if not arrived.rejected and aside is None and (left in before or ctx.is_pending(left)):
        aside, views = raw_sql.NOTHING_REJECTED, dict(views)
    rejecting, files = _rejecting(arrived, aside, views)
    if rejecting is None:
        return ctx.write_query(write, sql, tables={}, files=views).rows, 0
    count = raw_sql.count_both(sql, rejecting)
    ((good, bad),) = ctx.query(count, tables={}, files={**views, **files}, rows_max=1).answer["rows"]
    too_many = parse_error_budget(spec.errors_max).is_exceeded(failed=bad, records=good + bad, at_end=True)
    # First what is set aside: when a kill comes in between, the next attempt's takes its place, and none is lost.
    _write_rejected(write, rejecting, files, ctx, too_many=too_many)
    if too_many:
        raise _too_many(spec, ctx, rejected=bad, records=good + bad)
    written = ctx.write_query(write, sql, tables={}, files=views)
    if written.repeated:  # with other records set aside than these
        raise NeedsRerun("an earlier attempt has written the rows", hint="Read the source again, and replace both.")
    return written.rows, bad


def _lines(
    spec: IngestSpec, arrived: Arrived, known: Sequence[Column], ctx: PipelineContext, *, is_new: bool
) -> tuple[str, dict[str, str], str | None]:
    """Return the query of the rows that land, its views, and the query of those that are set aside."""
    columns = decide(arrived.kinds, known, wanted=spec.columns, source=arrived.columns)
    files = [Path(path) for path in arrived.lines]
    if spec.infer:
        columns = _guessed(columns, arrived.kinds, files, ctx)
    misfits = _misfits(columns, files, ctx)
    columns = settle(columns, misfits, spec.policy, is_new=is_new, first_in=arrived.first_in)
    for name, count in misfits.items():
        if count:
            ctx.log(f"some values of {name} do not fit their column", level="warning", values=count)
    new = [column.name for column in columns if column.is_new]
    if new and not is_new:
        ctx.log(f"there are new columns: {', '.join(new)[:1_000]}", level="warning")
    views = {raw_sql.VIEW: raw_sql.lines_view(files, columns)}
    aside = raw_sql.quarantined(columns, arrived.lines, is_new=is_new) if spec.policy == "quarantine" else None
    return raw_sql.rows(columns, arrived.lines, policy=spec.policy, is_new=is_new), views, aside


def _guessed(
    columns: tuple[LandingColumn, ...],
    kinds: Mapping[str, frozenset[str]],
    files: Sequence[Path],
    ctx: PipelineContext,
) -> tuple[LandingColumn, ...]:
    """Return columns of which new ones of text have the types that all their texts fit."""
    texts = [one for one in columns if one.is_new and one.how == "as_is" and kinds[one.field] == {"text"}]
    if not texts:
        return columns
    views = {raw_sql.VIEW: raw_sql.lines_view(files, texts)}
    (row,) = ctx.query(raw_sql.fits(texts), tables={}, files=views, rows_max=1).answer["rows"]
    fitting = {}
    for number, column in enumerate(texts):
        fit = row[number * len(GUESSES) : (number + 1) * len(GUESSES)]
        if True in fit:
            fitting[column.field] = GUESSES[fit.index(True)]
    return guessed(columns, fitting)


def _misfits(columns: Sequence[LandingColumn], files: Sequence[Path], ctx: PipelineContext) -> dict[str, int]:
    """Return how many values of each column that has to be checked do not fit it."""
    checked = [column for column in columns if column.how == "checked"]
    if not checked:
        return {}
    views = {raw_sql.VIEW: raw_sql.lines_view(files, checked)}
    (row,) = ctx.query(raw_sql.counts(checked), tables={}, files=views, rows_max=1).answer["rows"]
    return {column.field: int(count) for column, count in zip(checked, row, strict=True)}


def _parquet(
    spec: IngestSpec, arrived: Arrived, known: Sequence[Column], ctx: PipelineContext
) -> tuple[str, dict[str, str], str | None]:
    """Return the query of the rows of Parquet files, whose columns have types already, and its views."""
    if arrived.lines:
        raise TaskFailed("some files are Parquet and others text", hint="Take them by two tasks, into two tables.")
    if spec.policy == "quarantine" or spec.columns:
        what = "schema: quarantine" if spec.policy == "quarantine" else "columns"
        raise TaskFailed(
            f"{what} is for data without types; Parquet files have them",
            hint="Say schema: evolve or freeze, and no columns.",
        )
    views = {raw_sql.VIEW: raw_sql.parquet_view([Path(path) for path in arrived.parquet])}
    found = ctx.query(f"SELECT * FROM {raw_sql.VIEW}", tables={}, files=views, rows_max=0).answer["columns"]
    kinds = {str(name): str(kind) for name, kind in found}
    _require_own_names(list(kinds), arrived, ctx)
    there = {column.name: spelled(column.type) for column in known}
    if empty := [name for name in raw_sql.without_values(kinds) if landed_name(name) not in there]:
        ctx.log(f"without any value, so without a type, and left out: {', '.join(empty)[:1_000]}", level="warning")
    return raw_sql.parquet_rows(kinds, arrived.parquet, known=there), views, None


def _require_own_names(found: Sequence[str], arrived: Arrived, ctx: PipelineContext) -> None:
    """Raise when two columns of a file have names that a table takes for one: the engine gives them others itself."""
    if not raw_sql.may_be_renamed(found):
        return
    views = {"parts": raw_sql.parquet_parts([Path(path) for path in arrived.parquet])}
    most = limits.QUERY_ROWS.value
    answer = ctx.query("SELECT file, name, parts FROM parts", tables={}, files=views, rows_max=most).answer
    names: dict[str, list[str]] = {}
    for file, name in raw_sql.outer_parts([] if answer["more"] else answer["rows"]):
        names.setdefault(file, []).append(name.lower())
    for file, lowered in names.items():
        if places := [str(place) for place, name in enumerate(lowered, 1) if lowered.count(name) > 1]:
            raise TaskFailed(
                f"{arrived.parquet[file]}: columns {', '.join(places[:10])} have names that differ in nothing but case,"
                " or not at all; a table has one of them",
                hint="Rename them where the file is made.",
            )


def _rejecting(arrived: Arrived, aside: str | None, views: Mapping[str, str]) -> tuple[str | None, Mapping[str, str]]:
    """Return the query of what was rejected and what is set aside, if there can be any, and its views."""
    queries, files = ([aside], dict(views)) if aside is not None else ([], {})
    if arrived.rejected:
        queries.append(raw_sql.rejected_rows(arrived.rejected))
        files[raw_sql.REJECTED] = raw_sql.rejected_view([Path(path) for path in arrived.rejected])
    return " UNION ALL ".join(f"({query})" for query in queries) or None, files


def _write_rejected(
    write: TableWrite, query: str, files: Mapping[str, str], ctx: PipelineContext, *, too_many: bool
) -> None:
    other = replace(
        write,
        table=TableName(write.table + REJECTED),
        policy="evolve",
        with_cursors=False,
        part="too-many" if too_many else "",
        anew=not too_many,  # those of a failed attempt are published, once for all its retries
    )
    written = ctx.write_query(other, query, tables={}, files=files)
    if written.rows:
        ctx.log(f"records were rejected; see {other.table}", level="warning", records=written.rows)


def _too_many(spec: IngestSpec, ctx: PipelineContext, *, rejected: int, records: int) -> TaskFailed:
    """Publish what was rejected and nothing else, and return the error: the next run reads all of it again."""
    ctx.cursors.forget()
    ctx.publish()
    return TaskFailed(
        f"{rejected:,} of {records:,} records were rejected; at most {spec.errors_max} may. None has landed",
        hint=f'See why: penstock query "SELECT error, count(*) FROM {spec.to}{REJECTED} GROUP BY 1". Then correct the'
        " source or what the task says of it, or raise errors_max.",
        figures={"records": records, "rejected": rejected},
    )


def _today(ctx: PipelineContext, when: dt.datetime) -> dt.date:
    return when.astimezone(ZoneInfo(ctx.occurrence.timezone)).date()
