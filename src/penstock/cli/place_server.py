"""The server that one is logged in to, as a Place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.base.nearest import nearest
from penstock.cli.place import LAST, View, Watch, split_name
from penstock.core.errors import NotFound, UsageError

if TYPE_CHECKING:
    from penstock.client import Client

_BACKFILL_S: Final = 1.0
_RUNNING: Final = ("queued", "running")


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A server.

    Attributes:
        project: that of the folder one is in, None outside of one.
    """

    client: Client
    project: str | None
    flag: str = " --server"

    def plan(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Return what a run would do."""
        return self.client.runs.plan(*self._named(pipeline), **asked)

    def start(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Begin a run, and return it."""
        return dict(self.client.runs.start(*self._named(pipeline), **asked).shown)

    def backfill(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Begin a back-fill, and return it."""
        return self.client.runs.backfill(*self._named(pipeline), **asked)

    def read_backfill(self, backfill: str) -> View:
        """Return a back-fill."""
        return self.client.runs.read_backfill(backfill)

    def backfills(self, *, limit: int) -> Sequence[View]:
        """Return back-fills, newest first."""
        return self.client.runs.backfills(limit=limit)

    def follow(self, run: str, watch: Watch) -> View:
        """Tell what becomes of a run, and return it once it has ended."""
        for step in self.client.runs.watch(run):
            watch(dict(step.shown))
        return self.read(run)

    def follow_backfill(self, backfill: str, watch: Watch) -> View:
        """Tell what becomes of a back-fill, and return it once all its runs have ended."""
        while True:
            found = self.read_backfill(backfill)
            watch(found)
            if not any(found["counts"].get(state) for state in _RUNNING):
                return found
            time.sleep(_BACKFILL_S)

    def resume(self, run: str) -> View:
        """Go on with a run."""
        return dict(self.client.runs.resume(self._id(run)).shown)

    def cancel(self, run: str) -> View:
        """End a run."""
        return dict(self.client.runs.cancel(self._id(run)).shown)

    def resume_backfill(self, backfill: str) -> View:
        """Go on with a back-fill."""
        return self.client.runs.resume_backfill(backfill)

    def cancel_backfill(self, backfill: str) -> View:
        """End a back-fill."""
        return self.client.runs.cancel_backfill(backfill)

    def read(self, run: str) -> View:
        """Return all that is known of a run; `last` is the newest."""
        return dict(self.client.runs.read(self._id(run)).shown)

    def runs(self, *, limit: int, **wanted: Any) -> Sequence[View]:
        """Return runs, newest first, without their tasks."""
        return [dict(run.shown) for run in self.client.runs.list(limit=limit, **wanted)]

    def logs(self, run: str, *, task: str | None, after: int) -> Sequence[View]:
        """Return what tasks have said, each with its `cursor`."""
        return self.client.runs.logs(self._id(run), task=task, after=after)

    def checks(self, *, run: str | None, table: str | None, limit: int) -> Sequence[View]:
        """Return results of suites, newest first."""
        return self.client.runs.checks(run=None if run is None else self._id(run), table=table, limit=limit)

    def tables(self) -> Sequence[View]:
        """Return the tables by name."""
        return self.client.tables.list()

    def table(self, name: str) -> View:
        """Return a table with its columns."""
        return self.client.tables.read(name)

    def history(self, table: str, *, count: int) -> Sequence[View]:
        """Return what readers of a table have seen."""
        return self.client.tables.history(table, count=count)

    def lineage(self, table: str, *, snapshot: str | None) -> View:
        """Return where a snapshot comes from, as a tree."""
        return self.client.tables.lineage(table, snapshot=snapshot)

    def query(self, sql: str, *, at: Mapping[str, str], rows_max: int) -> View:
        """Return the rows of a query."""
        return dict(self.client.tables.query(sql, at=at, rows_max=rows_max).shown)

    def rollback(self, table: str, to: str) -> View:
        """Make readers see an earlier snapshot again."""
        return self.client.tables.rollback(table, to)

    def maintain(self, table: str | None) -> Sequence[View]:
        """Do the upkeep of a table, or of all."""
        return self.client.tables.maintain(table)

    def schedules(self) -> Sequence[View]:
        """Return the schedules."""
        return [each["schedule"] for each in self.client.projects.pipelines() if each["schedule"]]

    def pause(self, pipeline: str, *, paused: bool) -> View:
        """Pause a schedule, or let it go on."""
        return self.client.projects.pause(*self._named(pipeline), paused=paused)

    def _named(self, pipeline: str | None) -> tuple[str, str]:
        project, name = split_name(pipeline, self.project)
        if name is None:
            names = [each["pipeline"] for each in self.client.projects.pipelines(project)]
            if len(names) != 1:
                raise UsageError(f"{project} has {len(names)} pipelines, and none is named", hint=nearest("", names))
            name = names[0]
        return project, name

    def _id(self, run: str) -> str:
        if run != LAST:
            return run
        newest = self.client.runs.list(limit=1, project=self.project)
        if not newest:
            raise NotFound("there is no run yet", hint="Begin one: penstock run --server")
        return newest[0].id
