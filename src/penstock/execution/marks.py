"""What tells what a task reads of its tables now from what it read before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.base.hashing import fingerprint
from penstock.core.access import WorkspaceId
from penstock.core.errors import NotFound, RequestInvalid
from penstock.core.plan import RunId
from penstock.core.ports import Lake, RunTaskKind
from penstock.core.projects import Project
from penstock.core.scripts import ScriptVersion
from penstock.core.tables import SnapshotId, TableName

Registered = Callable[[str, str, str], ScriptVersion]  # from a workspace, a script's name, and a version or range


def code_of(kind: RunTaskKind, spec: Any, project: Project, *, workspace: WorkspaceId, registered: Registered) -> str:
    """Return what tells the code of a task from what it was before: of a registered script, the version it has now.

    Raises:
        NotFound: when the workspace has no such script or version.
    """
    code = kind.code(spec, project)
    name, _, wanted = str(getattr(spec, "script", "")).partition("@")
    return f"{code} {fingerprint(registered(workspace, name, wanted))}" if wanted else code


@dataclass(frozen=True, slots=True)
class Marks:
    """What tasks read now, for a date, as readers see it or as a run does.

    Attributes:
        run: whose own writes count; None for what everybody sees.
    """

    lake: Lake
    workspace: WorkspaceId
    date: str | None
    run: RunId | None = None

    def heads(self, tables: Sequence[TableName]) -> Mapping[TableName, SnapshotId]:
        """Return the snapshots of those tables that are there."""
        try:
            return self.lake.heads(self.workspace, tables, run=self.run) if tables else {}
        except NotFound:
            found: dict[TableName, SnapshotId] = {}
            for table in tables if len(tables) > 1 else ():
                found |= self.heads([table])
            return found

    def mark(self, table: TableName, snapshot: SnapshotId, spec: Any) -> str:
        """Return the mark of a table: its snapshot, or the files of the date where the task reads no more."""
        if self.date is None or getattr(spec, "window", "all") != "day":
            return str(snapshot)
        try:
            day = [(dt.date.fromisoformat(self.date),)]
            reading = self.lake.read(self.workspace, table, at=snapshot, partitions=day)
        except RequestInvalid:  # it is not cut into days
            return str(snapshot)
        return fingerprint(sorted(file.path for file in reading.files))
