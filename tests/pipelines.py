"""Attempts of pipelines' tasks for tests: a real context over a lake in a folder, with real locked children.

with pipeline_context(tmp_path, files={"penstock.yml": ..., ...}, date="2026-01-02") as bench:
report = bench.run("clean")            # a task of the project, as a run would
report = KIND.run(spec, bench.ctx())   # or a kind by itself
bench.publish()
assert bench.rows("staging.orders") == [...]
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from penstock.access.egress import HttpEgress
from penstock.checks.judging import GxSuites
from penstock.connectors import connectors
from penstock.core.access import Destination, Policy
from penstock.core.errors import NotFound
from penstock.core.plan import RunId, TaskName
from penstock.core.ports import Occurrence
from penstock.core.projects import PipelineName, Project
from penstock.core.tables import Published, SnapshotId, TableName
from penstock.database.opening import SqlDatabase, open_database
from penstock.execution.task_context import TaskContext
from penstock.execution.task_parts import TaskParts
from penstock.project.loading import load_project
from penstock.sandbox.heavy import HeavySandbox
from penstock.sandbox.raw import open_raw
from penstock.sandbox.strict import StrictSandbox
from penstock.storage.attempt_records import SqlAttemptRecords
from penstock.storage.tables.lake import IcebergLake
from penstock.storage.tables.types import columns_of_arrow
from penstock.wiring.lake import open_lake
from tests.lakes import WORKSPACE, Clock, files, order, read_rows
from tests.servers import write_database

RUN = RunId("run_1")
EMPTY_PROJECT: dict[str, bytes | str] = {
    "penstock.yml": "name: shop\n",
    "pipelines/main.yml": "tasks: {task: {kind: nothing}}\n",
}

# Of a project: a table of which each date replaces its own rows, and one that is made of all of it.
DAYS_AND_TOTAL = {
    "penstock.yml": b"name: shop\n",
    "pipelines/sales.yml": b"""
tasks:
  day:
    kind: sql
    sql: SELECT range AS number, day('${date}'::DATE) * 100 + range AS amount FROM range(day('${date}'::DATE))
    to: staging.sales
    window: day
  total:
    kind: sql
    sql: SELECT count(*) AS rows, count(DISTINCT _date) AS days, sum(amount)::BIGINT AS amount FROM sales
    from: {sales: staging.sales}
    to: marts.total
""",
}


class Nothing:
    """A kind that does nothing."""

    class Spec(BaseModel):
        """It needs nothing."""

    def reads(self, _spec: Any) -> list[str]:
        """Return no tables."""
        return []

    writes = reads

    def problems(self, _task: Any, _project: Any) -> list[Any]:
        """Return none."""
        return []

    def run(self, _spec: Any, _ctx: Any) -> Mapping[str, Any]:
        """Do nothing."""
        return {}


@dataclass(slots=True)
class PipelineBench:
    """A lake, a project, and attempts of its tasks.

    Attributes:
        secrets: by name.
        run_id: of the run whose attempts these are; `next_run` begins another.
    """

    folder: Path
    lake: IcebergLake
    database: SqlDatabase
    parts: TaskParts
    project: Project
    date: str | None
    kinds: Mapping[str, Any]
    stack: contextlib.ExitStack
    clock: Clock
    secrets: dict[str, str] = field(default_factory=dict)
    run_id: RunId = RUN
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def next_run(self, name: str | None = None, *, date: str | None = None) -> None:
        """Let what follows be of another run."""
        self.run_id = RunId(name or f"run_{int(self.run_id[4:]) + 1}")
        self.date = date or self.date

    def ctx(self, task: str = "task", *, pipeline: str = "main", **words: Any) -> TaskContext:
        """Return the context of an attempt, entered; it is left at the end of the test."""
        return self.stack.enter_context(self.open(task, pipeline=pipeline, **words))

    def open(
        self,
        task: str = "task",
        *,
        pipeline: str = "main",
        fingerprint: str = "",
        timeout_s: float | None = None,
        **words: Any,
    ) -> TaskContext:
        """Return the context of an attempt, to be entered; `words` are of its Occurrence, such as `item`."""
        number = next(self._numbers)
        occurrence = Occurrence(
            run=self.run_id,
            workspace=WORKSPACE,
            project=self.project.name,
            pipeline=pipeline,
            task=TaskName(task),
            started_at=self.clock(),
            fingerprint=fingerprint or f"f{number}",
            **{"date": self.date, **words},
        )
        folder = self.folder / "attempts" / f"{task}-{number}"
        found = self.project.pipelines[PipelineName(pipeline)].tasks.get(TaskName(task))
        piece = occurrence.part if found is not None and getattr(self.kinds[found.kind], "publishes", False) else ""
        return TaskContext(self.parts, occurrence, self.project, folder, piece=piece, timeout_s=timeout_s)

    def run(self, task: str, *, pipeline: str = "main", **words: Any) -> Mapping[str, Any]:
        """Carry out one attempt of a task of the project and return its report."""
        found = self.project.pipelines[pipeline].tasks[TaskName(task)]  # type: ignore[index]  # a name by itself
        with self.open(task, pipeline=pipeline, **words) as ctx:
            report: Mapping[str, Any] = self.kinds[found.kind].run(found.spec, ctx)
        return report

    def change(self, path: str, content: bytes) -> None:
        """Change a file of the project."""
        self.project = dataclasses.replace(self.project, files={**self.project.files, path: content})

    def publish(self) -> Sequence[Published]:
        """Publish what the run has written."""
        return self.lake.publish(WORKSPACE, self.run_id)

    def rows(self, table: str, *, at: SnapshotId | None = None, run: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a table, sorted; those that the run sees when `run` says so."""
        name = TableName(table)
        if run:
            at = self.lake.heads(WORKSPACE, [name], run=self.run_id)[name]
        return read_rows(self.lake.read(WORKSPACE, name, at=at))

    def columns(self, table: str) -> dict[str, Any]:
        """Return the published columns of a table: types by name."""
        return {one.name: one.type for one in self.lake.read(WORKSPACE, TableName(table)).columns}

    def put(self, table: str, rows: Sequence[Mapping[str, Any]] | pa.Table, *, by: tuple[str, ...] = ()) -> None:
        """Publish rows as what a table holds, by a run of their own."""
        data = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows))
        run = RunId(f"seed_{next(self._numbers)}")
        wanted = order(run, columns_of_arrow(data.schema), table=TableName(table), by=by, mode="replace_table")
        author = dataclasses.replace(wanted.author, task=TaskName("seed"))
        writing = self.lake.begin(dataclasses.replace(wanted, author=author))
        self.lake.commit(writing, files(self.folder, data, writing.columns, by))
        self.lake.publish(WORKSPACE, run)

    def logs(self) -> list[str]:
        """Return what attempts have said."""
        with self.database.read() as tx:
            return [row[0] for row in tx.exec_driver_sql("SELECT text FROM task_logs ORDER BY id").all()]


@contextlib.contextmanager
def pipeline_context(
    folder: Path,
    *,
    files: Mapping[str, bytes | str] | None = None,
    date: str | None = "2026-01-02",
    kinds: Mapping[str, Any] | None = None,
    connection_kinds: Mapping[str, Any] | None = None,
    strict: StrictSandbox | None = None,
    resolve: Callable[[str, str], Destination] | None = None,
    raw: Callable[[], Any] | None = None,
) -> Iterator[PipelineBench]:
    """Open a lake and a project in a folder; everything that was started ends with the context.

    Args:
        folder: of the test.
        files: of the project, beside a `penstock.yml` and a pipeline with a task that does nothing.
        date: of the run.
        kinds: of tasks, by name; all that there are when not given.
        connection_kinds: the connectors, by name.
        strict: a sandbox that a module shares; starting one takes a moment.
        resolve: from a workspace and a URL to where it leads.
        raw: gives what turns raw data into lines.
    """
    with contextlib.ExitStack() as stack:
        clock, secrets = Clock(), dict[str, str]()
        strict = strict or stack.enter_context(contextlib.closing(StrictSandbox()))
        heavy = HeavySandbox()
        database = stack.enter_context(contextlib.closing(open_database(write_database(folder / "records.db"))))
        lake = stack.enter_context(open_lake(database, clock, strict=strict, heavy=heavy, home=folder))
        parts = TaskParts(
            database=database,
            records=SqlAttemptRecords(),
            lake=lake,
            engines=heavy,
            sandbox=strict,
            suites=GxSuites(),
            connectors=connection_kinds or {},
            secret=lambda _workspace, name: _secret(secrets, name),
            resolve=resolve or _nowhere,
            raw=raw or _no_raw,
            clock=clock,
            files_folder=folder,
        )
        project, known = load(files, kinds=kinds, connection_kinds=connection_kinds)
        inner = stack.enter_context(contextlib.ExitStack())
        yield PipelineBench(folder, lake, database, parts, project, date, known, inner, clock, secrets)


@contextlib.contextmanager
def ingest_context(
    folder: Path, *, strict: StrictSandbox, files: Mapping[str, bytes | str], parallel: int = 2
) -> Iterator[PipelineBench]:
    """Open a project whose tasks reach what they say: every kind of connection, on loopback only, and its raw data."""
    egress, policy = HttpEgress(), Policy(egress=("127.0.0.1",))
    with pipeline_context(
        folder,
        files=files,
        connection_kinds=connectors(),
        strict=strict,
        raw=lambda: open_raw(strict, parallel=parallel),
        resolve=lambda _workspace, url: egress.check(url, policy=policy),
    ) as bench:
        yield bench


def load(
    files: Mapping[str, bytes | str] | None = None,
    *,
    kinds: Mapping[str, Any] | None = None,
    connection_kinds: Mapping[str, Any] | None = None,
) -> tuple[Project, Mapping[str, Any]]:
    """Return the project that files make, and the kinds of its tasks; nothing is started for it."""
    given = EMPTY_PROJECT | dict(files or {})
    content = {path: text.encode() if isinstance(text, str) else text for path, text in given.items()}
    known = {**(_all_kinds(connection_kinds or {}) if kinds is None else kinds), "nothing": Nothing()}
    return load_project(content, kinds=known, connection_kinds=connection_kinds or {}), known


def _all_kinds(connectors: Mapping[str, Any]) -> Mapping[str, Any]:
    from penstock.tasks import run_kinds

    return run_kinds(suites=GxSuites(), connectors=connectors)


def _secret(secrets: Mapping[str, str], name: str) -> str:
    if name not in secrets:
        raise NotFound(f"there is no secret {name}", hint=f"Set it: penstock secrets put {name}")
    return secrets[name]


def _no_raw() -> Any:
    raise AssertionError("no raw data is read in this test")


def _nowhere(_workspace: str, url: str) -> Destination:
    raise AssertionError(f"nothing may be reached in this test: {url}")
