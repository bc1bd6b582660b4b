"""What an attempt of a pipeline's task reaches: tables, connections, locked children; and what it tells meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from penstock.base.ids import new_id
from penstock.base.nearest import nearest
from penstock.core import duckdb_sql, limits
from penstock.core.access import Destination
from penstock.core.columns import Column
from penstock.core.engines import EngineAnswer, EngineLimits, EngineRequest, HeavyProfile, plain_rows
from penstock.core.errors import NotFound
from penstock.core.limits import QUERY_ROWS
from penstock.core.plan import TaskName
from penstock.core.ports import Occurrence, Sandbox, ScriptRunner, TableWrite
from penstock.core.ports.checks import CheckedSuite
from penstock.core.ports.pipelines import RawReader
from penstock.core.projects import PipelineName, Project, Task
from penstock.core.runs import CheckResult
from penstock.core.scripts import Chunk, ChunkResult, ScriptVersion
from penstock.core.tables import Author, Partition, Published, Reading, SnapshotId, TableName, Written
from penstock.execution.chunks import run_in_order
from penstock.execution.engine_failures import failed
from penstock.execution.ready_engine import ReadyEngine
from penstock.execution.settings_secrets import with_secrets
from penstock.execution.stopping import StopSign
from penstock.execution.table_writes import Ask, order_of, query_columns, query_files
from penstock.execution.task_cursors import TaskCursors
from penstock.execution.task_parts import TaskParts
from penstock.execution.telling import Telling

Rows = Callable[[str], Sequence[Sequence[Any]]]
_FILES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "csv": ("csv", ["HEADER"]),
    "ndjson": ("json", []),
    "parquet": ("parquet", ["COMPRESSION zstd"]),
    "parquet in one": ("parquet", ["COMPRESSION zstd", f"ROW_GROUP_SIZE {2**31 - 1}"]),  # to be read at once
}


@dataclass(slots=True)
class TaskContext:
    """The PipelineContext of one attempt; to be entered, and left when the attempt has ended.

    Attributes:
        folder: of this attempt alone, removed at the end; on the lake's own disk when that is local.
        number: of the item, where the task is done for several.
        piece: of the run, that the attempt publishes by itself: an item's, of a kind that does; else empty.
        pins: the snapshots to read, where the run has settled them; others are looked up when first asked for.
        reads: the snapshots that were read.
        wrote: what was written.
        published: what was published here.
    """

    parts: TaskParts
    occurrence: Occurrence
    project: Project
    folder: Path
    stop: StopSign = field(default_factory=StopSign)
    number: int = 0
    piece: str = ""
    timeout_s: float | None = None
    pins: Mapping[TableName, SnapshotId] = field(default_factory=dict)
    reads: dict[TableName, SnapshotId] = field(default_factory=dict)
    wrote: dict[TableName, SnapshotId] = field(default_factory=dict)
    published: list[Published] = field(default_factory=list)
    cursors: TaskCursors = field(init=False)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _telling: Telling = field(init=False)
    _ready: ReadyEngine = field(default_factory=ReadyEngine)
    _fetched: int = 0
    _turn: int = 0
    _own: str = field(default_factory=lambda: new_id("w"))  # of this attempt, and no other

    def __post_init__(self) -> None:
        parts, now = self.parts, self.occurrence
        self.cursors = self._fresh_cursors()
        self._telling = Telling(parts.database, parts.records, now, number=self.number, clock=parts.clock)

    def _fresh_cursors(self) -> TaskCursors:
        now = self.occurrence
        owner = (now.workspace, now.project, now.pipeline, now.task)
        parts = self.parts
        return TaskCursors(parts.database, parts.records, owner=owner, run=now.run, clock=parts.clock)

    def __enter__(self) -> Self:
        """Let the attempt's time run."""
        self._clear()  # what an attempt that was killed has left
        self._stack.callback(self._telling.close)
        self._stack.callback(self._ready.close)
        self._stack.enter_context(self.stop.after(self.timeout_s))
        return self

    def __exit__(self, *_: object) -> None:
        """Tell what is untold, and remove the folder."""
        try:
            self._stack.close()
        finally:
            self._clear()

    def _clear(self) -> None:
        if self.folder.exists():
            self.parts.engines.clear(self.folder)

    @property
    def staging(self) -> Path:
        """A folder of this attempt alone, made when somebody asks for it, and removed afterwards."""
        return self._made("staging")

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    @property
    def sandbox(self) -> Sandbox:
        """The strict class."""
        return self.parts.sandbox

    @property
    def parallel(self) -> int:
        """How many children work at once."""
        return self.parts.parallel

    @property
    def files_folder(self) -> Path | None:
        """Where connections may read and write files: the project's own folder; None where there is none."""
        return self.parts.files_folder

    def files_room(self) -> int | None:
        """Return how many bytes the files in that folder may have together; None where nobody bounds them."""
        return self.parts.files_room(self.occurrence.workspace)

    def file(self, path: str) -> bytes:
        """Return a file of the project.

        Raises:
            NotFound: when it has none of that path.
        """
        if path not in self.project.files:
            raise NotFound(f"the project has no file {path}", hint="Add it to the project's folder.")
        return self.project.files[path]

    def connection(self, name: str) -> Any:
        """Return a connection's checked settings, with the secrets in their places.

        Raises:
            NotFound: when a secret is not there, or the connection.
        """
        if name not in self.project.connections:
            raise NotFound(f"the project has no connection {name!r}", hint=nearest(name, self.project.connections))
        secret = partial(self.parts.secret, self.occurrence.workspace)
        return with_secrets(self.project.connections[name].spec, secret)

    def connector(self, kind: str) -> Any:
        """Return the `Connector` of a kind of connection."""
        return self.parts.connectors[kind]

    def resolve(self, url: str) -> Destination:
        """Return where a URL leads, if the workspace's work may reach that.

        Raises:
            EgressRefused: when it may not.
        """
        return self.parts.resolve(self.occurrence.workspace, url)

    def open_raw(self) -> AbstractContextManager[RawReader]:
        """Give what turns raw data into lines."""
        return self.parts.raw()

    def read(self, table: TableName, *, partitions: Sequence[Partition] | None = None) -> Reading:
        """Return what the run sees of a table, its files local for as long as the attempt lasts; pinned."""
        snapshot = self._snapshot(table)
        reading = self.parts.lake.read(self.occurrence.workspace, table, at=snapshot, partitions=partitions)
        self._fetched += 1
        folder = self._made(f"inputs-{self._fetched}")
        return self._stack.enter_context(self.parts.lake.local(reading, folder))

    def exists(self, table: TableName) -> bool:
        """Return whether a table has something in it that the run sees, if only its columns."""
        return self._head(table) is not None

    def is_pending(self, table: TableName) -> bool:
        """Return whether something is written to a table that is not published: by this attempt, or one before it."""
        if (head := self._head(table)) is None:
            return False
        try:
            return self.parts.lake.heads(self.occurrence.workspace, [table])[table] != head
        except NotFound:
            return True

    def columns(self, table: TableName) -> tuple[Column, ...]:
        """Return the columns that a table has now; none when it is new."""
        snapshot = self._head(table)
        if snapshot is None:
            return ()
        return self.parts.lake.read(self.occurrence.workspace, table, at=snapshot, partitions=()).columns  # no files

    def _head(self, table: TableName) -> SnapshotId | None:
        workspace, run = self.occurrence.workspace, self.occurrence.run
        try:
            return self.parts.lake.heads(workspace, [table], run=run, piece=self.piece)[table]
        except NotFound:
            return None

    def query(
        self,
        sql: str,
        *,
        tables: Mapping[str, Reading],
        rows_max: int,
        files: Mapping[str, str] | None = None,
        limits: EngineLimits | None = None,
    ) -> EngineAnswer:
        """Run one SELECT in a locked child and return up to `rows_max` rows, and the columns with DuckDB's types.

        `files` are views by name, as of `write_query`.

        Raises:
            TaskFailed: with the engine's words.
        """
        request = self._request(tables, files, limits, {"sql": sql, "output": None, "rows_max": rows_max})
        ended = self.parts.engines.run(request, stop=self.stop)
        self.stop.check()
        if isinstance(ended, EngineAnswer):
            return ended
        raise failed(ended, "the query")

    @contextlib.contextmanager
    def engine(self, *, tables: Mapping[str, Reading], limits: EngineLimits | None = None) -> Iterator[Rows]:
        """Give a function that runs one SELECT after the other in one locked child, and returns its rows.

        It raises TaskFailed with the engine's words; a further SELECT may have an answer still.
        """
        with self._talk(tables, None, limits, ordered=True) as ask:
            yield lambda sql: plain_rows(ask({"act": "rows", "sql": sql, "rows_max": QUERY_ROWS.value})["rows"])

    def registered_script(self, name: str, wanted: str) -> ScriptVersion:
        """Return a script version that the workspace has registered.

        Raises:
            NotFound: when there is no such script or version.
            VersionRevoked: when it may not run any more.
        """
        return self.parts.script(self.occurrence.workspace, name, wanted)

    def run_in_order(
        self, runner: ScriptRunner, chunks: Iterable[Chunk], *, seed: str, emit: str
    ) -> Iterator[tuple[Chunk, ChunkResult]]:
        """Yield each chunk with what became of it, in the order of the chunks, many at once."""
        alone = isinstance(chunks, Sequence) and len(chunks) == 1
        return run_in_order(runner, chunks, parallel=1 if alone else self.parallel, seed=seed, emit=emit)

    def expect_write(self) -> None:
        """Start the engine of the next `write_query` of staged files, beside what comes first."""
        self._ready.start(lambda: self._talk({}, None, None))

    def write_query(
        self,
        write: TableWrite,
        sql: str,
        *,
        tables: Mapping[str, Reading],
        files: Mapping[str, str] | None = None,
        limits: EngineLimits | None = None,
    ) -> Written:
        """Write the rows of one SELECT, run in a locked child, to the run's branch of a table.

        Raises:
            TaskFailed: with the engine's words and line.
            SchemaRefused: when the columns do not fit those of the table.
            RowsOutside: when rows lie outside of the partitions that are written.
        """
        self.stop.check()
        known, lake = self.columns(write.table), self.parts.lake
        is_ready = self._ready.there and not tables and limits is None
        with self._ready.used(files or {}) if is_ready else self._talk(tables, files, limits) as ask:
            found = query_columns(ask, sql, write, known)
            inputs = {**self.reads, **{reading.table: reading.snapshot for reading in tables.values()}}
            words = {"workspace": self.occurrence.workspace, "author": self._author(write), "inputs": inputs}
            writing = lake.begin(order_of(write, columns=found.columns, **words))
            if writing.done is not None:
                return self._repeated(write, writing.done)
            paths = query_files(ask, write, found, writing, staging=self.staging)
        self.confirm()
        if write.with_cursors:
            self.cursors.keep(writing.order.author.part)
        written = lake.commit(writing, [path for path, rows in paths if rows])
        if written.repeated and write.with_cursors:
            self.cursors.restore(writing.order.author.part)
        self.wrote[write.table] = written.snapshot
        return written

    def run_driver(
        self, profile: HeavyProfile, ask: Mapping[str, Any], *, reads: Sequence[str] = (), link: int | None = None
    ) -> Mapping[str, Any]:
        """Return what the driver of a database answered, run in a locked child that may write to the staging folder.

        Raises:
            TaskFailed: when it ended without an answer.
        """
        bounds = EngineLimits(disk_bytes=limits.SOURCE_BYTES.value * 2**20)
        request = EngineRequest(profile, ask, list(reads), str(self.staging), bounds, link)
        ended = self.parts.engines.run(request, stop=self.stop)
        self.stop.check()
        if isinstance(ended, EngineAnswer):
            return ended.answer
        raise failed(ended, "reading the database")

    def write_file(
        self,
        sql: str,
        *,
        tables: Mapping[str, Reading],
        name: str,
        format: str,  # noqa: A002  # the word of the glossary
        limits: EngineLimits | None = None,
    ) -> tuple[Path, int]:
        """Write the rows of one SELECT, run in a locked child, to a file of the staging folder.

        Raises:
            TaskFailed: with the engine's words.
        """
        kind, options = _FILES[format]
        output = {"name": name, "format": kind, "options": options}
        request = self._request(tables, None, limits, {"sql": sql, "output": output})
        ended = self.parts.engines.run(request, stop=self.stop)
        self.stop.check()
        if isinstance(ended, EngineAnswer):
            return self.staging / name, int(ended.answer["rows"])
        raise failed(ended, "the query")

    def publish(self) -> None:
        """Publish now what this task has written, with the cursors: of ingests only."""
        self.confirm()
        workspace, run = self.occurrence.workspace, self.occurrence.run
        then = self.cursors.commit
        self.published += self.parts.lake.publish(workspace, run, piece=self.piece, tables=list(self.wrote), then=then)

    def start_over(self) -> frozenset[TableName]:
        """Forget what was written and remembered, and return the tables; what is written now takes its place."""
        self._turn += 1
        written = frozenset(self.wrote)
        self.wrote.clear()
        self.cursors = self._fresh_cursors()
        self._ready.close()
        self.parts.engines.clear(self.staging)
        return written

    def record_check(self, result: CheckResult) -> None:
        """Keep the result of a suite, for `penstock status` and the API."""
        workspace, records = self.occurrence.workspace, self.parts.records
        self.parts.database.write(lambda tx: records.add_check(tx, workspace, result))

    def suite(self, source: bytes, *, name: str) -> CheckedSuite:
        """Return a suite, checked.

        Raises:
            ProjectInvalid: with everything that is wrong with it.
        """
        return self.parts.suites.suite(source, name=name)

    def progress(self, done: int, *, total: int | None = None, unit: str = "rows") -> None:
        """Tell how far the attempt has come; cheap, to be called often.

        Raises:
            Stopped: when the run was cancelled, or the attempt's time is up.
        """
        self.stop.check()
        self._telling.progress(done, total=total, unit=unit)

    def confirm(self) -> None:
        """Go on only with a lease that holds: to be called right before what cannot be taken back.

        Raises:
            Stopped: when the run was cancelled, or the attempt's time is up.
            LeaseExpired: when another worker may have the work by now.
        """
        self.stop.confirm()

    def log(self, text: str, *, level: str = "info", **figures: Any) -> None:
        """Say something of this attempt to people; never a value of a row."""
        self._telling.log(text, level=level, figures=figures)

    def wait(self, seconds: float) -> None:
        """Sleep, unless the run is cancelled meanwhile, or the attempt's time is up.

        Raises:
            Stopped: in either case.
        """
        self.stop.wait(seconds)

    @contextlib.contextmanager
    def _talk(
        self,
        tables: Mapping[str, Reading],
        files: Mapping[str, str] | None,
        bounds: EngineLimits | None,
        *,
        ordered: bool = False,
    ) -> Iterator[Ask]:
        request = self._request(tables, files, bounds, {"ordered": ordered})
        with self.parts.engines.converse(request, stop=self.stop) as talk:

            def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
                ended = talk.ask(question)
                self.stop.check()
                if isinstance(ended, EngineAnswer):
                    return ended.answer
                raise failed(ended, "the query")

            yield ask

    def _snapshot(self, table: TableName) -> SnapshotId:
        """Return the snapshot to read of a table: all that the task reads are of one moment, and pinned."""
        if table not in self.reads:
            task = self._task()
            names = [table, *(task.reads if task is not None else ())]
            found = {name: self.pins[name] for name in names if name in self.pins}
            found |= self._heads(table, [name for name in dict.fromkeys(names) if name not in found])
            self.parts.lake.pin(self.occurrence.workspace, self.occurrence.run, found)
            self.reads |= found
        return self.reads[table]

    def _heads(self, wanted: TableName, names: Sequence[TableName]) -> Mapping[TableName, SnapshotId]:
        """Return what the run sees of tables; of those that the task writes itself, what readers see."""
        lake, workspace, task = self.parts.lake, self.occurrence.workspace, self._task()
        own = [name for name in names if task is not None and name in task.writes]
        others = [name for name in names if name not in own]
        try:
            found = lake.heads(workspace, others, run=self.occurrence.run) if others else {}
            return {**found, **(lake.heads(workspace, own) if own else {})}
        except NotFound:  # one of them, which the task may do without
            if names == [wanted]:
                raise
            return self._heads(wanted, [wanted])

    def stopping(self, watcher: Callable[[], None], /) -> AbstractContextManager[None]:
        """Call a function as soon as the attempt is to end, from another thread, while the context lasts."""
        return self.stop.watched(watcher)

    def _task(self) -> Task | None:
        pipeline = self.project.pipelines.get(PipelineName(self.occurrence.pipeline))
        return None if pipeline is None else pipeline.tasks.get(TaskName(self.occurrence.task))

    def _author(self, write: TableWrite) -> Author:
        now = self.occurrence
        turn = f"-{self._turn}" if self._turn else ""
        return Author(
            run=now.run,
            project=now.project,
            task=now.task,
            fingerprint=now.fingerprint + turn + (f"-{self._own}" if write.anew else ""),
            part="/".join(part for part in (now.part, write.part) if part),
            version=write.version,
            piece=self.piece,
        )

    def _repeated(self, write: TableWrite, snapshot: SnapshotId) -> Written:
        if write.with_cursors:
            self.cursors.restore(self._author(write).part)
        self.wrote[write.table] = snapshot
        rows = self.parts.lake.lineage(self.occurrence.workspace, write.table, snapshot).rows_added
        return Written(write.table, snapshot, rows=rows, files=0, size_bytes=0, repeated=True)

    def _request(
        self,
        tables: Mapping[str, Reading],
        files: Mapping[str, str] | None,
        bounds: EngineLimits | None,
        ask: Mapping[str, Any],
    ) -> EngineRequest:
        views = {name: {"relation": duckdb_sql.relation(reading)} for name, reading in tables.items()}
        views |= {name: {"relation": sql} for name, sql in (files or {}).items()}
        paths = sorted({file.path for reading in tables.values() for file in reading.files})
        return EngineRequest(
            profile="sql",
            ask={"tables": views, "readable": paths, **ask},
            reads=paths,
            writes=str(self.staging),
            limits=bounds or EngineLimits(),
        )
