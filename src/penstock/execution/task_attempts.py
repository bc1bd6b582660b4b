"""One attempt of a part of a run, from its lease to its report."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from penstock.base.disks import PASSING, ROOM_HINT, said
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import Bug, NeedsRerun, PenstockError, SpoolFull, Stopped, TaskFailed, TransientError
from penstock.core.jobs import AttemptReport, Entry
from penstock.core.plan import RunId, TaskName
from penstock.core.ports import Occurrence, Sandbox
from penstock.core.ports.pipelines import RunTaskKind
from penstock.core.ports.runs import RunRecords
from penstock.core.projects import PipelineName, Project, Task
from penstock.core.runs import PipelineRun, RunTask
from penstock.core.tables import SnapshotId, TableName
from penstock.core.templates import Meanings, filled_spec
from penstock.execution.items import list_items
from penstock.execution.marks import Marks, code_of
from penstock.execution.stopping import StopSign
from penstock.execution.task_context import TaskContext
from penstock.execution.task_parts import TaskParts
from penstock.planning.fingerprints import is_of_date, task_fingerprint

# What passes by itself, and is no fault of the task: trying again costs it nothing.
_OUTAGES: Final = frozenset(
    [
        "database_unavailable",
        "blobs_unavailable",
        "lake_unavailable",
        "lease_expired",
        "table_busy",
        "sandbox_unavailable",
        "spool_full",
    ]
)


@dataclass(frozen=True, slots=True)
class TaskAttempts:
    """Carries out attempts of runs.

    Attributes:
        project: from a workspace, a project's name and a revision to the project.
        folder: where attempts have their folders; on the lake's own disk when that is local.
        files: from a workspace to the folder where its files are; None where there is none.
    """

    parts: TaskParts
    records: RunRecords
    kinds: Mapping[str, RunTaskKind]
    project: Callable[[WorkspaceId, str, str], Project]
    folder: Path
    files: Callable[[WorkspaceId], Path | None] = field(default=lambda _workspace: None)

    def carry_out(self, entry: Entry, *, sandbox: Sandbox, stop: StopSign) -> AttemptReport:
        """Return how an attempt ended; whatever went wrong on purpose is part of that."""
        try:
            return AttemptReport("succeeded", report=self._part(entry, sandbox, stop))
        except PenstockError as error:
            return _failed(error, run=entry.run, timed_out=stop.timed_out)
        except OSError as error:
            if error.errno not in PASSING:
                raise
            words = f"what a task puts aside cannot be written: {said(error, self.folder)}"
            return _failed(SpoolFull(words, hint=ROOM_HINT), run=entry.run, timed_out=False)

    def _part(self, entry: Entry, sandbox: Sandbox, stop: StopSign) -> dict[str, Any]:
        with self.parts.database.read() as tx:
            if entry.part == "publish":
                run = self.records.load(tx, [entry.run])[entry.run]
            else:
                run = self.records.load_task(tx, entry.run, TaskName(entry.task))
            items = self.records.items(tx, run.id, run.task(entry.task).name) if entry.part == "item" else ()
        if entry.part == "publish":
            stop.confirm()
            return self._publish(run)
        project = self.project(run.workspace, run.project, run.revision)
        task = run.task(entry.task)
        attempt = _Attempt(self, run, task, project, entry, sandbox, stop)
        if entry.part == "expand":
            fingerprint, _ = attempt.mark()
            return {"items": attempt.items(), "fingerprint": fingerprint}
        item = next((each for each in items if each.number == entry.number), None)
        return attempt.carry_out(None if item is None else item.value)

    def _publish(self, run: PipelineRun) -> dict[str, Any]:
        whole = {
            table
            for task in run.tasks
            if task.state == "succeeded" and task.spec.get("window", "all") != "day"
            for table in task.reads
        }
        published = self.parts.lake.publish(run.workspace, run.id, read_whole=whole)
        self.parts.lake.unpin(run.workspace, run.id)
        return {"published": {each.table: each.snapshot for each in published}}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt of a task, or of one of the things that it is done for."""

    of: TaskAttempts
    run: PipelineRun
    task: RunTask
    project: Project
    entry: Entry
    sandbox: Sandbox
    stop: StopSign

    def items(self) -> list[Any]:
        """Return what the task is to be done for."""
        with self._context(None, "") as context:
            return list_items(self.task.for_each or {}, context)

    def carry_out(self, item: Any) -> dict[str, Any]:
        """Do what the task is for, unless that has been done."""
        kind, task = self.of.kinds[self.task.kind], self._planned()
        mark, heads = self.mark()
        if item is not None and self.task.fingerprint is not None:
            mark = self.task.fingerprint  # all items are one work, whatever is published between the first and the last
        told: dict[str, Any] = {"fingerprint": mark, "reads": heads}
        if item is None and self._is_done(task, mark) and not kind.publishes:
            return told | {"state": "skipped", "reason": "up to date: same code, settings and inputs as the last time"}
        with self._context(item, mark) as context:
            context.pins = heads
            meanings = Meanings(self.run.date, self.run.id, self.run.params, item)
            spec = kind.Spec.model_validate(filled_spec(self.task.spec, meanings))
            report = dict(kind.run(spec, context))
        report |= {"published": True} if context.published else {}
        return told | {"reads": context.reads | dict(heads), "wrote": context.wrote, "report": report}

    def mark(self) -> tuple[str, Mapping[TableName, SnapshotId]]:
        """Return the task's fingerprint, and the snapshots that it reads."""
        kind, task = self.of.kinds[self.task.kind], self._planned()
        marks = Marks(self.of.parts.lake, self.run.workspace, self.run.date, self.run.id)
        heads = marks.heads(task.reads)
        marked = {table: marks.mark(table, heads[table], task.spec) if table in heads else None for table in task.reads}
        registered = self.of.parts.script
        code = code_of(kind, task.spec, self.project, workspace=self.run.workspace, registered=registered)
        return task_fingerprint(task, code=code, marks=marked, date=self.run.date, params=self.run.params), heads

    def _is_done(self, task: Task, fingerprint: str) -> bool:
        if self.task.action == "run" or self.run.again:
            return False
        date = self.run.date if is_of_date(fingerprint) else None
        with self.of.parts.database.read() as tx:
            of = tx, self.run.workspace, self.run.project, self.run.pipeline
            return self.of.records.successes(*of, date=date).get(task.name) == fingerprint

    def _planned(self) -> Task:
        return self.project.pipelines[PipelineName(self.run.pipeline)].tasks[self.task.name]

    def _context(self, item: Any, fingerprint: str) -> TaskContext:
        files = self.of.files(self.run.workspace)
        occurrence = Occurrence(
            run=self.run.id,
            workspace=self.run.workspace,
            project=self.run.project,
            pipeline=self.run.pipeline,
            task=self.task.name,
            started_at=self.run.started_at or self.run.created_at,
            fingerprint=fingerprint,
            attempt=max(self.task.attempt, 1),
            date=self.run.date,
            timezone=self.run.timezone,
            params=self.run.params,
            item=item,
            part="" if item is None else hashlib.sha256(orjson.dumps(item)).hexdigest()[:16],
        )
        return TaskContext(
            parts=dataclasses.replace(self.of.parts, sandbox=self.sandbox, files_folder=files),
            occurrence=occurrence,
            project=self.project,
            folder=self.of.folder / f"{self.run.id}-{self.task.name}-{self.entry.number}",
            stop=self.stop,
            number=self.entry.number,
            piece=occurrence.part if self.of.kinds[self.task.kind].publishes else "",
            timeout_s=self.task.timeout_s or limits.TASK_TIMEOUT.value,
        )


def _failed(error: PenstockError, *, run: RunId, timed_out: bool) -> AttemptReport:
    hint = error.hint.replace("penstock resume RUN", f"penstock resume {run}")  # whoever stops it does not know which
    told: dict[str, Any] = {"code": error.code, "message": error.message, "hint": hint}
    if isinstance(error, NeedsRerun):
        told |= {"tables": list(error.tables), "inputs": list(error.inputs)}
    if isinstance(error, TaskFailed) and error.figures:
        told["figures"] = error.figures
    if isinstance(error, Stopped):
        return AttemptReport("failed" if timed_out else "cancelled", error=told)
    if isinstance(error, TransientError) and error.code in _OUTAGES:
        return AttemptReport("transient", error=told)
    return AttemptReport("crashed" if isinstance(error, Bug) else "failed", error=told)
