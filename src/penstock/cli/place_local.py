"""The folder that one is in, as a Place: runs are carried out in this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli.place import LAST, View, Watch, split_name
from penstock.core.errors import NotFound
from penstock.core.jobs import ENDED
from penstock.core.run_views import (
    show_answer,
    show_backfill,
    show_check,
    show_lineage,
    show_log_line,
    show_maintained,
    show_origin,
    show_published,
    show_reading,
    show_run,
    show_run_line,
    show_schedule,
    show_table,
)
from penstock.core.runs import RunFilter
from penstock.planning.pipelines import Occasion
from penstock.planning.plan_views import show_plan
from penstock.wiring.folder import read_files

if TYPE_CHECKING:
    from penstock.core.runs import PipelineRun, Revision
    from penstock.wiring.local import Local
    from penstock.worker.local import LocalWork

_BACKFILL_S: Final = 0.25


@dataclass(slots=True)
class LocalPlace:
    """A project's folder, with its state in `.penstock/local`; it works from when a run is begun until `close`."""

    local: Local
    flag: str = ""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _work: LocalWork | None = None

    def close(self) -> None:
        """Stop working; what runs is given back."""
        self._stack.close()

    def plan(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Return what a run would do."""
        project, name = self._use(pipeline)
        plan = self.local.runs.plan(project, name, _occasion(asked), actor=self.local.actor, select=asked["select"])
        return show_plan(plan, project=project)

    def start(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Begin a run, and return it."""
        self._working()
        project, name = self._use(pipeline)
        return show_run(
            self.local.runs.start(project, name, _occasion(asked), actor=self.local.actor, select=asked["select"])
        )

    def backfill(self, pipeline: str | None, asked: Mapping[str, Any]) -> View:
        """Begin a back-fill, and return it."""
        self._working()
        project, name = self._use(pipeline)
        return show_backfill(self.local.runs.backfill(project, name, actor=self.local.actor, **asked))

    def read_backfill(self, backfill: str) -> View:
        """Return a back-fill."""
        found = self.local.runs.backfills(actor=self.local.actor, backfill=backfill)
        if not found:
            raise NotFound(f"there is no back-fill {backfill[:100]!r}", hint="See: penstock status")
        return show_backfill(found[0])

    def backfills(self, *, limit: int) -> Sequence[View]:
        """Return back-fills, newest first."""
        return [show_backfill(each) for each in self.local.runs.backfills(actor=self.local.actor, limit=limit)]

    def follow(self, run: str, watch: Watch) -> View:
        """Carry a run out, telling what becomes of it, and return it once it has ended."""
        self._working().carry_on(run, watch=lambda found, progress: watch(show_run(found, progress=progress)))
        return self.read(run)

    def follow_backfill(self, backfill: str, watch: Watch) -> View:
        """Carry a back-fill out, telling what becomes of it, and return it once all its runs have ended."""
        work, told_s = self._working(), 0.0
        while True:
            work.worker.turn()
            if time.monotonic() - told_s < _BACKFILL_S:
                continue
            found = self.read_backfill(backfill)
            watch(found)
            told_s = time.monotonic()
            if not any(found["counts"].get(state) for state in ("queued", "running")):
                return found

    def resume(self, run: str) -> View:
        """Go on with a run."""
        return show_run(self._working().resume(self._id(run)))

    def cancel(self, run: str) -> View:
        """End a run."""
        return show_run(self.local.runs.cancel(self._id(run), actor=self.local.actor))

    def resume_backfill(self, backfill: str) -> View:
        """Go on with a back-fill."""
        return show_backfill(self._working().resume_backfill(backfill))

    def cancel_backfill(self, backfill: str) -> View:
        """End a back-fill."""
        self.read_backfill(backfill)
        return show_backfill(self.local.runs.cancel_backfill(backfill, actor=self.local.actor))

    def read(self, run: str) -> View:
        """Return all that is known of a run; `last` is the newest."""
        found = self.local.runs.get(self._id(run), actor=self.local.actor)
        if found.state not in ENDED and self._close_left():
            found = self.local.runs.get(found.id, actor=self.local.actor)
        progress = self.local.runs.progress(found.id, actor=self.local.actor)
        checks = self.local.runs.checks(actor=self.local.actor, run=found.id)
        return show_run(found, progress=progress, checks=checks, revision=self._revision(found))

    def runs(self, *, limit: int, **wanted: Any) -> Sequence[View]:
        """Return runs, newest first, without their tasks."""
        found = self.local.runs.list(RunFilter(limit=limit, **wanted), actor=self.local.actor)
        if any(run.state not in ENDED for run in found) and self._close_left():
            found = self.local.runs.list(RunFilter(limit=limit, **wanted), actor=self.local.actor)
        return [show_run_line(run) for run in found]

    def logs(self, run: str, *, task: str | None, after: int) -> Sequence[View]:
        """Return what tasks have said, each with its `cursor`."""
        run, lines = self._id(run), []
        while found := self.local.runs.logs(run, actor=self.local.actor, task=task, after=after):
            lines += [{"cursor": number, **show_log_line(line)} for number, line in found]
            after = found[-1][0]
        return lines

    def checks(self, *, run: str | None, table: str | None, limit: int) -> Sequence[View]:
        """Return results of suites, newest first."""
        run = None if run is None else self._id(run)
        found = self.local.runs.checks(actor=self.local.actor, run=run, table=table, limit=limit)
        return [show_check(each) for each in found]

    def tables(self) -> Sequence[View]:
        """Return the tables by name."""
        return [show_table(table) for table in self.local.tables.list(actor=self.local.actor)]

    def table(self, name: str) -> View:
        """Return a table with its columns."""
        found = {str(each.name): each for each in self.local.tables.list(actor=self.local.actor)}
        if name not in found or found[name].snapshot is None:  # which says what is wrong with the name
            return show_reading(found[name], None) if name in found else self._unknown(name)
        return show_reading(found[name], self.local.tables.reading(name, actor=self.local.actor))

    def history(self, table: str, *, count: int) -> Sequence[View]:
        """Return what readers of a table have seen."""
        return [show_lineage(each) for each in self.local.tables.history(table, actor=self.local.actor, count=count)]

    def lineage(self, table: str, *, snapshot: str | None) -> View:
        """Return where a snapshot comes from, as a tree."""
        at = None if snapshot is None else int(snapshot)
        return show_origin(self.local.tables.lineage(table, actor=self.local.actor, snapshot=at))

    def query(self, sql: str, *, at: Mapping[str, str], rows_max: int) -> View:
        """Return the rows of a query."""
        pinned = {table: int(snapshot) for table, snapshot in at.items()}
        found = self.local.tables.query(sql, actor=self.local.actor, at=pinned, rows_max=rows_max)
        return show_answer(found.columns, found.rows, more=found.more, read=found.read)

    def rollback(self, table: str, to: str) -> View:
        """Make readers see an earlier snapshot again."""
        return show_published(self.local.tables.rollback(table, int(to), actor=self.local.actor))

    def maintain(self, table: str | None) -> Sequence[View]:
        """Do the upkeep of a table, or of all."""
        return [show_maintained(each) for each in self.local.tables.maintain(table, actor=self.local.actor)]

    def schedules(self) -> Sequence[View]:
        """Return the schedules."""
        self._use(None)
        return [show_schedule(state) for state in self.local.projects.schedules(actor=self.local.actor)]

    def pause(self, pipeline: str, *, paused: bool) -> View:
        """Pause a schedule, or let it go on."""
        project, name = self._use(pipeline)
        state = self.local.projects.pause(project, str(name), actor=self.local.actor, paused=paused)
        return show_schedule(state)

    def _use(self, pipeline: str | None) -> tuple[str, str | None]:
        project = self.local.use(read_files(self.local.folder))
        return split_name(pipeline, project.name)

    def _unknown(self, name: str) -> View:
        self.local.tables.reading(name, actor=self.local.actor)
        raise AssertionError("a table that is not listed is not there")

    def _id(self, run: str) -> str:
        if run != LAST:
            return run
        newest = self.local.runs.list(RunFilter(limit=1), actor=self.local.actor)
        if not newest:
            raise NotFound("there is no run yet", hint="Begin one: penstock run")
        return newest[0].id

    def _revision(self, run: PipelineRun) -> Revision | None:
        with contextlib.suppress(NotFound):
            return self.local.projects.revision(run.project, actor=self.local.actor, revision=run.revision)
        return None

    def _working(self) -> LocalWork:
        if self._work is None:
            from penstock.worker.local import working

            self._work = self._stack.enter_context(working(self.local))
            _tell_left(self._work.interrupted)
        return self._work

    def _close_left(self) -> bool:
        """Close what a killed process has left, and return whether there was anything."""
        if self._work is not None:
            return False
        from penstock.worker.local import close_left

        left = close_left(self.local)
        _tell_left(left)
        return bool(left)


def _tell_left(runs: Sequence[str]) -> None:
    for run in runs:
        click.echo(f"{run} was left without an end; go on with it: penstock resume {run}", err=True)


def _occasion(asked: Mapping[str, Any]) -> Occasion:
    return Occasion(asked["date"], asked["params"], again=asked["again"])
