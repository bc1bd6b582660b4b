"""Expiry: a table's metadata names every snapshot in every commit, so it must not name all that ever were."""

from __future__ import annotations

from typing import Any

from pyiceberg.table import Table

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.tables import SnapshotId, TableName
from penstock.storage.tables import commits, journal, lineage
from penstock.storage.tables.leases import Held
from penstock.storage.tables.parts import Parts


def expire(
    parts: Parts, held: Held, table: Table, workspace: WorkspaceId, name: TableName, *, force: bool = False
) -> int:
    """Remove old snapshots from a table's metadata, under its lease; return how many.

    There stay: what readers see and what they saw the last times, what runs have pinned, what runs that write stand
    on and have written, and the head of every branch. The records say which have expired before they do, so that a
    snapshot is never pinned that is about to go.

    Args:
        parts: of the lake.
        held: the lease.
        table: with current metadata.
        workspace: whose table.
        name: of the table.
        force: do so however few there are.
    """
    there = {SnapshotId(snapshot.snapshot_id) for snapshot in table.metadata.snapshots}
    if len(there) <= limits.LAKE_SNAPSHOTS.value and not force:
        return 0

    def choose(tx: Any) -> list[SnapshotId]:
        held.extend(tx)
        gone = sorted(there - _kept(tx, table, workspace, name))
        lineage.set_expired(tx, workspace, name, gone, now=parts.clock())
        return gone

    gone = parts.database.write(choose)
    parts.step("expire.recorded")
    if gone:
        commits.remove_snapshots(table, gone)
        parts.step("expire.removed")
    return len(gone)


def _kept(tx: Any, table: Table, workspace: WorkspaceId, name: TableName) -> set[SnapshotId]:
    kept = {SnapshotId(ref.snapshot_id) for ref in table.metadata.refs.values()}
    kept |= {seen.snapshot for seen in lineage.history(tx, workspace, name, count=limits.LAKE_KEPT.value)}
    kept |= lineage.pinned(tx, workspace, name)
    for snapshot in (journal.shown(tx, workspace, name), commits.main_of(table)):
        if snapshot is not None:
            kept.add(snapshot)
    for write in journal.of_table(tx, workspace, name):
        if write.base is not None:
            kept.add(write.base)
        for head in {write.head, commits.head_of(table, write.branch)}:
            kept |= _between(table, head, write.base)
    return kept


def _between(table: Table, head: SnapshotId | None, base: SnapshotId | None) -> set[SnapshotId]:
    found: set[SnapshotId] = set()
    while head is not None and head != base:
        found.add(head)
        snapshot = table.metadata.snapshot_by_id(head)
        parent = None if snapshot is None else snapshot.parent_snapshot_id
        head = None if parent is None else SnapshotId(parent)
    return found
