"""What is left of runs, removed when it was kept long enough; the runs themselves are never forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.core import limits
from penstock.core.ports import Clock, Database, Lake
from penstock.core.ports.runs import RunUpkeepRecords

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class RunUpkeep:
    """What a worker does now and then for runs of all workspaces."""

    database: Database
    records: RunUpkeepRecords
    lake: Lake
    clock: Clock

    def tick(self) -> int:
        """Drop branches of runs that nobody has resumed, and what tasks have said long ago; return how many runs.

        Raises:
            LakeUnavailable: when a branch could not be dropped now.
        """
        now = self.clock()
        with self.database.read() as tx:
            before = now - limits.BRANCH_KEPT.value * _DAY_S
            abandoned = self.records.abandoned(tx, ended_before=before, limit=limits.UPKEEP_BATCH.value)
        for workspace, run in abandoned:
            self.lake.discard(workspace, run)
            self.lake.unpin(workspace, run)
        told_before = now - limits.LOGS_KEPT.value * _DAY_S
        forgotten = self.database.write(
            lambda tx: self.records.forget_logs(tx, ended_before=told_before, limit=limits.UPKEEP_BATCH.value)
        )
        return len(abandoned) + forgotten
