"""What attempts of tasks write while they run, and what tasks remember from run to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import sqlalchemy
from sqlalchemy import Connection

from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId
from penstock.core.ports.runs import TaskOwner
from penstock.core.runs import CheckResult, LogLine, TaskProgress
from penstock.database.schema import check_results, taken_files, task_logs
from penstock.database.statements import Statement

_PUT_PROGRESS: Final = Statement(
    "INSERT INTO task_progress (run, task, number, workspace, done, total, unit, at)"
    " VALUES (:run, :task, :number, :workspace, :done, :total, :unit, :at)"
    " ON CONFLICT (run, task, number) DO UPDATE SET done = excluded.done, total = excluded.total, unit = excluded.unit,"
    " at = excluded.at"
)
_CURSOR: Final = Statement(
    "SELECT value FROM cursors WHERE workspace = :workspace AND project = :project AND pipeline = :pipeline"
    " AND task = :task AND name = :name"
)
_SET_CURSOR: Final = Statement(
    "INSERT INTO cursors (workspace, project, pipeline, task, name, value, run, at)"
    " VALUES (:workspace, :project, :pipeline, :task, :name, :value, :run, :at)"
    " ON CONFLICT (workspace, project, pipeline, task, name) DO UPDATE SET value = excluded.value, run = excluded.run,"
    " at = excluded.at"
)
_FORGET_CURSOR: Final = Statement(
    "DELETE FROM cursors WHERE workspace = :workspace AND project = :project AND pipeline = :pipeline"
    " AND task = :task AND name = :name"
)
_TAKE: Final = Statement(
    "INSERT INTO taken_files (workspace, project, pipeline, task, path, mark, run, at)"
    " VALUES (:workspace, :project, :pipeline, :task, :path, :mark, :run, :at)"
    " ON CONFLICT (workspace, project, pipeline, task, path) DO UPDATE SET mark = excluded.mark, run = excluded.run,"
    " at = excluded.at"
)
_PATHS_AT_ONCE: Final = 500


class SqlAttemptRecords:
    """The AttemptRecords of a server."""

    def put_progress(self, tx: Connection, workspace: WorkspaceId, run: RunId, progress: TaskProgress) -> None:
        """Record how far an attempt has come."""
        _PUT_PROGRESS.do(
            tx,
            {
                "run": run,
                "task": progress.task,
                "number": progress.number,
                "workspace": workspace,
                "done": progress.done,
                "total": progress.total,
                "unit": progress.unit,
                "at": progress.at,
            },
        )

    def add_logs(self, tx: Connection, workspace: WorkspaceId, run: RunId, lines: Sequence[LogLine]) -> None:
        """Add what a task has said."""
        rows = [
            {
                "workspace": workspace,
                "run": run,
                "task": line.task,
                "number": line.number,
                "attempt": line.attempt,
                "at": line.at,
                "level": line.level,
                "text": line.text,
                "figures": orjson.dumps(line.figures, default=str).decode(),
            }
            for line in lines
        ]
        if rows:
            tx.execute(task_logs.insert(), rows)

    def add_check(self, tx: Connection, workspace: WorkspaceId, result: CheckResult) -> None:
        """Record the result of a suite."""
        tx.execute(
            check_results.insert(),
            {
                "workspace": workspace,
                "run": result.run,
                "task": result.task,
                "name": result.table,
                "snapshot": result.snapshot,
                "suite": result.suite,
                "success": int(result.success),
                "evaluated": result.evaluated,
                "failed": result.failed,
                "blocks": int(result.blocks),
                "at": result.at,
                "verdicts": orjson.dumps(result.verdicts, default=str).decode(),
            },
        )

    def cursor(self, tx: Connection, owner: TaskOwner, name: str) -> Any:
        """Return what a task remembers under a name, None when nothing."""
        found = _CURSOR.fetch(tx, _of(owner) | {"name": name})
        return orjson.loads(found[0][0]) if found else None

    def set_cursors(
        self, tx: Connection, owner: TaskOwner, values: Mapping[str, Any], *, run: RunId, now: float
    ) -> None:
        """Remember values; None forgets."""
        rows = [
            _of(owner) | {"name": name, "value": orjson.dumps(value).decode(), "run": run, "at": now}
            for name, value in values.items()
            if value is not None
        ]
        if rows:
            _SET_CURSOR.do(tx, rows)
        if gone := [_of(owner) | {"name": name} for name, value in values.items() if value is None]:
            _FORGET_CURSOR.do(tx, gone)

    def taken(self, tx: Connection, owner: TaskOwner, files: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Return those of some files, each with its mark, that were taken."""
        marks = dict(files)
        paths = list(marks)
        found: set[str] = set()
        for start in range(0, len(paths), _PATHS_AT_ONCE):
            query = sqlalchemy.select(taken_files.c.path, taken_files.c.mark).where(
                *(taken_files.c[name] == value for name, value in _of(owner).items()),
                taken_files.c.path.in_(paths[start : start + _PATHS_AT_ONCE]),
            )
            found |= {row.path for row in tx.execute(query) if row.mark == marks[row.path]}
        return frozenset(found)

    def take(
        self, tx: Connection, owner: TaskOwner, files: Sequence[tuple[str, str]], *, run: RunId, now: float
    ) -> None:
        """Remember files as taken."""
        rows = [_of(owner) | {"path": path, "mark": mark, "run": run, "at": now} for path, mark in files]
        if rows:
            _TAKE.do(tx, rows)


def _of(owner: TaskOwner) -> dict[str, Any]:
    return dict(zip(("workspace", "project", "pipeline", "task"), owner, strict=True))
