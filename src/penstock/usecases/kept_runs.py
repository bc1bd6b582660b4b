"""What people can look at of runs: those there were, what they said, their checks, and back-fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.plan import TaskName
from penstock.core.ports import Database
from penstock.core.ports.runs import RunRecords
from penstock.core.runs import Backfill, CheckResult, Item, LogLine, PipelineRun, RunFilter, TaskProgress
from penstock.usecases.permissions import require

_LOGS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """What is known of runs."""

    database: Database
    records: RunRecords

    def get(self, run: str, *, actor: Actor) -> PipelineRun:
        """Return a run with its tasks.

        Raises:
            NotFound: when the workspace has none under that id.
        """
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.read(tx, actor.workspace, run)

    def list(self, wanted: RunFilter, *, actor: Actor) -> Sequence[PipelineRun]:
        """Return runs, newest first, without their tasks."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.list(tx, actor.workspace, wanted)

    def progress(self, run: str, *, actor: Actor) -> Sequence[TaskProgress]:
        """Return how far the attempts have come that run now."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.progress(tx, self.records.read(tx, actor.workspace, run).id)

    def logs(self, run: str, *, actor: Actor, task: str | None = None, after: int = 0) -> Sequence[tuple[int, LogLine]]:
        """Return what tasks have said, each with its number, to go on `after`; a thousand at most."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            found = self.records.read(tx, actor.workspace, run)
            return self.records.logs(tx, found.id, task=task, after=after, limit=_LOGS_AT_ONCE)

    def checks(
        self,
        *,
        actor: Actor,
        run: str | None = None,
        table: str | None = None,
        before: int | None = None,
        limit: int = limits.LISTED.value,
    ) -> Sequence[CheckResult]:
        """Return results of suites, the newest first; those before one, if that is named."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.checks(tx, actor.workspace, run=run, table=table, before=before, limit=limit)

    def items(self, run: str, task: str, *, actor: Actor, after: int = -1, limit: int | None = None) -> Sequence[Item]:
        """Return what a task was done for, in order: of those after a number. Rows of a table, among others."""
        require(actor, "pipelines:read")
        require(actor, "data:read")
        with self.database.read() as tx:
            found = self.records.read(tx, actor.workspace, run)
            return self.records.items(tx, found.id, TaskName(task), after=after, limit=limit)

    def backfills(
        self,
        *,
        actor: Actor,
        project: str | None = None,
        backfill: str | None = None,
        before: str | None = None,
        limit: int = limits.LISTED.value,
    ) -> Sequence[Backfill]:
        """Return back-fills, newest first; those before one, if that is named."""
        require(actor, "pipelines:read")
        with self.database.read() as tx:
            return self.records.backfills(
                tx, actor.workspace, project=project, backfill=backfill, before=before, limit=limit
            )
