"""Writes the rows of one SELECT to a table, run by DuckDB in a locked child that reads nothing but its tables.

The query says `FROM` the names that `from` gives to tables. What it gives replaces the table, or with `window: day` the
partition of the run's date. Columns may be added from run to run, and become wider; another change fails the task.
Sums of whole numbers are `long`, and fail where they do not fit: no value is ever changed without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, StringConstraints, model_validator

from penstock.core.errors import TaskFailed
from penstock.core.ports import PipelineContext
from penstock.core.projects import PipelineName, Project, ProjectProblem, Task
from penstock.core.select_texts import select_problem
from penstock.core.tables import Reading
from penstock.tasks.project_texts import file_version, filled_sql, problem, text_hash, text_problems
from penstock.tasks.windows import TableText, WindowSpec, read_window, write_window

NameText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class SqlSpec(WindowSpec):
    """What a task of the kind `sql` says."""

    sql: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="The query: one SELECT. Instead of `file`."
    )
    file: str | None = Field(None, description="The project's file with the query, such as sql/daily.sql.")
    source: dict[NameText, TableText] | list[TableText] | TableText = Field(
        default_factory=dict,
        alias="from",
        description="The tables that the query reads: names with a table each, {orders: staging.orders}; or one table,"
        " or a list of them, which the query then calls staging.orders or orders.",
    )
    to: TableText = Field(description="The table that it writes, such as marts.daily_sales.")

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        if (self.sql is None) == (self.file is None):
            raise ValueError("a query stands in sql, or in a file of the project named by file: one of the two")
        return self

    @property
    def tables(self) -> Mapping[str, str]:
        """Tables by the names that the query has for them."""
        if isinstance(self.source, dict):
            return self.source
        listed = [self.source] if isinstance(self.source, str) else self.source
        bare = [table.partition(".")[2] for table in listed]
        short = {name: table for name, table in zip(bare, listed, strict=True) if bare.count(name) == 1}
        return {**{table: table for table in listed}, **short}


class SqlTask:
    """Writes what a query gives."""

    name: ClassVar = "sql"
    Spec = SqlSpec
    follows_publish = False
    publishes = False

    def reads(self, spec: SqlSpec, /) -> Iterable[str]:
        """Return the tables under `from`."""
        return tuple(dict.fromkeys(spec.tables.values()))

    def writes(self, spec: SqlSpec, /) -> Iterable[str]:
        """Return the table."""
        return (spec.to,)

    def code(self, spec: SqlSpec, project: Project, /) -> str:
        """Return the hash of the query's file."""
        return text_hash(project, spec.file)

    def problems(self, task: Task, project: Project, /) -> Iterator[ProjectProblem]:
        """Yield what is wrong with the query, as far as that is seen without an engine."""
        spec: SqlSpec = task.spec
        if spec.file is None:
            if spec.sql is not None:
                yield from _query_problems(task, "sql", spec.sql, name="sql")
            return
        missing = list(text_problems(task, project, "file", spec.file, ending=".sql"))
        yield from missing
        if not missing:
            yield from _query_problems(task, "file", project.files[spec.file].decode(), name=spec.file)

    def run(self, spec: SqlSpec, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Write the query's rows."""
        tables = read_tables(ctx, spec.tables, spec)
        sql = spec.sql if spec.sql is not None else filled_sql(ctx, spec.file or "")
        version = file_version(ctx.project, spec.file or _own_file(ctx))
        write = write_window(ctx, spec.to, spec, depends_on_table=spec.to in self.reads(spec), version=version)
        try:
            written = ctx.write_query(write, sql, tables=tables)
        except TaskFailed as error:
            where = f"{spec.file}: " if spec.file else ""
            raise TaskFailed(where + error.message, hint=error.hint, figures=error.figures) from error
        ctx.progress(written.rows, total=written.rows)
        return {"rows": written.rows, "rejected": 0, "bytes": written.size_bytes}


KIND: Final = SqlTask()


def _query_problems(task: Task, field: str, text: str, *, name: str) -> Iterator[ProjectProblem]:
    if (words := select_problem(text)) is not None:
        hint = "Write one SELECT; what it gives is what the table becomes."
        yield problem(task, f"{name}: {words}", hint, field)


def _own_file(ctx: PipelineContext) -> str:
    """Return the file in which the task itself stands, with its query."""
    pipeline = ctx.project.pipelines[PipelineName(ctx.occurrence.pipeline)]
    return pipeline.tasks[ctx.occurrence.task].place.file


def read_tables(ctx: PipelineContext, tables: Mapping[str, str], spec: WindowSpec) -> dict[str, Reading]:
    """Return what a task reads, by the names that it has for its tables; each table once."""
    readings = {table: read_window(ctx, table, spec) for table in dict.fromkeys(tables.values())}
    return {name: readings[table] for name, table in tables.items()}
