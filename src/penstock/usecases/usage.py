"""What workspaces have used on a day, as their quotas count it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from penstock.core.access import WorkspaceId
from penstock.core.ports import WorkRecords
from penstock.core.work import Ended

SCRIPT_PARTS: Final = ("whole", "chunk")  # in which a tenant's code runs


def count_usage(records: WorkRecords, tx: Any, ended: Sequence[Ended], *, now: float) -> None:
    """Count what attempts have used that have just ended."""
    sums: dict[WorkspaceId, list[float]] = {}
    for each in ended:
        report, entry = each.report, each.lease.entry
        used = sums.setdefault(entry.workspace, [0.0, 0, 0])
        used[0] += report.cpu_s
        if report.outcome == "succeeded" and not report.report.get("unfolds"):
            used[1] += entry.part in ("whole", "join")
            used[2] += report.report.get("records", 0) if entry.part in SCRIPT_PARTS else 0
    for workspace, (cpu_s, jobs, done) in sums.items():
        if cpu_s or jobs or done:
            _add(records, tx, workspace, now=now, cpu_s=cpu_s, jobs=int(jobs), done=int(done))


def count_late(records: WorkRecords, tx: Any, late: Sequence[tuple[WorkspaceId, float]], *, now: float) -> None:
    """Count CPU seconds that were found after the attempts had ended."""
    sums: dict[WorkspaceId, float] = {}
    for workspace, cpu_s in late:
        sums[workspace] = sums.get(workspace, 0.0) + cpu_s
    for workspace, cpu_s in sums.items():
        _add(records, tx, workspace, now=now, cpu_s=cpu_s)


def _add(
    records: WorkRecords, tx: Any, workspace: WorkspaceId, *, now: float, cpu_s: float, jobs: int = 0, done: int = 0
) -> None:
    today = dt.datetime.fromtimestamp(now, dt.UTC).date().isoformat()
    records.add_usage(tx, workspace, day=today, cpu_s=cpu_s, jobs=jobs, records=done)
