"""What a task of a pipeline can reach: its tables, its connections, and the children in which data is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from penstock.core.access import Destination, WorkspaceId
from penstock.core.columns import Column
from penstock.core.engines import EngineAnswer, EngineLimits, HeavyProfile
from penstock.core.plan import RunId, TaskName
from penstock.core.ports.checks import CheckedSuite
from penstock.core.ports.tasks import Sandbox, ScriptRunner
from penstock.core.projects import Project, Task
from penstock.core.raw import PageQuestion, RawLines
from penstock.core.runs import CheckResult
from penstock.core.scripts import Chunk, ChunkResult, InputFile, ScriptVersion
from penstock.core.tables import Partition, Reading, TableName, WriteMode, Written


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What an attempt is for.

    Attributes:
        date: the logical date, `YYYY-MM-DD`; None for a run without one.
        started_at: of the run, seconds since 1970: the same in every attempt.
        item: what a `for_each` gave, None without one; `part` names it, empty without one.
        fingerprint: of the task's code, settings and inputs.
    """

    run: RunId
    workspace: WorkspaceId
    project: str
    pipeline: str
    task: TaskName
    started_at: float
    fingerprint: str
    attempt: int = 1
    date: str | None = None
    timezone: str = "UTC"
    params: Mapping[str, Any] = field(default_factory=dict)
    item: Any = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class TableWrite:
    """What a task writes to a table, and how.

    Attributes:
        mode: see `WriteOrder`.
        partition_by: columns that the table is partitioned by.
        partitions: what `replace_partitions` replaces.
        added: columns with one value for all rows, such as `_date`; left out where the rows have them already.
        depends_on_table: whether what is written depended on what the table held before.
        version: the script version that made it.
        policy: what to do with columns that the table does not have: `evolve` adds them, `freeze` fails with
            the difference.
        part: which piece of the attempt's work this is, where it writes to one table in several.
        with_cursors: whether the cursors that are set belong to these rows. An attempt that was killed between writing
            and publishing is then gone on with: with its rows, and with its cursors.
        anew: whether it takes the place of what attempts before have written and not published, were it the same.
    """

    table: TableName
    mode: WriteMode
    partition_by: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    added: tuple[tuple[Column, Any], ...] = ()
    depends_on_table: bool = False
    version: str = ""
    policy: str = "evolve"
    part: str = ""
    with_cursors: bool = False
    anew: bool = False


class Cursors(Protocol):
    """What an ingest remembers from run to run: where it has come to, and which files it has taken.

    What is set counts from the moment when the rows are published, and with them: never without, never twice.
    """

    def get(self, name: str) -> Any:
        """Return what was remembered, None at first."""

    def set(self, name: str, value: Any) -> None:
        """Remember a JSON value, once the rows are published."""

    def seen(self, paths: Iterable[tuple[str, str]]) -> frozenset[str]:
        """Return those of some files, each with its mark (size, time, ETag), that were taken already."""

    def take(self, paths: Iterable[tuple[str, str]]) -> None:
        """Remember files as taken, once their rows are published."""

    def forget(self) -> None:
        """Let what was set and taken go; the rows are not published."""


class BegunPage(Protocol):
    """A JSON answer whose records are being read.

    Attributes:
        next: what it says of the next; None when it says that there is no more, or nothing.
    """

    next: str | int | None

    def lines(self) -> RawLines:
        """Return its records, once they are read; to be called once.

        Raises:
            TaskFailed: when it has none where they should be.
        """


class RawReader(Protocol):
    """Turns raw data into lines, in locked children; safe to call from several threads."""

    def page(self, data: bytes, question: PageQuestion) -> RawLines:
        """Return the records of one JSON answer, and what it says of the next.

        Raises:
            TaskFailed: when it is not JSON, or has no records where they should be.
        """

    def begin_page(self, data: bytes, question: PageQuestion) -> BegunPage:
        """Return what a JSON answer says of the next as soon as that is known, while its records are still read.

        At most two may be begun whose lines nobody has asked for.

        Raises:
            TaskFailed: when it is not JSON.
        """

    def lines(self, file: InputFile, *, records_at: str = "") -> Iterator[RawLines]:
        """Yield the records of a CSV, JSON or NDJSON file, compressed or not, in pieces.

        Raises:
            InputUnreadable: when the file is broken, or is not what its name says.
        """


class PipelineContext(Protocol):
    """All that a task of a pipeline can reach. One for each attempt."""

    occurrence: Occurrence
    project: Project

    @property
    def cursors(self) -> Cursors:
        """What the task remembers from run to run."""

    @property
    def staging(self) -> Path:
        """A folder of this attempt alone, removed afterwards; on the lake's own disk when that is local."""

    @property
    def sandbox(self) -> Sandbox:
        """The strict class."""

    @property
    def parallel(self) -> int:
        """How many children work at once."""

    def stopping(self, watcher: Callable[[], None], /) -> AbstractContextManager[None]:
        """Call a function as soon as the attempt is to end, from another thread, while the context lasts."""

    @property
    def files_folder(self) -> Path | None:
        """Where connections may read and write files: the project's own folder; on a server perhaps none."""

    def files_room(self) -> int | None:
        """Return how many bytes the files in that folder may have together; None where nobody bounds them."""

    def file(self, path: str) -> bytes:
        """Return a file of the project."""

    def connection(self, name: str) -> Any:
        """Return a connection's checked settings, with the secrets in their places.

        Raises:
            NotFound: when a secret is not there.
        """

    def connector(self, kind: str) -> Any:
        """Return the `Connector` of a kind of connection."""

    def resolve(self, url: str) -> Destination:
        """Return where a URL leads, if the workspace's work may reach that.

        Raises:
            EgressRefused: when it may not.
        """

    def open_raw(self) -> AbstractContextManager[RawReader]:
        """Give what turns raw data into lines."""

    def read(self, table: TableName, *, partitions: Sequence[Partition] | None = None) -> Reading:
        """Return what the run sees of a table, its files local for as long as the attempt lasts; pinned."""

    def exists(self, table: TableName) -> bool:
        """Return whether a table has something in it that the run sees, if only its columns."""

    def is_pending(self, table: TableName) -> bool:
        """Return whether something is written to a table that is not published: by this attempt, or one before it."""

    def columns(self, table: TableName) -> tuple[Column, ...]:
        """Return the columns that a table has now; none when it is new."""

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

    def engine(
        self, *, tables: Mapping[str, Reading], limits: EngineLimits | None = None
    ) -> AbstractContextManager[Callable[[str], Sequence[Sequence[Any]]]]:
        """Give a function that runs one SELECT after the other in one locked child, and returns its rows.

        It raises TaskFailed with the engine's words; a further SELECT may have an answer still.
        """

    def registered_script(self, name: str, wanted: str) -> ScriptVersion:
        """Return a script version that the workspace has registered.

        Args:
            name: of the script.
            wanted: an exact version, or a range such as `^1.2`.

        Raises:
            NotFound: when there is no such script or version.
            VersionRevoked: when it may not run any more.
        """

    def run_in_order(
        self, runner: ScriptRunner, chunks: Iterable[Chunk], *, seed: str, emit: str
    ) -> Iterator[tuple[Chunk, ChunkResult]]:
        """Yield each chunk with what became of it, in the order of the chunks, many at once."""

    def expect_write(self) -> None:
        """Start the engine of the next `write_query` of staged files now, beside what comes first; cheap when it is."""

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

        Args:
            write: to which table, and how.
            sql: may name `tables`, and the views of `files`.
            tables: by the name that the query has for each.
            files: views by name: the SQL that reads files of the staging folder, such as
                `SELECT * FROM read_json('/staging/rows.ndjson', ...)`.
            limits: of the engine.

        Raises:
            TaskFailed: with the engine's words and line.
            SchemaRefused: when the columns do not fit those of the table.
            RowsOutside: when rows lie outside of the partitions that are written.
        """

    def run_driver(
        self, profile: HeavyProfile, ask: Mapping[str, Any], *, reads: Sequence[str] = (), link: int | None = None
    ) -> Mapping[str, Any]:
        """Return what the driver of a database answered, run in a locked child that may write to the staging folder.

        Args:
            profile: which.
            ask: what for; see its program in `penstock_guest/heavy`.
            reads: files that it may read.
            link: a connected socket, its only way out.

        Raises:
            TaskFailed: when it ended without an answer.
        """

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

        Args:
            sql: may name `tables`.
            tables: by the name that the query has for each.
            name: of the file.
            format: `csv`, `ndjson` or `parquet`.
            limits: of the engine.

        Returns:
            The file, and how many rows it has.

        Raises:
            TaskFailed: with the engine's words.
        """

    def publish(self) -> None:
        """Publish now what this task has written, with the cursors: of ingests only.

        Raises:
            NeedsRerun: when another run of the task has moved the cursors, or taken the files, since they were read.
        """

    def start_over(self) -> frozenset[TableName]:
        """Forget what this attempt has written and remembered; what it writes from now on takes its place."""

    def record_check(self, result: CheckResult) -> None:
        """Keep the result of a suite, for `penstock status` and the API."""

    def suite(self, source: bytes, *, name: str) -> CheckedSuite:
        """Return a suite, checked.

        Raises:
            ProjectInvalid: with everything that is wrong with it.
        """

    def progress(self, done: int, *, total: int | None = None, unit: str = "rows") -> None:
        """Tell how far the attempt has come; cheap, to be called often.

        Raises:
            Stopped: when the run was cancelled, or the attempt's time is up.
        """

    def confirm(self) -> None:
        """Go on only with a lease that holds: to be called right before what cannot be taken back.

        Raises:
            Stopped: when the run was cancelled, or the attempt's time is up.
            LeaseExpired: when another worker may have the work by now.
        """

    def log(self, text: str, *, level: str = "info", **figures: Any) -> None:
        """Say something of this attempt to people; never a value of a row."""

    def wait(self, seconds: float) -> None:
        """Sleep, unless the run is cancelled meanwhile, or the attempt's time is up.

        Raises:
            Stopped: in either case.
        """


class RunTaskKind(Protocol):
    """One kind of task of a pipeline: a file in `tasks/`, with a docstring that has the facts.

    Attributes:
        Spec: a pydantic model of what a task of this kind says; every field has a description.
        follows_publish: whether it waits until the run's tables are published.
        publishes: whether it publishes what it wrote at its own end, as raw data does.
    """

    Spec: Any
    follows_publish: bool
    publishes: bool

    def reads(self, spec: Any, /) -> Iterable[str]:
        """Return the tables that a task reads."""

    def writes(self, spec: Any, /) -> Iterable[str]:
        """Return the tables that a task writes."""

    def code(self, spec: Any, project: Project, /) -> str:
        """Return a hash of the project's files that a task's result depends on."""

    def problems(self, task: Task, project: Project, /) -> Iterable[Any]:
        """Return what is wrong with what a task names: files, connections, suites, SQL."""

    def run(self, spec: Any, ctx: PipelineContext, /) -> Mapping[str, Any]:
        """Carry out one attempt and return its report: `rows`, `rejected`, `bytes` and figures of its own.

        Raises:
            PenstockError: a TransientError costs a retry only after a while; any other fails the task.
        """


class Connector(Protocol):
    """One kind of connection: a file in `connectors/`, which says what it can do besides its settings.

    Attributes:
        Spec: a pydantic model of its settings; every field has a description.
        From: a model of what an `ingest` says of it under `from`; None when nothing can be read from it.
        To: a model of what an `export` says of it under `to`; None when nothing can be written to it. Its property
            `staged` says which file it sends: `csv`, `ndjson` or `parquet`; and `in_batches`, whether its rows have to
            come in the same order each time.
    """

    Spec: Any
    From: Any
    To: Any

    def fetch(self, name: str, settings: Any, wanted: Any, ctx: PipelineContext, /) -> Iterator[Landed]:
        """Yield what arrives: files in the staging folder, as they were received, with what is known of them.

        Args:
            name: of the connection, for words and for its gate.
            settings: its `Spec`, secrets in their places.
            wanted: its `From`.
            ctx: of the attempt.
        """

    def send(
        self,
        name: str,
        settings: Any,
        wanted: Any,
        file: Path,
        ctx: PipelineContext,
        /,
        *,
        columns: Sequence[Column] = (),
    ) -> Mapping[str, Any]:
        """Send a file of the staging folder that an engine has written; return figures."""


class FileConnector(Connector, Protocol):
    """A kind of connection to files, which a task can be done for one by one."""

    def list_files(self, name: str, settings: Any, pattern: str, ctx: PipelineContext, /) -> list[str]:
        """Return the names of the files that a pattern fits, taken or not; `From.path` takes each of them."""


@dataclass(frozen=True, slots=True)
class Landed:
    """One file of raw data as it was received.

    Attributes:
        path: in the staging folder.
        source: where it is from, for `_source`: a URL without its query, a path, a table; never a secret.
        format: `ndjson`, `json`, `csv`, `parquet`; or `lines` when a `RawReader` made it, and `kinds` are known.
        records_at: of a JSON document: where its records are, names with dots between; empty for the whole.
        options: of the format, such as a CSV's delimiter.
        mark: what tells this state of the source from another; for files that are taken once.
        content: the hash of its bytes, where `mark` changes when they do not.
        columns: types of columns that the source knows, as of `Column`; the others are found out.
        kinds: of `lines`: the kinds of values in each column.
        rejected: of `lines`: the file of what could not be read.
    """

    path: Path
    source: str
    format: str
    records_at: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""
    content: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rejected: Path | None = None
