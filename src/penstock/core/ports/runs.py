"""Ports of pipelines' records: projects, runs, and what tasks remember."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import RunState
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import (
    Backfill,
    BackfillId,
    CheckResult,
    Item,
    LogLine,
    Once,
    PipelineRun,
    Revision,
    RunFilter,
    RunTask,
    ScheduleState,
    TaskProgress,
)
from penstock.core.tables import TableName


class ProjectRecords(Protocol):
    """Projects and their revisions in the records database."""

    def add_revision(self, tx: Any, revision: Revision) -> None:
        """Record a revision, unless it is there already."""

    def activate(self, tx: Any, workspace: WorkspaceId, project: str, revision: str, *, by: str, now: float) -> None:
        """Make a revision the one that runs use."""

    def revision(self, tx: Any, workspace: WorkspaceId, project: str, revision: str | None = None) -> Revision:
        """Return a revision, the active one when none is named; a hash may be shortened.

        Raises:
            NotFound: when the workspace has no such project or revision.
        """

    def active_revisions(
        self, tx: Any, workspace: WorkspaceId, *, after: str = "", limit: int = limits.LISTED.value
    ) -> Sequence[Revision]:
        """Return the active revision of each project, by name: of those after a name."""

    def revisions(
        self,
        tx: Any,
        workspace: WorkspaceId,
        project: str,
        *,
        before: str | None = None,
        limit: int = limits.LISTED.value,
    ) -> Sequence[Revision]:
        """Return the revisions of a project, the newest first; those before a revision, if one is named."""

    def tables_of_others(self, tx: Any, workspace: WorkspaceId, project: str) -> Mapping[TableName, tuple[str, str]]:
        """Return the tables that other projects write, each with the project and its task."""

    def put_schedules(
        self, tx: Any, workspace: WorkspaceId, project: str, states: Sequence[ScheduleState], *, now: float
    ) -> None:
        """Record which pipelines of a project have a schedule; what others remember stays."""

    def schedules(self, tx: Any, workspace: WorkspaceId, project: str | None = None) -> Sequence[ScheduleState]:
        """Return the schedules of a workspace."""

    def due(self, tx: Any, *, now: float, limit: int) -> Sequence[ScheduleState]:
        """Return schedules of all workspaces whose time has come."""

    def move_schedule(self, tx: Any, state: ScheduleState) -> None:
        """Record how far a schedule has come, and whether it is paused."""


class RunRecords(Protocol):
    """Runs of pipelines in the records database."""

    def insert(self, tx: Any, run: PipelineRun) -> None:
        """Record a new run with its tasks."""

    def made_once(self, tx: Any, workspace: WorkspaceId, key: str) -> tuple[str, str] | None:
        """Return what an idempotency key was used for, and the hash of what was asked; None when it was not used."""

    def make_once(self, tx: Any, workspace: WorkspaceId, once: Once, *, now: float) -> tuple[str, str] | None:
        """Bind an idempotency key; or return what it is bound to already, as `made_once` does."""

    def read(self, tx: Any, workspace: WorkspaceId, run: str, *, to_change: bool = False) -> PipelineRun:
        """Return a run with its tasks; nobody else changes it before the transaction ends, when this is to.

        Raises:
            NotFound: when the workspace has none under that id.
        """

    def load(self, tx: Any, run_ids: Sequence[RunId], *, to_change: bool = False) -> Mapping[RunId, PipelineRun]:
        """Return runs with their tasks, whosever they are, as `read` does: for the service itself."""

    def load_task(self, tx: Any, run: RunId, task: TaskName) -> PipelineRun:
        """Return a run with one of its tasks alone: for its attempts, which need no other."""

    def list(self, tx: Any, workspace: WorkspaceId, wanted: RunFilter) -> Sequence[PipelineRun]:
        """Return runs, newest first, without their tasks."""

    def save(self, tx: Any, before: PipelineRun, after: PipelineRun) -> None:
        """Record what has changed of a run and its tasks."""

    def ask_cancel(self, tx: Any, run: RunId, *, now: float) -> None:
        """Record that a run is to end."""

    def active(self, tx: Any, workspace: WorkspaceId, project: str, pipeline: str) -> Sequence[PipelineRun]:
        """Return the runs of a pipeline that have not ended, the oldest first, without their tasks."""

    def of_backfill(self, tx: Any, backfill: BackfillId, *, state: RunState, limit: int) -> Sequence[PipelineRun]:
        """Return runs of a back-fill in a state, by date, without their tasks."""

    def insert_backfill(self, tx: Any, backfill: Backfill) -> None:
        """Record a back-fill."""

    def backfills(
        self,
        tx: Any,
        workspace: WorkspaceId,
        *,
        project: str | None = None,
        backfill: str | None = None,
        before: str | None = None,
        limit: int = limits.LISTED.value,
    ) -> Sequence[Backfill]:
        """Return back-fills, newest first; those before one, if that is named."""

    def insert_items(self, tx: Any, workspace: WorkspaceId, run: RunId, task: TaskName, items: Sequence[Item]) -> None:
        """Record what a task is done for; what was there for it goes."""

    def close_item(self, tx: Any, run: RunId, task: TaskName, item: Item) -> None:
        """Record how one of them ended."""

    def items(
        self, tx: Any, run: RunId, task: TaskName, *, after: int = -1, limit: int | None = None
    ) -> Sequence[Item]:
        """Return what a task is done for, in order: of those after a number, up to a limit."""

    def successes(
        self, tx: Any, workspace: WorkspaceId, project: str, pipeline: str, *, date: str | None
    ) -> Mapping[TaskName, str]:
        """Return the fingerprint of the last success of each task of a pipeline for a date."""

    def note_successes(
        self, tx: Any, run: PipelineRun, tasks: Iterable[tuple[RunTask, str | None]], *, now: float
    ) -> None:
        """Remember the fingerprints of tasks that succeeded, and whose results readers see, each for a date or none."""

    def clear_progress(self, tx: Any, run: RunId, task: TaskName) -> None:
        """Forget how far attempts of a task had come."""

    def progress(self, tx: Any, run: RunId) -> Sequence[TaskProgress]:
        """Return how far the attempts have come that run now."""

    def logs(self, tx: Any, run: RunId, *, task: str | None, after: int, limit: int) -> Sequence[tuple[int, LogLine]]:
        """Return what tasks have said, each with its number, which grows."""

    def checks(
        self,
        tx: Any,
        workspace: WorkspaceId,
        *,
        run: str | None,
        table: str | None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[CheckResult]:
        """Return results of suites, the newest first; those before one, if that is named."""


class RunUpkeepRecords(Protocol):
    """What is left of runs that have ended."""

    def abandoned(self, tx: Any, *, ended_before: float, limit: int) -> Sequence[tuple[WorkspaceId, RunId]]:
        """Return runs that ended badly and were not resumed, and have branches or pins still."""

    def forget_logs(self, tx: Any, *, ended_before: float, limit: int) -> int:
        """Remove what tasks of runs have said that ended long ago; return of how many runs."""


class AttemptRecords(Protocol):
    """What an attempt itself writes while it runs."""

    def put_progress(self, tx: Any, workspace: WorkspaceId, run: RunId, progress: TaskProgress) -> None:
        """Record how far an attempt has come."""

    def add_logs(self, tx: Any, workspace: WorkspaceId, run: RunId, lines: Sequence[LogLine]) -> None:
        """Add what a task has said."""

    def add_check(self, tx: Any, workspace: WorkspaceId, result: CheckResult) -> None:
        """Record the result of a suite."""

    def cursor(self, tx: Any, owner: TaskOwner, name: str) -> Any:
        """Return what a task remembers under a name, None when nothing."""

    def set_cursors(self, tx: Any, owner: TaskOwner, values: Mapping[str, Any], *, run: RunId, now: float) -> None:
        """Remember values; None forgets."""

    def taken(self, tx: Any, owner: TaskOwner, files: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Return those of some files, each with its mark, that were taken."""

    def take(self, tx: Any, owner: TaskOwner, files: Sequence[tuple[str, str]], *, run: RunId, now: float) -> None:
        """Remember files as taken."""


TaskOwner = tuple[WorkspaceId, str, str, TaskName]  # workspace, project, pipeline, task
