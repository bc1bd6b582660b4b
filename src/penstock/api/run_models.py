"""Projects, pipelines, runs and checks as the API takes and shows them; `core.run_views` fills them."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from penstock.core import limits

_NAME = r"^[a-z][a-z0-9_-]{0,62}$"
_DATE = r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|today|yesterday)$"
Day = Annotated[
    str,
    Field(
        pattern=_DATE,
        description="A logical date, such as 2026-01-31; or today or yesterday, in the zone of the schedule.",
    ),
]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]

ProjectName = Annotated[str, Path(pattern=_NAME, description="The name of a project, as its penstock.yml says it.")]
PipelineName = Annotated[str, Path(pattern=_NAME, description="The name of a pipeline: of its file in pipelines/.")]
RunName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,64}$", description="The id of a run: run_01...")]
_NEXT = "`next` of the page before."
RunCursor = Annotated[str | None, Query(pattern=r"^run_[0-9A-Z]{26}$", description=_NEXT)]
BackfillCursor = Annotated[str | None, Query(pattern=r"^bf_[0-9A-Z]{26}$", description=_NEXT)]
CheckCursor = Annotated[int | None, Query(ge=1, le=2**53, description=_NEXT)]
ItemCursor = Annotated[int, Query(ge=0, le=2**53, description=_NEXT)]
PipelineCursor = Annotated[
    str | None, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}/[a-z][a-z0-9_-]{0,62}$", description=_NEXT)
]
ProjectCursor = Annotated[str, Query(pattern=_NAME, description=_NEXT)]
RevisionCursor = Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description=_NEXT)]
PageLimit = Annotated[int, Query(ge=1, le=200, description="Items at most.")]
Scalar = str | int | float | bool | None


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text).encode("ascii"), validate=True)
    except ValueError:
        raise ValueError("must be base64") from None


Base64 = Annotated[
    bytes, BeforeValidator(_bytes), WithJsonSchema({"type": "string", "contentEncoding": "base64"}, mode="validation")
]


class RunAsk(BaseModel):
    """What a run is to be for."""

    model_config = ConfigDict(extra="forbid")
    date: Day | None = Field(
        None,
        description="The logical date; when left out, today's in the zone of the schedule, if a task asks for one.",
    )
    params: dict[str, Scalar] = Field(default_factory=dict, max_length=100, description="Those that differ.")
    again: bool = Field(default=False, description="Run tasks though they are up to date.")
    select: list[str] = Field(
        default_factory=list,
        max_length=1_000,
        description="`name`, `name+` with what follows it, `+name` with what is before it.",
    )
    revision: str | None = Field(
        None, pattern=r"^[0-9a-f]{8,64}$", description="Of the project; the active one by default."
    )


class BackfillAsk(BaseModel):
    """A pipeline for many dates."""

    model_config = ConfigDict(extra="forbid")
    date_from: Day
    date_to: Day
    parallel: int = Field(1, ge=1, le=100, description="At most so many of its runs at once.")
    params: dict[str, Scalar] = Field(default_factory=dict, max_length=100)
    again: bool = False
    select: list[str] = Field(default_factory=list, max_length=1_000)


class DeployAsk(BaseModel):
    """The files of a project."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, str] = Field(
        default_factory=dict,
        max_length=limits.PROJECT_FILES.value,
        description="Text by path from the project's folder.",
    )
    binary: dict[str, Base64] = Field(
        default_factory=dict, max_length=limits.PROJECT_FILES.value, description="Files that are not text, in base64."
    )
    note: str = Field("", max_length=500, description="Why, in a sentence.")


class RevisionShown(BaseModel):
    """One state of a project's files; it never changes."""

    project: str
    revision: str = Field(description="Hash of all files.")
    files: int
    size_bytes: int
    created_at: str
    created_by: str
    active: bool = Field(description="Whether schedules and runs use it unless they say another.")
    note: str


class ScheduleShown(BaseModel):
    """When a pipeline runs by itself."""

    project: str
    pipeline: str
    cron: str
    timezone: str
    catch_up: bool
    runs_max: int
    deadline: str | None
    paused: bool
    last_date: str | None
    next_at: str | None


class ChangesShown(BaseModel):
    """What differs from the revision that was active before."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class DeployedShown(RevisionShown):
    """A revision that has just been deployed."""

    before: str | None = Field(description="The revision that was active before.")
    changes: ChangesShown
    schedules: list[ScheduleShown]


class RevisionPage(BaseModel):
    """Revisions, newest first."""

    items: list[RevisionShown]
    next: str | None


class TaskOfPipeline(BaseModel):
    """A task as the project says it."""

    name: str
    kind: str
    place: str
    reads: list[str]
    writes: list[str]
    after: list[str]


class PipelineShown(BaseModel):
    """A pipeline of the active revision of a project."""

    project: str
    pipeline: str
    description: str
    deadline: str | None
    params: dict[str, Any]
    schedule: ScheduleShown | None
    tasks: list[TaskOfPipeline]


class PipelinePage(BaseModel):
    """Pipelines by project and name."""

    items: list[PipelineShown]
    next: str | None


class DecisionShown(BaseModel):
    """What is planned for one task."""

    name: str
    kind: str
    action: Literal["run", "decide", "skip"]
    reason: str
    after: list[str]
    reads: dict[str, str | None] = Field(description="The snapshots that it would read now.")
    writes: list[str]
    fingerprint: str | None


class PlanShown(BaseModel):
    """What a run would do."""

    project: str
    pipeline: str
    revision: str
    date: str | None
    timezone: str = Field(description="In which the date is a day.")
    params: dict[str, Any]
    again: bool
    tasks: list[DecisionShown]


class RunLine(BaseModel):
    """What a list says of a run."""

    id: str
    project: str
    pipeline: str
    state: RunState
    ended: bool
    trigger: Literal["manual", "schedule", "backfill"]
    date: str | None
    timezone: str
    backfill: str | None
    created_at: str
    created_by: str
    started_by: str = Field(description="The name of who that is.")
    started_at: str | None
    finished_at: str | None
    published_at: str | None
    cancel_asked_at: str | None
    resumes: int
    resumed_at: str | None = Field(description="Since when it has gone on, the last time.")
    worked_s: float = Field(description="How long it was carried out, up to its last end, pauses left out.")
    error: dict[str, Any] | None
    task_counts: dict[str, int]


class RunPage(BaseModel):
    """Runs, newest first."""

    items: list[RunLine]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class RunTaskShown(BaseModel):
    """One task of a run."""

    name: str
    kind: str
    spec: dict[str, Any]
    after: list[str]
    follows_publish: bool
    action: Literal["run", "decide", "skip"]
    state: Literal["waiting", "queued", "running", "succeeded", "skipped", "failed", "blocked", "cancelled"]
    reason: str
    reads: dict[str, str]
    wrote: dict[str, str]
    report: dict[str, Any]
    error: dict[str, Any] | None
    attempt: int
    items: int | None
    items_done: int
    started_at: str | None
    finished_at: str | None


class TaskProgressShown(BaseModel):
    """How far an attempt has come."""

    task: str
    number: int
    done: int
    total: int | None
    unit: str
    at: str


class CheckShown(BaseModel):
    """What became of a suite on a snapshot of a table."""

    run: str
    task: str
    table: str
    snapshot: str
    suite: str
    success: bool
    evaluated: int
    failed: int
    blocks: bool = Field(description="Whether a failure keeps the run from publishing.")
    at: str
    verdicts: list[dict[str, Any]] = Field(description="As Great Expectations has them; samples of rows are masked.")


class CheckPage(BaseModel):
    """Results of suites, newest first."""

    items: list[CheckShown]
    next: int | None = Field(description="The cursor of the next page; null on the last.")


class RevisionOfRun(BaseModel):
    """Which files a run carries out, and whose they are."""

    revision: str
    deployed_by: str | None
    deployed_at: str | None
    note: str


class RunShown(RunLine):
    """A run with its tasks."""

    params: dict[str, Any]
    again: bool
    revision: RevisionOfRun
    published: dict[str, str]
    tasks: list[RunTaskShown]
    progress: list[TaskProgressShown]
    checks: list[CheckShown]


class RunChange(RunLine):
    """What has changed of a run since the event before."""

    published: dict[str, str]
    tasks: list[RunTaskShown] = Field(description="Those that are not as they were.")
    progress: list[TaskProgressShown] = Field(description="Of all attempts that run now.")
    checks: list[CheckShown] = Field(description="Those that are new, the newest first.")


class LogLineShown(BaseModel):
    """What a task has said."""

    cursor: int = Field(description="To go on after it: `after`.")
    task: str
    number: int
    attempt: int
    at: str
    level: Literal["info", "warning", "error"]
    text: str
    figures: dict[str, Any]


class LogPage(BaseModel):
    """What a run's tasks have said, in order."""

    items: list[LogLineShown]
    next: int | None = Field(description="`after` of the next page; null when there is no more yet.")


class ItemShown(BaseModel):
    """One of the things that a `for_each` is done for."""

    number: int
    value: Any
    state: str
    report: dict[str, Any]
    error: dict[str, Any] | None


class ItemPage(BaseModel):
    """The items of a task, in order."""

    items: list[ItemShown]
    next: str | None


class BackfillShown(BaseModel):
    """A pipeline for many dates."""

    id: str
    project: str
    pipeline: str
    revision: str
    date_from: str
    date_to: str
    parallel: int
    created_at: str
    created_by: str
    counts: dict[str, int] = Field(description="How many of its runs are in each state.")


class BackfillPage(BaseModel):
    """Back-fills, newest first."""

    items: list[BackfillShown]
    next: str | None
