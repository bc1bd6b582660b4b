"""What has been done so far, as a plan needs to know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock.core.plan import TaskName
from penstock.core.projects import Task
from penstock.core.tables import SnapshotId, TableName
from penstock.execution.marks import Marks


@dataclass(slots=True)
class KnownState:
    """What has been done so far, for a plan."""

    marks: Marks
    heads: Mapping[TableName, SnapshotId]
    dated: Mapping[TaskName, str]
    undated: Mapping[TaskName, str]
    known: dict[tuple[TableName, str], str] = field(default_factory=dict)

    def head(self, table: TableName) -> SnapshotId | None:
        """Return the published snapshot of a table."""
        return self.heads.get(table)

    def mark(self, task: Task, table: TableName) -> str | None:
        """Return the mark of what a task reads of a table."""
        snapshot = self.heads.get(table)
        if snapshot is None:
            return None
        key = table, str(getattr(task.spec, "window", "all"))
        if key not in self.known:
            self.known[key] = self.marks.mark(table, snapshot, task.spec)
        return self.known[key]

    def last_fingerprints(self, task: Task) -> Sequence[str]:
        """Return the fingerprints of a task's last successes."""
        return [known[task.name] for known in (self.dated, self.undated) if task.name in known]


class UnknownState:
    """The state of which nothing is known."""

    def head(self, _table: TableName) -> None:
        """Return nothing."""

    def mark(self, _task: Task, _table: TableName) -> None:
        """Return nothing."""

    def last_fingerprints(self, _task: Task) -> Sequence[str]:
        """Return none."""
        return ()
