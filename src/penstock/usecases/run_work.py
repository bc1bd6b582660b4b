"""What a worker's round does for runs of pipelines: how attempts ended, what follows, and what is taken next."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock.core import limits
from penstock.core.jobs import ENDED, AttemptReport, Entry, Lease
from penstock.core.plan import RunId, TaskName
from penstock.core.ports import Clock, Queue
from penstock.core.ports.runs import RunRecords
from penstock.core.runs import PUBLISH, Item, PipelineRun, RunTask
from penstock.core.tables import SnapshotId, TableName
from penstock.core.work import Ended
from penstock.execution import pipelines
from penstock.execution.advance import after_back_off
from penstock.execution.advance import again as try_again
from penstock.planning.fingerprints import is_of_date

_NEEDS_RERUN: Final = "needs_rerun"


@dataclass(frozen=True, slots=True)
class RunWork:
    """The pipelines' part of a worker's round; every method works in the round's own transaction."""

    records: RunRecords
    queue: Queue
    clock: Clock
    note_end: Callable[[Any, PipelineRun], None] = lambda _tx, _run: None

    def settle(self, tx: Any, ended: Sequence[Ended], *, now: float) -> Mapping[RunId, PipelineRun]:
        """Record what follows from attempts that have ended, and return their runs as they stand then."""
        runs = dict(self.records.load(tx, list({each.lease.entry.run for each in ended}), to_change=True))
        for each in ended:
            run = runs[each.lease.entry.run]
            if run.state not in ENDED:
                runs[run.id] = self._settle(tx, run, each, now)
        return runs

    def take(
        self, tx: Any, leases: Sequence[Lease], *, now: float, settled: Mapping[RunId, PipelineRun]
    ) -> list[Lease]:
        """Record that attempts begin, and return those that do; what may not go on is closed.

        Args:
            tx: the round's transaction.
            leases: of parts of runs.
            now: seconds since 1970.
            settled: runs as this transaction has left them.
        """
        unknown = {lease.entry.run for lease in leases if lease.entry.run not in settled}
        runs = {**settled, **self.records.load(tx, list(unknown), to_change=True)}
        going = []
        for lease in leases:
            run = runs[lease.entry.run]
            if run.state in ENDED or run.cancel_asked_at is not None:
                self.queue.finish(tx, [lease], busy_s={})
                runs[run.id] = self._close(tx, run, self._stopped(tx, run, now=now), now)
                continue
            going.append(lease)
            runs[run.id] = self._save(tx, run, _begun(run, lease.entry, now))
        return going

    def give_up(self, tx: Any, entries: Sequence[Entry], *, now: float, code: str, message: str) -> None:
        """End tasks whose entries left the queue without an end of their own."""
        runs = dict(self.records.load(tx, list({entry.run for entry in entries}), to_change=True))
        for entry in entries:
            run = runs.get(entry.run)
            if run is not None and run.state not in ENDED:
                hint = f"See what it did: penstock logs {run.id} {entry.task}"
                told = {"code": code, "message": f"{message} (attempt {entry.attempt} of {entry.attempts_max})"}
                runs[run.id] = self._fail(tx, run, entry, told | {"hint": hint}, now)

    def start(self, tx: Any, run: PipelineRun, *, now: float) -> PipelineRun:
        """Begin a run that is recorded already."""
        return self._follow(tx, run, pipelines.start(run, now=now), now)

    def resume(self, tx: Any, run: PipelineRun, *, now: float) -> PipelineRun:
        """Go on with a run that ended badly."""
        return self._follow(tx, run, pipelines.resumed(run, now=now), now)

    def put_back(self, tx: Any, run: PipelineRun) -> PipelineRun:
        """Let a run of a back-fill that ended badly wait for its turn again."""
        return self._save(tx, run, pipelines.put_back(run))

    def stop(self, tx: Any, run: PipelineRun, *, now: float) -> PipelineRun:
        """End a run: at once when nothing of it runs, else when that has stopped."""
        self.records.ask_cancel(tx, run.id, now=now)
        self.queue.cancel(tx, run.id)
        asked = replace(run, cancel_asked_at=run.cancel_asked_at or now)
        return self._close(tx, run, self._stopped(tx, asked, now=now), now)

    def interrupt(self, tx: Any, run: PipelineRun, *, now: float) -> PipelineRun:
        """End a run whose worker has ended without it; it worked until it was last heard of."""
        self.queue.cancel(tx, run.id)
        heard = [each.at for each in self.records.progress(tx, run.id)]
        heard += [at for task in run.tasks for at in (task.started_at, task.finished_at) if at is not None]
        worked_s = pipelines.worked_s(run, until=max(heard, default=0.0))
        return self._save(tx, run, replace(pipelines.interrupted(run, now=now), worked_s=worked_s))

    # ---- ends ----

    def _settle(self, tx: Any, run: PipelineRun, ended: Ended, now: float) -> PipelineRun:
        entry, report = ended.lease.entry, ended.report
        self.records.clear_progress(tx, run.id, TaskName(entry.task))
        if report.outcome == "succeeded":
            return self._succeed(tx, run, entry, report.report, now)
        if run.cancel_asked_at is not None:
            return self._close(tx, run, self._stopped(tx, run, now=now), now)
        if (report.error or {}).get("code") == _NEEDS_RERUN and entry.part == "publish":
            return self._rerun(tx, run, report, now)
        if (following := _another_try(run, entry, report, now)) is not None:
            self.queue.enqueue(tx, [following])
            return self._save(tx, run, _waiting_again(run, following, report))
        return self._fail(tx, run, entry, dict(report.error or {}), now, figures=report.report)

    def _succeed(self, tx: Any, run: PipelineRun, entry: Entry, told: Mapping[str, Any], now: float) -> PipelineRun:
        if entry.part == "publish":
            published = {TableName(name): SnapshotId(at) for name, at in told["published"].items()}
            return self._go_on(tx, run, replace(run, published_at=now, published=published), now)
        task = run.task(entry.task)
        if entry.part == "expand":
            return self._expanded(tx, run, replace(task, fingerprint=told.get("fingerprint")), told["items"], now)
        if entry.part == "item":
            item = Item(entry.number, None, "succeeded", told["report"])
            return self._item_ended(tx, run, task, item, told, now)
        return self._go_on(tx, run, pipelines.with_task(run, _done(task, told, now)), now)

    def _expanded(self, tx: Any, run: PipelineRun, task: RunTask, values: Sequence[Any], now: float) -> PipelineRun:
        items = [Item(number, value) for number, value in enumerate(values)]
        self.records.insert_items(tx, run.workspace, run.id, task.name, items)
        if not items:
            done = replace(task, state="skipped", reason="there is nothing to do it for", items=0, finished_at=now)
            return self._go_on(tx, run, pipelines.with_task(run, done), now)
        self.queue.enqueue(tx, [pipelines.entry_of(run, task.name, part="item", number=item.number) for item in items])
        return self._save(tx, run, pipelines.with_task(run, replace(task, items=len(items), items_done=0)))

    def _item_ended(
        self, tx: Any, run: PipelineRun, task: RunTask, item: Item, told: Mapping[str, Any], now: float
    ) -> PipelineRun:
        self.records.close_item(tx, run.id, task.name, item)
        task = _with_part(task, told)
        task = replace(task, items_done=task.items_done + 1)
        if task.items_done < (task.items or 0):
            return self._save(tx, run, pipelines.with_task(run, task))
        wrong = [each for each in self.records.items(tx, run.id, task.name) if each.state == "failed"]
        if wrong:
            error = dict(wrong[0].error or {}) | {"failed_items": len(wrong), "item": wrong[0].number}
            task = replace(task, state="failed", error=error, finished_at=now)
        else:
            task = replace(task, state="succeeded", error=None, finished_at=now)
        return self._go_on(tx, run, pipelines.with_task(run, task), now)

    def _fail(
        self,
        tx: Any,
        run: PipelineRun,
        entry: Entry,
        error: Mapping[str, Any],
        now: float,
        figures: Mapping[str, Any] | None = None,
    ) -> PipelineRun:
        if entry.part == "publish":
            told = dict(error) | {"task": PUBLISH, "resume": f"penstock resume {run.id}"}
            return self._close(tx, run, replace(run, state="failed", finished_at=now, error=told), now)
        task = run.task(entry.task)
        if entry.part == "item":
            item = Item(entry.number, None, "failed", figures or {}, error)
            return self._item_ended(tx, run, task, item, {}, now)
        reason = str(error.get("message", ""))
        failed = replace(_with_part(task, figures or {}), state="failed", reason=reason, error=error, finished_at=now)
        return self._go_on(tx, run, pipelines.with_task(run, failed), now)

    def _rerun(self, tx: Any, run: PipelineRun, report: AttemptReport, now: float) -> PipelineRun:
        """Do again what depended on a table that another run has published meanwhile."""
        error = dict(report.error or {})
        names = pipelines.outdated(run, tables=error.get("tables", ()), inputs=error.get("inputs", ()))
        if any(run.task(name).attempt > limits.RUN_RERUNS.value for name in names):
            ending = replace(
                run, state="failed", finished_at=now, error=error | {"resume": f"penstock resume {run.id}"}
            )
            return self._close(tx, run, ending, now)
        following = pipelines.again(run, names, reason="a table it depends on has changed")
        return self._go_on(tx, run, following, now)

    def _stopped(self, tx: Any, run: PipelineRun, *, now: float) -> PipelineRun:
        running = [task.name for task in run.tasks if task.state == "running"] if self.queue.held(tx, run.id) else []
        return pipelines.cancelled(run, now=now, running=running)

    def _go_on(self, tx: Any, before: PipelineRun, run: PipelineRun, now: float) -> PipelineRun:
        if run.cancel_asked_at is not None:
            return self._close(tx, before, self._stopped(tx, run, now=now), now)
        return self._follow(tx, before, pipelines.advance(run, now=now), now)

    def _follow(self, tx: Any, before: PipelineRun, following: pipelines.Following, now: float) -> PipelineRun:
        if following.entries:
            self.queue.enqueue(tx, following.entries)
        run = following.run
        if run.published_at is not None:
            known = {task.name for task in before.tasks if task.state == "succeeded"} if before.published_at else set()
            new = [task for task in run.tasks if task.state == "succeeded" and task.name not in known]
            dated = [(task, run.date if is_of_date(task.fingerprint or "") else None) for task in new]
            self.records.note_successes(tx, run, dated, now=now)
        return self._close(tx, before, run, now)

    def _close(self, tx: Any, before: PipelineRun, run: PipelineRun, now: float) -> PipelineRun:
        ends = run.state in ENDED and before.state not in ENDED
        if ends:
            run = replace(run, worked_s=pipelines.worked_s(run, until=now))
        self._save(tx, before, run)
        if ends:
            self.note_end(tx, run)
            if run.backfill is not None and before.state != "queued":  # one that waited has kept no other waiting
                self.admit(tx, run, now=now)
        return run

    def admit(self, tx: Any, run: PipelineRun, *, now: float) -> None:
        """Begin the next runs of a back-fill, as many as it does at once."""
        assert run.backfill is not None
        found = self.records.backfills(tx, run.workspace, backfill=run.backfill)[0]
        free = found.parallel - found.counts.get("running", 0)
        if free <= 0:
            return
        waiting = self.records.of_backfill(tx, run.backfill, state="queued", limit=free)
        for begun in self.records.load(tx, [each.id for each in waiting], to_change=True).values():
            self.start(tx, begun, now=now)

    def _save(self, tx: Any, before: PipelineRun, after: PipelineRun) -> PipelineRun:
        if after is not before:
            self.records.save(tx, before, after)
        return after


def _begun(run: PipelineRun, entry: Entry, now: float) -> PipelineRun:
    if entry.part == "publish":
        return run
    task = run.task(entry.task)
    began = {"state": "running", "started_at": task.started_at or now, "reason": "", "finished_at": None}
    attempt = task.attempt if entry.part == "item" else task.attempt + 1
    return pipelines.with_task(run, dataclasses.replace(task, attempt=attempt, **began))  # type: ignore[arg-type]  # as its fields


def _done(task: RunTask, told: Mapping[str, Any], now: float) -> RunTask:
    task = _with_part(task, told)
    return replace(
        task, state=told.get("state", "succeeded"), reason=told.get("reason", ""), error=None, finished_at=now
    )


def _with_part(task: RunTask, told: Mapping[str, Any]) -> RunTask:
    """Return a task with what one of its attempts has read, written and counted; figures of several add up."""
    report = dict(task.report) if task.items is not None else {}
    for name, value in told.get("report", {}).items():
        known = report.get(name)
        is_count = isinstance(value, int) and not isinstance(value, bool)
        report[name] = known + value if is_count and isinstance(known, int) else value
    return replace(
        task,
        fingerprint=told.get("fingerprint", task.fingerprint),
        reads=dict(task.reads) | {TableName(name): SnapshotId(at) for name, at in told.get("reads", {}).items()},
        wrote=dict(task.wrote) | {TableName(name): SnapshotId(at) for name, at in told.get("wrote", {}).items()},
        report=report,
    )


def _another_try(run: PipelineRun, entry: Entry, report: AttemptReport, now: float) -> Entry | None:
    """Return the next try of an attempt that did not succeed, None when it was the last."""
    error = dict(report.error or {})
    if report.outcome in ("transient", "cancelled"):
        pause_s = max(random.random(), 0.1) * limits.OUTAGE_RETRY.value
        return try_again(entry, attempt=entry.attempt, not_before=now + pause_s, reason=error.get("code", "stopped"))
    if error.get("code") == _NEEDS_RERUN and entry.attempt <= limits.RUN_RERUNS.value:
        return try_again(entry, attempt=entry.attempt + 1, not_before=now, reason=_NEEDS_RERUN)
    retries = 0 if entry.part == "publish" else run.task(entry.task).retries
    most = entry.attempts_max if report.outcome == "crashed" else 1 + retries
    if entry.attempt >= most:
        return None
    lost = error.get("code") == "worker_lost"
    return after_back_off(entry, now=now, chance=0.0 if lost else random.random(), error=error)


def _waiting_again(run: PipelineRun, entry: Entry, report: AttemptReport) -> PipelineRun:
    if entry.part == "publish":
        return run
    told = dict(report.error or {})
    task = run.task(entry.task)
    state = "running" if entry.part == "item" else "queued"
    reason = f"tried again: {told.get('message', report.outcome)}"
    return pipelines.with_task(run, replace(task, state=state, reason=reason, error=told))  # type: ignore[arg-type]  # two of them
