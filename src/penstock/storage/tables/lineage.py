"""Where snapshots come from, which of them can be read, and which a run keeps from expiring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock.core.access import WorkspaceId
from penstock.core.errors import SnapshotGone
from penstock.core.plan import RunId, TaskName
from penstock.core.tables import Author, Lineage, SnapshotId, TableName, TableState, piece_of_branch, run_of_branch
from penstock.database.statements import Statement

_STATES: Final = Statement("SELECT * FROM lake_tables WHERE workspace = :workspace ORDER BY name")
_ONE: Final = Statement(
    "SELECT * FROM lake_snapshots WHERE workspace = :workspace AND name = :name AND snapshot = :snapshot"
)
_HISTORY: Final = Statement(
    "SELECT * FROM lake_snapshots WHERE workspace = :workspace AND name = :name AND published_at IS NOT NULL"
    " ORDER BY published_at DESC, snapshot LIMIT :count"
)
_HISTORY_BEFORE: Final = Statement(
    "SELECT s.* FROM lake_snapshots s JOIN lake_snapshots b"
    " ON b.workspace = s.workspace AND b.name = s.name AND b.snapshot = :before"
    " WHERE s.workspace = :workspace AND s.name = :name AND (s.published_at < b.published_at"
    " OR (s.published_at = b.published_at AND s.snapshot > b.snapshot))"
    " ORDER BY s.published_at DESC, s.snapshot LIMIT :count"
)
_INPUTS: Final = Statement(
    "SELECT input, input_snapshot FROM lake_inputs"
    " WHERE workspace = :workspace AND name = :name AND snapshot = :snapshot"
)
_USES: Final = Statement(
    "SELECT name, snapshot FROM lake_inputs"
    " WHERE workspace = :workspace AND input = :name AND input_snapshot = :snapshot ORDER BY name, snapshot"
)
_PIN: Final = Statement(
    "INSERT INTO lake_pins (run, workspace, name, snapshot) VALUES (:run, :workspace, :name, :snapshot)"
    " ON CONFLICT (run, workspace, name, snapshot) DO NOTHING"
)
_UNPIN: Final = Statement("DELETE FROM lake_pins WHERE workspace = :workspace AND run = :run")
_PINNED: Final = Statement("SELECT snapshot FROM lake_pins WHERE workspace = :workspace AND name = :name")
_EXPIRED: Final = Statement(
    "UPDATE lake_snapshots SET expired_at = :now"
    " WHERE workspace = :workspace AND name = :name AND snapshot = :snapshot AND expired_at IS NULL"
)


def states(tx: Any, workspace: WorkspaceId) -> list[TableState]:
    """Return every table of a workspace, by name."""
    return [
        TableState(
            name=TableName(row["name"]),
            project=row["project"],
            task=TaskName(row["task"]),
            snapshot=row["snapshot"],
            published_at=row["published_at"],
            published_by=row["published_by"],
        )
        for row in _STATES.run(tx, {"workspace": workspace}).mappings()
    ]


def history(
    tx: Any, workspace: WorkspaceId, name: TableName, *, count: int, before: SnapshotId | None = None
) -> list[Lineage]:
    """Return what readers of a table have seen, the newest first; before a snapshot, if one is named."""
    of = {"workspace": workspace, "name": name, "count": count}
    found = _HISTORY.run(tx, of) if before is None else _HISTORY_BEFORE.run(tx, {**of, "before": before})
    rows = list(found.mappings())
    return [_lineage(tx, row) for row in rows]


def of_snapshot(tx: Any, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId) -> Lineage:
    """Return where one snapshot comes from.

    Raises:
        SnapshotGone: when there never was such a snapshot.
    """
    row = _ONE.run(tx, {"workspace": workspace, "name": name, "snapshot": snapshot}).mappings().first()
    if row is None:
        raise _gone(name, snapshot, "is not one of its snapshots")
    return _lineage(tx, row)


def uses(tx: Any, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId) -> list[tuple[TableName, SnapshotId]]:
    """Return the snapshots that were made from one."""
    found = _USES.run(tx, {"workspace": workspace, "name": name, "snapshot": snapshot})
    return [(TableName(row[0]), SnapshotId(row[1])) for row in found]


def require_readable(
    tx: Any, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId, *, published: bool = False
) -> None:
    """Make sure that a snapshot can be read.

    Raises:
        SnapshotGone: when it has expired, or never was; or was never published, where that is asked for.
    """
    row = _ONE.run(tx, {"workspace": workspace, "name": name, "snapshot": snapshot}).mappings().first()
    if row is None:
        raise _gone(name, snapshot, "is not one of its snapshots")
    if row["expired_at"] is not None:
        raise _gone(name, snapshot, "has expired")
    if published and row["published_at"] is None:
        raise _gone(name, snapshot, "was never published")


def pin(tx: Any, workspace: WorkspaceId, run: RunId, pins: Mapping[TableName, SnapshotId]) -> None:
    """Keep snapshots from expiring for as long as a run reads them.

    Raises:
        SnapshotGone: when one has expired already.
    """
    for name, snapshot in pins.items():
        require_readable(tx, workspace, name, snapshot)
        _PIN.run(tx, {"run": run, "workspace": workspace, "name": name, "snapshot": snapshot})


def unpin(tx: Any, workspace: WorkspaceId, run: RunId) -> None:
    """Let go of what a run has pinned."""
    _UNPIN.run(tx, {"workspace": workspace, "run": run})


def pinned(tx: Any, workspace: WorkspaceId, name: TableName) -> set[SnapshotId]:
    """Return the snapshots of a table that runs have pinned."""
    return {SnapshotId(row[0]) for row in _PINNED.run(tx, {"workspace": workspace, "name": name})}


def set_expired(
    tx: Any, workspace: WorkspaceId, name: TableName, snapshots: Sequence[SnapshotId], *, now: float
) -> None:
    """Record that snapshots cannot be read any more, so that nobody pins them."""
    for snapshot in snapshots:
        _EXPIRED.run(tx, {"workspace": workspace, "name": name, "snapshot": snapshot, "now": now})


def _lineage(tx: Any, row: Any) -> Lineage:
    key = {"workspace": row["workspace"], "name": row["name"], "snapshot": row["snapshot"]}
    inputs = {TableName(found[0]): SnapshotId(found[1]) for found in _INPUTS.run(tx, key)}
    return Lineage(
        table=TableName(row["name"]),
        snapshot=SnapshotId(row["snapshot"]),
        author=Author(
            run=run_of_branch(row["run"]),
            piece=piece_of_branch(row["run"]),
            project=row["project"],
            task=TaskName(row["task"]),
            fingerprint=row["fingerprint"],
            part=row["part"],
            version=row["version"],
        ),
        mode=row["mode"],
        parent=row["parent"],
        rows=row["rows"],
        rows_added=row["rows_added"],
        at=row["at"],
        published_at=row["published_at"],
        expired=row["expired_at"] is not None,
        inputs=inputs,
    )


def _gone(name: TableName, snapshot: SnapshotId, what: str) -> SnapshotGone:
    return SnapshotGone(
        f"{snapshot} of the table {name} {what}", hint=f"Choose one of those that are kept: penstock tables {name}"
    )
