"""What people can ask for of runs: to start, follow, resume and cancel them, for a date or for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import Actor, AuditEvent, WorkspaceId
from penstock.core.errors import Conflict, NotFound, StillHeld
from penstock.core.jobs import ENDED, RunState
from penstock.core.plan import RunId
from penstock.core.ports import Audit, Clock, Lake, Queue
from penstock.core.ports.pipelines import RunTaskKind
from penstock.core.projects import Pipeline, Project, Task
from penstock.core.runs import (
    Backfill,
    BackfillId,
    Once,
    PipelineRun,
    RunFilter,
    RunTask,
)
from penstock.execution.marks import Marks, Registered, code_of
from penstock.execution.pipelines import lane_of
from penstock.planning.fingerprints import asks_for_date, spec_json
from penstock.planning.pipelines import (
    Decision,
    Occasion,
    PipelinePlan,
    plan_pipeline,
    select,
)
from penstock.usecases.kept_runs import KeptRuns
from penstock.usecases.permissions import require
from penstock.usecases.plan_states import KnownState, UnknownState
from penstock.usecases.projects import Projects, pipeline_of
from penstock.usecases.run_dates import at_least_one, dates_between, meant
from penstock.usecases.run_work import RunWork

_ACTIVE: Final[tuple[RunState, ...]] = ("queued", "running")
_BADLY: Final[tuple[RunState, ...]] = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Runs(KeptRuns):
    """What can be asked of runs."""

    projects: Projects
    work: RunWork
    queue: Queue
    lake: Lake
    audit: Audit
    clock: Clock
    kinds: Mapping[str, RunTaskKind]
    registered: Registered

    def plan(
        self,
        project: str,
        pipeline: str | None,
        occasion: Occasion,
        *,
        actor: Actor,
        select: Sequence[str] = (),
        revision: str | None = None,
    ) -> PipelinePlan:
        """Return what a run would do now, and why.

        Raises:
            NotFound: when there is no such project or pipeline.
            RequestInvalid: when a date, a parameter or a selection is not valid.
        """
        require(actor, "pipelines:read")
        found = self.projects.load(project, actor=actor, revision=revision)
        return self._plan(actor.workspace, found, pipeline_of(found, pipeline), occasion, select)

    # ---- to act ----

    def start(
        self,
        project: str,
        pipeline: str | None,
        occasion: Occasion,
        *,
        actor: Actor,
        select: Sequence[str] = (),
        revision: str | None = None,
        once: Once | None = None,
    ) -> PipelineRun:
        """Begin a run, or return the one that was begun with the same idempotency key.

        Raises:
            NotFound: when there is no such project or pipeline.
            RequestInvalid: when a date, a parameter or a selection is not valid.
            Conflict: when the idempotency key was used for something else.
        """
        require(actor, "pipelines:run")
        if (made := self._made(actor, once)) is not None:
            with self.database.read() as tx:
                return self.records.read(tx, actor.workspace, made)
        found = self.projects.load(project, actor=actor, revision=revision)
        chosen = pipeline_of(found, pipeline)
        plan = self._plan(actor.workspace, found, chosen, occasion, select)
        run = self._run(found, chosen, plan, workspace=actor.workspace, by=actor.member, selected=tuple(select))
        run = run if once is None else replace(run, id=RunId(once.makes))

        def write(tx: Any) -> PipelineRun:
            if once and (made := _same(once, self.records.make_once(tx, actor.workspace, once, now=self.clock()))):
                return self.records.read(tx, actor.workspace, made)
            self.bound(tx, actor.workspace, found)
            self.records.insert(tx, run)
            self.audit.record(tx, actor, AuditEvent("run.start", run.id, details=_details(run)))
            return self.work.start(tx, run, now=self.clock())

        begun = self.database.write(write)
        self.queue.announce()
        return begun

    def backfill(
        self,
        project: str,
        pipeline: str | None,
        *,
        date_from: str,
        date_to: str,
        actor: Actor,
        parallel: int = 1,
        params: Mapping[str, Any] | None = None,
        again: bool = False,
        select: Sequence[str] = (),
        once: Once | None = None,
    ) -> Backfill:
        """Begin a run for each date from one to another, the oldest first, at most `parallel` at once.

        Raises:
            RequestInvalid: when there are no or too many dates.
            Conflict: when the idempotency key was used for something else.
        """
        require(actor, "pipelines:run")
        if (made := self._made(actor, once)) is not None:
            with self.database.read() as tx:
                return self._backfill(tx, actor, made)
        found = self.projects.load(project, actor=actor)
        chosen = pipeline_of(found, pipeline)
        now = self.clock()
        date_from, date_to = (meant(date, _zone_of(chosen), now=now) for date in (date_from, date_to))
        dates = dates_between(date_from, date_to)
        backfill = Backfill(
            id=BackfillId(once.makes if once else new_id("bf")),
            workspace=actor.workspace,
            project=found.name,
            pipeline=chosen.name,
            revision=found.revision,
            date_from=date_from,
            date_to=date_to,
            parallel=at_least_one(parallel),
            created_at=now,
            created_by=actor.member,
        )
        occasion = Occasion(date_from, params or {}, again=again)
        first = self.undecided(found, chosen, occasion, workspace=actor.workspace, by=actor.member, words=select)
        first = replace(first, trigger="backfill", backfill=backfill.id)
        runs = [replace(first, id=RunId(new_id("run")), date=date) for date in dates]

        def write(tx: Any) -> Backfill:
            if once and (made := _same(once, self.records.make_once(tx, actor.workspace, once, now=now))):
                return self._backfill(tx, actor, made)
            self.bound(tx, actor.workspace, found)
            self.records.insert_backfill(tx, backfill)
            for run in runs:
                self.records.insert(tx, run)
            details = _details(runs[0]) | {"dates": len(dates)}
            self.audit.record(tx, actor, AuditEvent("backfill.start", backfill.id, details=details))
            self.work.admit(tx, runs[0], now=now)
            return self.records.backfills(tx, actor.workspace, backfill=backfill.id)[0]

        begun = self.database.write(write)
        self.queue.announce()
        return begun

    def _made(self, actor: Actor, once: Once | None) -> str | None:
        """Return what was made with an idempotency key: it stands, whatever has changed in the project since."""
        if once is None:
            return None
        with self.database.read() as tx:
            return _same(once, self.records.made_once(tx, actor.workspace, once.key))

    def resume(self, run: str, *, actor: Actor) -> PipelineRun:
        """Go on with a run that failed or was cancelled: what did not succeed is done again, and what follows it.

        Raises:
            Conflict: when the run has not ended, or has succeeded.
        """
        require(actor, "pipelines:run")

        def write(tx: Any) -> PipelineRun:
            found = self.records.read(tx, actor.workspace, run, to_change=True)
            if found.state == "succeeded":
                raise Conflict(f"{found.id} has succeeded", hint="Run it once more: penstock run --again")
            if found.state not in ENDED:
                raise Conflict(
                    f"{found.id} has not ended: it is {found.state}", hint=f"See: penstock status {found.id}"
                )
            self._let_go(tx, found)
            self.audit.record(tx, actor, AuditEvent("run.resume", found.id))
            return self.work.resume(tx, found, now=self.clock())

        begun = self.database.write(write)
        self.queue.announce()
        return begun

    def resume_backfill(self, backfill: str, *, actor: Actor) -> Backfill:
        """Go on with the runs of a back-fill that failed or were cancelled, as many at once as before.

        Raises:
            NotFound: when there is no such back-fill.
            Conflict: when all of its runs have succeeded, or nothing of it is to be gone on with.
        """
        require(actor, "pipelines:run")

        def write(tx: Any) -> Backfill:
            found = self._backfill(tx, actor, backfill)
            wrong = [run for state in _BADLY for run in self._of_backfill(tx, found, state)]
            if not wrong:
                raise Conflict(f"no run of {found.id} has failed", hint="See: penstock status")
            for run in wrong:
                self._let_go(tx, run)
                self.work.put_back(tx, run)
            self.audit.record(tx, actor, AuditEvent("backfill.resume", found.id, details={"runs": len(wrong)}))
            self.work.admit(tx, wrong[0], now=self.clock())
            return self._backfill(tx, actor, backfill)

        begun = self.database.write(write)
        self.queue.announce()
        return begun

    def close_interrupted(self, *, actor: Actor) -> Sequence[str]:
        """End the runs that nobody carries on any more: for who knows that no worker is left.

        Returns:
            What can be resumed: runs, and back-fills in place of theirs.
        """
        require(actor, "pipelines:run")

        def write(tx: Any) -> list[str]:
            known = [
                run
                for state in _ACTIVE
                for run in self.records.list(
                    tx, actor.workspace, RunFilter(state=state, limit=limits.BACKFILL_DATES.value)
                )
            ]
            for run in self.records.load(tx, [each.id for each in known], to_change=True).values():
                self.work.interrupt(tx, run, now=self.clock())
            return list(dict.fromkeys(str(run.backfill or run.id) for run in known))

        return self.database.write(write)

    def cancel(self, run: str, *, actor: Actor) -> PipelineRun:
        """End a run; what it has written stays on its branches for a while, to be resumed.

        Raises:
            Conflict: when it has ended.
        """
        require(actor, "pipelines:run")

        def write(tx: Any) -> PipelineRun:
            found = self.records.read(tx, actor.workspace, run, to_change=True)
            if found.state in ENDED:
                raise Conflict(f"{found.id} has ended already: {found.state}", hint=f"See: penstock status {found.id}")
            self.audit.record(tx, actor, AuditEvent("run.cancel", found.id))
            return self.work.stop(tx, found, now=self.clock())

        return self.database.write(write)

    def cancel_backfill(self, backfill: str, *, actor: Actor) -> Backfill:
        """End all runs of a back-fill that have not ended."""
        require(actor, "pipelines:run")

        def write(tx: Any) -> Backfill:
            found = self._backfill(tx, actor, backfill)
            for state in _ACTIVE:  # the waiting ones first, so that none begins when another ends
                for run in self._of_backfill(tx, found, state):
                    self.work.stop(tx, run, now=self.clock())
            self.audit.record(tx, actor, AuditEvent("backfill.cancel", found.id))
            return self._backfill(tx, actor, backfill)

        return self.database.write(write)

    def _let_go(self, tx: Any, run: PipelineRun) -> None:
        """Make sure that nothing of a run is in the queue any more."""
        self.queue.cancel(tx, run.id)
        if self.queue.held(tx, run.id):
            raise StillHeld(
                f"an attempt of {run.id} is still held by a worker that may have ended",
                hint=f"Try again in {limits.LEASE.value} seconds.",
            )

    def _backfill(self, tx: Any, actor: Actor, backfill: str) -> Backfill:
        found = self.records.backfills(tx, actor.workspace, backfill=backfill)
        if not found:
            raise NotFound(f"there is no back-fill {backfill[:100]!r}", hint="See: penstock status")
        return found[0]

    def _of_backfill(self, tx: Any, backfill: Backfill, state: RunState) -> Sequence[PipelineRun]:
        some = self.records.of_backfill(tx, backfill.id, state=state, limit=limits.BACKFILL_DATES.value)
        loaded = self.records.load(tx, [each.id for each in some], to_change=True)
        return [loaded[each.id] for each in some]

    # ---- making plans and runs ----

    def undecided(
        self,
        project: Project,
        pipeline: Pipeline,
        occasion: Occasion,
        *,
        workspace: WorkspaceId,
        by: str,
        words: Sequence[str] = (),
    ) -> PipelineRun:
        """Return a run, not recorded yet, whose tasks see for themselves what is to be done when their turn comes."""
        plan = plan_pipeline(
            pipeline,
            revision=project.revision,
            code={},
            occasion=occasion,
            state=UnknownState(),
            selected=select(pipeline, words),
        )
        run = self._run(project, pipeline, plan, workspace=workspace, by=by, selected=tuple(words))
        return replace(run, tasks=tuple(replace(task, action="decide", reason="") for task in run.tasks))

    def _plan(
        self, workspace: WorkspaceId, project: Project, pipeline: Pipeline, occasion: Occasion, words: Sequence[str]
    ) -> PipelinePlan:
        code = {
            name: code_of(self.kinds[task.kind], task.spec, project, workspace=workspace, registered=self.registered)
            for name, task in pipeline.tasks.items()
        }
        chosen = select(pipeline, words)
        wanted = [pipeline.tasks[name] for name in (pipeline.tasks if chosen is None else chosen)]
        asked = any(asks_for_date(task, code=code[task.name]) for task in wanted)
        if date := occasion.date or ("today" if asked else None):
            occasion = replace(occasion, date=meant(date, _zone_of(pipeline), now=self.clock()))
        marks = Marks(self.lake, workspace, occasion.date)
        heads = marks.heads(sorted({table for task in pipeline.tasks.values() for table in task.reads}))
        with self.database.read() as tx:
            of = tx, workspace, project.name, pipeline.name
            undated = self.records.successes(*of, date=None)
            dated = self.records.successes(*of, date=occasion.date) if occasion.date else undated
        return plan_pipeline(
            pipeline,
            revision=project.revision,
            code=code,
            occasion=occasion,
            state=KnownState(marks, heads, dated, undated),
            selected=chosen,
            always=[name for name, kind in self.kinds.items() if kind.publishes],
        )

    def _run(
        self,
        project: Project,
        pipeline: Pipeline,
        plan: PipelinePlan,
        *,
        workspace: WorkspaceId,
        by: str,
        selected: tuple[str, ...],
    ) -> PipelineRun:
        tasks = tuple(self._task(pipeline.tasks[decision.task], decision) for decision in plan.decisions)
        return PipelineRun(
            id=RunId(new_id("run")),
            workspace=workspace,
            project=project.name,
            pipeline=pipeline.name,
            revision=project.revision,
            state="queued",
            trigger="manual",
            created_at=self.clock(),
            created_by=by,
            date=plan.occasion.date,
            timezone=_zone_of(pipeline),
            params=plan.occasion.params,
            again=plan.occasion.again,
            selected=selected,
            tasks=tasks,
        )

    def _task(self, task: Task, decision: Decision) -> RunTask:
        return RunTask(
            name=task.name,
            kind=task.kind,
            spec=spec_json(task),
            after=decision.after,
            follows_publish=self.kinds[task.kind].follows_publish,
            when=task.when,
            for_each=task.for_each,
            retries=task.retries,
            timeout_s=task.timeout_s,
            pool=task.pool,
            trigger=task.trigger,
            action=decision.action,
            reason=decision.reason,
        )

    def bound(self, tx: Any, workspace: WorkspaceId, project: Project) -> None:
        """Let no more of each pool run at once than the project says."""
        for pool, running_max in project.pools.items():
            self.queue.bound_lane(tx, workspace, lane_of(project.name, "", pool), running_max=running_max)


def _zone_of(pipeline: Pipeline) -> str:
    return pipeline.schedule.timezone if pipeline.schedule else "UTC"


def _details(run: PipelineRun) -> dict[str, str | int | float | bool | None]:
    return {"project": run.project, "pipeline": run.pipeline, "revision": run.revision, "date": run.date}


def _same(once: Once, bound: tuple[str, str] | None) -> str | None:
    """Return what an idempotency key is bound to; None when it is free.

    Raises:
        Conflict: when it was used for something else.
    """
    if bound is None:
        return None
    made, body_sha256 = bound
    if body_sha256 != once.body_sha256:
        raise Conflict(
            f"the idempotency key {once.key!r} was used for {made}, with another body or other options",
            hint="Use a new key for a new request.",
        )
    return made
