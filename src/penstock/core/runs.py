"""Runs of pipelines: what is asked for, how far each task has come, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NewType

from penstock.core.access import WorkspaceId
from penstock.core.jobs import BlobPointer, RunState
from penstock.core.plan import RunId, TaskName
from penstock.core.projects import Schedule
from penstock.core.tables import SnapshotId, TableName

BackfillId = NewType("BackfillId", str)
RunTrigger = Literal["manual", "schedule", "backfill"]

# waiting: for tasks before it; queued: for a worker; skipped: up to date, or its `when` was false; blocked: a task
# before it did not succeed.
TaskRunState = Literal["waiting", "queued", "running", "succeeded", "skipped", "failed", "blocked", "cancelled"]
TASK_ENDED: Final[frozenset[str]] = frozenset(["succeeded", "skipped", "failed", "blocked", "cancelled"])
TaskPart = Literal["task", "expand", "item", "publish"]
TASK_PARTS: Final[frozenset[str]] = frozenset(["task", "expand", "item", "publish"])
PUBLISH: Final = TaskName("publish")  # the name under which attempts to publish are listed


@dataclass(frozen=True, slots=True)
class RunTask:
    """One task of a run, as it stands.

    Attributes:
        kind: its task kind.
        spec: what the kind needs, as the project says it: JSON, with `${...}` still in it.
        after: the tasks that must have ended before.
        follows_publish: whether it waits until the run's tables are published, as an export does.
        action: what the plan said: `run`, `decide` or `skip`.
        reason: of its state, in words.
        reads: the snapshots that it has read.
        wrote: the snapshots that it has written, by table.
        report: what the kind reported: `rows`, `rejected`, `bytes`, figures of its own.
        error: `{code, message, hint}`, of the last attempt.
        attempt: how many have begun.
        items: how many things a `for_each` is done for; None as long as nobody knows.
    """

    name: TaskName
    kind: str
    spec: Mapping[str, Any]
    after: tuple[TaskName, ...] = ()
    follows_publish: bool = False
    when: str | None = None
    for_each: Mapping[str, Any] | None = None
    retries: int = 0
    timeout_s: float | None = None
    pool: str | None = None
    trigger: Literal["all_succeeded", "all_done"] = "all_succeeded"
    action: Literal["run", "decide", "skip"] = "run"
    state: TaskRunState = "waiting"
    reason: str = ""
    fingerprint: str | None = None
    reads: Mapping[TableName, SnapshotId] = field(default_factory=dict)
    wrote: Mapping[TableName, SnapshotId] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    attempt: int = 0
    items: int | None = None
    items_done: int = 0
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A run of a pipeline, as it stands.

    Attributes:
        date: the logical date, `YYYY-MM-DD`; None for a run without one.
        timezone: of the schedule, in which the date is meant.
        again: whether tasks run though they are up to date.
        selected: the words that chose its tasks; none for all.
        published_at: since when readers see its tables.
        published: the snapshots that it has published.
        started_at: when it was first begun.
        resumes: how often somebody has resumed it.
        resumed_at: since when it has gone on, the last time.
        worked_s: how long it was carried out, up to the last time that it ended; its pauses do not count.
    """

    id: RunId
    workspace: WorkspaceId
    project: str
    pipeline: str
    revision: str
    state: RunState
    trigger: RunTrigger
    created_at: float
    created_by: str
    date: str | None = None
    timezone: str = "UTC"
    params: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    selected: tuple[str, ...] = ()
    backfill: BackfillId | None = None
    started_at: float | None = None
    finished_at: float | None = None
    published_at: float | None = None
    published: Mapping[TableName, SnapshotId] = field(default_factory=dict)
    cancel_asked_at: float | None = None
    resumes: int = 0
    resumed_at: float | None = None
    worked_s: float = 0.0
    error: Mapping[str, Any] | None = None
    tasks: tuple[RunTask, ...] = ()

    def task(self, name: str) -> RunTask:
        """Return one task."""
        return next(task for task in self.tasks if task.name == name)


@dataclass(frozen=True, slots=True)
class Item:
    """One of the things that a `for_each` is done for.

    Attributes:
        value: what `${item}` stands for: text, or a mapping whose parts are `${item.name}`.
        state: `waiting`, `succeeded` or `failed`.
    """

    number: int
    value: Any
    state: str = "waiting"
    report: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list, newest first.

    Attributes:
        before: the id after which the list goes on; None for its begin.
    """

    project: str | None = None
    pipeline: str | None = None
    state: RunState | None = None
    backfill: BackfillId | None = None
    before: RunId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far an attempt has come, while it runs.

    Attributes:
        done: rows, or bytes where nobody knows rows; of `total` when that is known.
        unit: `rows`, `bytes`, `files`, `pages`.
        at: seconds since 1970.
    """

    task: TaskName
    number: int
    done: int
    total: int | None
    unit: str
    at: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a task has said.

    Attributes:
        at: seconds since 1970.
        level: `info`, `warning` or `error`.
        figures: never a value of a row.
    """

    task: TaskName
    number: int
    attempt: int
    at: float
    level: str
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of a suite on a snapshot of a table.

    Attributes:
        verdicts: in the shape of a Great Expectations validation result, samples of failing rows masked.
        blocks: whether a failure keeps the run from publishing.
        id: what a list goes on by; 0 before it is recorded.
    """

    run: RunId
    task: TaskName
    table: TableName
    snapshot: SnapshotId
    suite: str
    success: bool
    evaluated: int
    failed: int
    blocks: bool
    at: float
    verdicts: Sequence[Mapping[str, Any]] = ()
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Backfill:
    """A pipeline for many dates.

    Attributes:
        parallel: at most so many of its runs at once.
        counts: how many of its runs are in each state.
    """

    id: BackfillId
    workspace: WorkspaceId
    project: str
    pipeline: str
    revision: str
    date_from: str
    date_to: str
    parallel: int
    created_at: float
    created_by: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Once:
    """What keeps a request that is sent twice from being carried out twice.

    Attributes:
        key: the idempotency key, as whoever asks has chosen it.
        body_sha256: of all that was asked for; the same key with another is refused.
        makes: the id of what the request makes when it is the first with this key.
    """

    key: str
    body_sha256: str
    makes: str


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a project's files, as it was deployed; it never changes.

    Attributes:
        revision: hash of all files.
        blob: the files, as an archive.
        files: how many.
        active: whether schedules and runs use it unless they say another.
    """

    workspace: WorkspaceId
    project: str
    revision: str
    blob: BlobPointer
    files: int
    created_at: float
    created_by: str
    active: bool
    note: str = ""

    @property
    def size_bytes(self) -> int:
        """How large its archive is."""
        return self.blob.size_bytes


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule, and how far it has come.

    Attributes:
        paused: by somebody; the project's file may say it, too.
        since: dates before it are nobody's business; seconds since 1970.
        last_date: the last logical date that a run was made for.
        next_at: when the next run is due; None while it is paused.
    """

    workspace: WorkspaceId
    project: str
    pipeline: str
    schedule: Schedule
    deadline: str | None = None
    paused: bool = False
    since: float = 0.0
    last_date: str | None = None
    next_at: float | None = None
