"""What is left of runs that have ended, in the records database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy
from sqlalchemy import Connection, func

from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId
from penstock.database.schema import lake_pins, lake_writes, pipeline_runs, run_items, runs, task_logs, task_progress

_LEFT: Final = ("open", "written")
_TOLD: Final = (task_logs, run_items, task_progress)


class SqlRunUpkeepRecords:
    """The RunUpkeepRecords of a server."""

    def abandoned(self, tx: Connection, *, ended_before: float, limit: int) -> Sequence[tuple[WorkspaceId, RunId]]:
        """Return runs that ended badly and were not resumed, and have branches or pins still."""
        branches = sqlalchemy.exists().where(
            lake_writes.c.state.in_(_LEFT),
            func.substr(lake_writes.c.run + ".", 1, func.length(runs.c.id) + 1) == runs.c.id + ".",  # and of its pieces
        )
        pins = sqlalchemy.exists().where(lake_pins.c.run == runs.c.id)
        found = tx.execute(
            sqlalchemy.select(runs.c.workspace, runs.c.id)
            .where(runs.c.kind == "pipeline", runs.c.state.in_(("failed", "cancelled")))
            .where(runs.c.finished_at < ended_before, sqlalchemy.or_(branches, pins))
            .order_by(runs.c.id)
            .limit(limit)
        )
        return [(WorkspaceId(row.workspace), RunId(row.id)) for row in found]

    def forget_logs(self, tx: Connection, *, ended_before: float, limit: int) -> int:
        """Remove what tasks of runs have said that ended long ago; return of how many runs."""
        has_logs = sqlalchemy.exists().where(task_logs.c.run == pipeline_runs.c.id)
        old = (
            sqlalchemy.select(pipeline_runs.c.id)
            .join(runs, runs.c.id == pipeline_runs.c.id)
            .where(pipeline_runs.c.active == 0, runs.c.finished_at < ended_before, has_logs)
            .limit(limit)
        )
        names = [row.id for row in tx.execute(old)]
        for table in _TOLD:
            tx.execute(table.delete().where(table.c.run.in_(names)))
        return len(names)
