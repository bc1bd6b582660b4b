"""Making good what a kill has left: readers see a snapshot by the records, and Iceberg's `main` is yet to follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyiceberg.table import Table

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.tables import TableName
from penstock.storage.tables import commits, journal
from penstock.storage.tables.commits import CommitLost
from penstock.storage.tables.journal import Write
from penstock.storage.tables.leases import LeaseLost
from penstock.storage.tables.parts import Parts


def settle(parts: Parts, workspace: WorkspaceId, name: TableName) -> None:
    """Move a table's `main` to what readers see already, under its lease."""
    for _ in range(limits.LAKE_TRIES.value):
        try:
            with parts.leases.hold(workspace, [name]) as held:
                settle_held(parts, workspace, name)
                parts.database.write(held.release, durable=False)
        except (LeaseLost, CommitLost):
            continue
        return
    raise commits.lost_too_often(name)


def settle_held(parts: Parts, workspace: WorkspaceId, name: TableName) -> None:
    """Do so under a lease that is held already: the first thing to do under every lease that moves `main`."""
    with parts.database.read() as tx:
        left = [write for write in journal.of_table(tx, workspace, name) if write.state == "published"]
    for write in left:
        table = parts.catalog.load(workspace, name)
        assert table is not None, f"{name} stands in the journal"
        move(table, write)
        done = replace(write, state="done")
        parts.database.write(_recording(done, parts.clock()), durable=False)


def move(table: Table, write: Write) -> None:
    """Move `main` to a writing's head and remove its branch; what of it is done is left alone."""
    assert write.head is not None, "it is published"
    if commits.main_of(table) != write.head:
        commits.move_main(table, write.head, remove=write.branch)
    else:
        commits.remove_branch(table, write.branch)


def _recording(write: Write, now: float) -> Callable[[Any], None]:
    return lambda tx: journal.set_write(tx, write, now=now)
