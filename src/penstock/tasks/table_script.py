"""Runs a script of yours over the rows of a table, in locked children, many at once, into another table.

`script` is a file of the project, `scripts/clean.py`, whose function is `process(record)`, `process_batch(records)` or
`process_table(table)`, as for `penstock process`; or `clean@^1.2`, a script that the workspace has registered. A record
that it fails on, and a row that does not fit the table, goes to the table `<to>__rejected` with the reason; when more
fail than `errors_max` allows, the task fails, and that table can be read all the same.

`process_batch` and `process_table` are called for each chunk of up to 10,000 rows: what they count, sort or compare is
of one chunk. With `whole: true` they are called once, with all rows, which have to fit one chunk of 16 MiB then; larger
tables are for SQL.

Columns keep the types that the table has. A new one has the type that `columns` asks for; else that of the input's
column of the same name, where all its texts are such dates, times or decimals; else that of its values. A whole number
past 64 bits keeps its digits as text; `columns` may ask for `decimal(38, 0)`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field, StringConstraints

from penstock.core import limits
from penstock.core.columns import Column, type_tree
from penstock.core.duckdb_sql import quoted, sql_type
from penstock.core.errors import PenstockError, TaskFailed
from penstock.core.ports import PipelineContext, ScriptRunner, TableWrite
from penstock.core.processing import ErrorBudget, parse_error_budget
from penstock.core.projects import Project, ProjectProblem, Task
from penstock.core.raw import FILE
from penstock.core.scripts import Cause, Chunk, ChunkResult, InputFile
from penstock.core.tables import Reading, TableName, Written
from penstock.tasks import raw_sql
from penstock.tasks.error_budgets import ErrorsMax
from penstock.tasks.ingest import REJECTED
from penstock.tasks.named_scripts import script_hash, script_place, script_problems, script_version
from penstock.tasks.project_texts import file_version, problem
from penstock.tasks.raw_columns import TYPES
from penstock.tasks.script_rows import (
    LETTERS,
    letters_query,
    letters_view,
    misfits_query,
    rows_query,
    typed_columns,
)
from penstock.tasks.windows import DATE_COLUMN, TableText, WindowSpec, read_window, write_window

_CAUSES_SHOWN: Final = 10
_PRINTED_CHARACTERS_MAX: Final = 4_000


def _type(text: str) -> str:
    if not TYPES.fullmatch(text):
        raise ValueError(
            f"{text!r} is no type; valid are boolean, int, long, float, double, decimal(p, s), date, time, timestamp,"
            " timestamptz, string"
        )
    return text.replace(" ", "").replace(",", ", ")


class TableScriptSpec(WindowSpec):
    """What a task of the kind `script` says."""

    script: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(@[^@\s]+)?$")] = Field(
        description="The script: `clean` is the project's scripts/clean.py, `clean@^1.2` one that is registered."
    )
    source: TableText = Field(alias="from", description="The table whose rows it is given, such as raw.orders.")
    to: TableText = Field(description="The table that it writes, such as staging.orders.")
    columns: dict[str, Annotated[str, AfterValidator(_type)]] = Field(
        default_factory=dict, description="Types of columns by name, where they are not to be found out."
    )
    whole: bool = Field(
        default=False, description="Whether the function is given all rows at once; they have to fit one chunk then."
    )
    errors_max: ErrorsMax = Field(
        "10%", description="How many records may fail: a number of them, or a share, which is judged from 1,000 on."
    )


class TableScriptTask:
    """Runs a script over a table."""

    name: ClassVar = "script"
    Spec = TableScriptSpec
    follows_publish = False
    publishes = False

    def reads(self, spec: TableScriptSpec, /) -> Iterable[str]:
        """Return the table whose rows it is given."""
        return (spec.source,)

    def writes(self, spec: TableScriptSpec, /) -> Iterable[str]:
        """Return the table, and that of what is rejected."""
        return (spec.to, spec.to + REJECTED)

    def code(self, spec: TableScriptSpec, project: Project, /) -> str:
        """Return the hash of the script's files."""
        return script_hash(spec.script, project)

    def problems(self, task: Task, project: Project, /) -> Iterator[ProjectProblem]:
        """Yield what is wrong with the script: it is not there, or what is said of it is not valid."""
        yield from script_problems(task, project)
        if task.spec.source == task.spec.to:
            yield problem(task, f"to: {task.spec.to} is the table that it reads", "Write to another table.", "to")

    def run(self, spec: TableScriptSpec, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Give every row to the script, and write what it gives."""
        version = script_version(spec.script, ctx)
        reading = read_window(ctx, spec.source, spec)
        work = _Work(spec, ctx, reading, parse_error_budget(spec.errors_max), code=script_place(spec.script, version))
        try:
            with ctx.sandbox.open_script(version, parallel=ctx.parallel) as runner, ctx.stopping(runner.stop):
                work.process(runner)
        except PenstockError:
            ctx.wait(0)  # what a script that was stopped has said of it is of no use
            raise
        said = version.name if "@" in spec.script else file_version(ctx.project, version.name)
        write = write_window(ctx, spec.to, spec, version=said)
        return work.finish(write)


KIND: Final = TableScriptTask()


@dataclass(slots=True)
class _Work:
    """One attempt: chunks of rows go through the script, and what comes out lies in files until it is written."""

    spec: TableScriptSpec
    ctx: PipelineContext
    reading: Reading
    budget: ErrorBudget
    code: Mapping[str, Any]
    records: int = 0
    produced: int = 0
    dropped: int = 0
    failed: int = 0
    rows: int = 0
    is_arrow: bool = False
    printed: str = ""
    causes: Counter[tuple[str, str | None, int | None]] = field(default_factory=Counter)
    letters: dict[Path, int] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """Where what the script gives is put."""
        return self.ctx.staging / "output"

    def process(self, runner: ScriptRunner) -> None:
        """Run the script over all rows, as long as not too many fail."""
        self.is_arrow = runner.entry_point == "process_table"
        chunks = self._whole(runner) if self.spec.whole else self._chunks()
        emit = "arrow" if self.is_arrow else "ndjson"
        results = self.ctx.run_in_order(runner, chunks, seed=self.ctx.occurrence.fingerprint, emit=emit)
        with contextlib.closing(results) as ended, self.output.open("wb") as output:  # type: ignore[type-var]  # a generator
            for chunk, result in ended:
                output.write(result.output)
                self._count(chunk, result)
                self.ctx.progress(self.records, total=self.reading.rows, unit="rows")
                if self.budget.is_exceeded(failed=self.failed, records=self.records, at_end=False):
                    return

    def finish(self, write: TableWrite) -> Mapping[str, Any]:
        """Write what the script gave and what was rejected, unless that is too much.

        Raises:
            TaskFailed: when more records fail than may; what was rejected is published, and nothing else.
        """
        views, query, aside = self._typed(write) if self.rows else ({}, None, None)
        rejected = self._write_rejected(write, views, aside)
        misfits = rejected - self.failed
        if self.budget.is_exceeded(failed=rejected, records=self.records, at_end=True):
            raise self._too_many(rejected, misfits)
        written = self._write(write, query, views)
        report = {"rows": written.rows if written else 0, "rejected": rejected}
        counts = {"records": self.records, "dropped": self.dropped, "misfits": misfits}
        said = {"causes": self._causes(), "printed": self.printed}
        return report | {"bytes": written.size_bytes if written else 0} | counts | {k: v for k, v in said.items() if v}

    def _whole(self, runner: ScriptRunner) -> Iterator[Chunk]:
        """Yield the one chunk that all rows are.

        Raises:
            TaskFailed: when the script works record by record, or they are more than a chunk holds.
        """
        if runner.entry_point == "process":
            raise TaskFailed(
                f"whole: true gives {self.spec.script} all rows at once, and its process takes one record",
                hint="Define process_batch or process_table, or leave whole: out.",
            )
        if not self.reading.rows:
            return
        if self.reading.size_bytes > limits.CHUNK_BYTES.value * 2**20:
            raise self._too_large()
        tables = {"rows": self.reading}
        path, rows = self.ctx.write_file("FROM rows", tables=tables, name="whole.parquet", format="parquet in one")
        self.letters[self.ctx.staging / "letters-0"] = 0
        with path.open("rb") as file:
            given = InputFile("0", file.fileno(), path.stat().st_size, "parquet")
            with self.ctx.sandbox.open_input(given, chunk_records=rows, as_arrow=self.is_arrow) as reader:
                first, *more = itertools.islice(reader, 2)
                if more:
                    raise self._too_large()
                yield first

    def _too_large(self) -> TaskFailed:
        return TaskFailed(
            f"whole: true gives {self.spec.script} all {self.reading.rows:,} rows of {self.spec.source} at once, and"
            f" they are more than a chunk of {limits.CHUNK_BYTES.value} MiB",
            hint="Work it out in a task of the kind sql, or take fewer rows: window: day.",
        )

    def _chunks(self) -> Iterator[Chunk]:
        columns = tuple((column.id, column.name, type_tree(column.type)) for column in self.reading.columns)
        before = 0
        for number, file in enumerate(self.reading.files):
            self.letters[self.ctx.staging / f"letters-{number}"] = before
            descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                given = InputFile(str(number), descriptor, file.size_bytes, "parquet", columns=columns)
                with self.ctx.sandbox.open_input(
                    given, chunk_records=limits.CHUNK_RECORDS.value, as_arrow=self.is_arrow
                ) as reader:
                    yield from reader
            finally:
                os.close(descriptor)
            before += file.rows

    def _count(self, chunk: Chunk, result: ChunkResult) -> None:
        dead = chunk.dead_letters + result.dead_letters
        if dead:
            with (self.ctx.staging / f"letters-{chunk.input}").open("ab") as letters:
                letters.write(dead)
        self.records += result.records + chunk.unreadable_records
        self.produced += result.produced
        self.dropped += result.dropped
        self.failed += result.failed + chunk.unreadable_records
        self.rows += result.rows
        for cause in (*chunk.unreadable, *result.causes):
            self._count_cause(cause)
        self.printed = (self.printed + result.printed)[:_PRINTED_CHARACTERS_MAX]

    def _count_cause(self, cause: Cause) -> None:
        key = cause.code, cause.type, cause.script_line
        if key not in self.causes and len(self.causes) >= limits.CAUSES.value:
            key = cause.code, None, None
        self.causes[key] += cause.records

    def _typed(self, write: TableWrite) -> tuple[dict[str, str], str, str | None]:
        """Return the view of what the script gave, the query of its rows, and that of those that do not fit."""
        if self.is_arrow:
            path = self.ctx.staging / "rows.parquet"
            self._convert(path)
            views = {raw_sql.VIEW: raw_sql.parquet_view([path])}
            return views, f"SELECT * EXCLUDE ({FILE}) FROM {raw_sql.VIEW}", None
        dates = dict.fromkeys(write.partition_by, "date")
        columns = typed_columns(
            self.ctx,
            self.output,
            known=self.ctx.columns(write.table),
            source=self.reading.columns,
            wanted=self.spec.columns | dates,
        )
        views = {raw_sql.VIEW: raw_sql.lines_view([self.output], columns)}
        return views, rows_query(columns), misfits_query(columns, self.output, self.spec.to)

    def _convert(self, path: Path) -> None:
        with self.output.open("rb") as spool, path.open("wb") as file:
            for block in self.ctx.sandbox.convert(spool.fileno(), spool_format="arrow", to="parquet"):
                file.write(block)

    def _write(self, write: TableWrite, query: str | None, views: Mapping[str, str]) -> Written | None:
        if query is None:
            known = [column for column in self.ctx.columns(write.table) if column.name not in write.partition_by]
            wanted = known or [Column(name, kind) for name, kind in self.spec.columns.items()]
            if not wanted:
                self.ctx.log(f"the script gave no rows, and {write.table} is not there yet: its columns are not known")
                return None
            query = "SELECT * FROM nothing"
            views = {"nothing": _nothing(wanted)}
        return self.ctx.write_query(write, query, tables={}, files=views)

    def _write_rejected(self, write: TableWrite, views: Mapping[str, str], aside: str | None) -> int:
        """Write what was rejected in place of what was before; return how many that is."""
        table = TableName(write.table + REJECTED)
        queries, files = ([aside], dict(views)) if aside is not None else ([], {})
        letters = {path: before for path, before in self.letters.items() if path.exists()}
        if letters:
            queries.append(letters_query(letters, self.spec.source))
            files[LETTERS] = letters_view(letters)
        if not queries and not self.ctx.columns(table):
            return 0
        queries = queries or ["SELECT * FROM nothing"]
        files = files or {"nothing": _nothing(_REJECTED_COLUMNS)}
        order = _rejected_write(self.ctx, write, table)
        written = self.ctx.write_query(order, " UNION ALL ".join(queries), tables={}, files=files)
        if written.rows:
            self.ctx.log(f"records were rejected; see {table}", level="warning", records=written.rows)
        return written.rows

    def _too_many(self, rejected: int, misfits: int) -> TaskFailed:
        self.ctx.publish()
        causes = self._causes()
        most = f"; most: {_words(causes[0])}" if causes else ""
        unfit = f", {misfits:,} of them after the script: they do not fit the table" if misfits else ""
        return TaskFailed(
            f"{rejected:,} of {self.records:,} records failed{unfit}{most}; at most {self.spec.errors_max} may",
            hint=f'Look at them: penstock query "SELECT * FROM {self.spec.to}{REJECTED}". Then correct the script or'
            " raise errors_max.",
            figures={"records": self.records, "rejected": rejected, "misfits": misfits, "causes": causes, **self.code},
        )

    def _causes(self) -> list[dict[str, Any]]:
        return [
            {"code": code, "type": kind, "script_line": line, "records": count}
            for (code, kind, line), count in self.causes.most_common(_CAUSES_SHOWN)
        ]


_REJECTED_COLUMNS: Final = (
    Column("line", "long"),
    Column("error", "string"),
    Column("record", "string"),
    Column("_source", "string"),
)


def _rejected_write(ctx: PipelineContext, write: TableWrite, table: TableName) -> TableWrite:
    """Return how rejected rows replace those of the same window."""
    landed_at = dt.datetime.fromtimestamp(ctx.occurrence.started_at, dt.UTC)
    day = dt.date.fromisoformat(ctx.occurrence.date) if ctx.occurrence.date else landed_at.date()
    return TableWrite(
        table,
        "replace_partitions" if write.mode == "replace_partitions" else "replace_table",
        partition_by=(DATE_COLUMN,),
        partitions=((day,),) if write.mode == "replace_partitions" else (),
        added=(
            (Column("_run", "string"), ctx.occurrence.run),
            (Column("_landed_at", "timestamptz"), landed_at.isoformat()),
            (Column(DATE_COLUMN, "date"), day),
        ),
        version=write.version,
    )


def _nothing(columns: Iterable[Column]) -> str:
    listed = ", ".join(f"CAST(NULL AS {sql_type(one.type)}) AS {quoted(one.name)}" for one in columns)
    return f"SELECT {listed} WHERE false"


def _words(cause: Mapping[str, Any]) -> str:
    where = f" at line {cause['script_line']} of the script" if cause["script_line"] else ""
    return f"{cause['type'] or cause['code']}{where}"
