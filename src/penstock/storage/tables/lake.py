"""The lake: tables on Apache Iceberg, their state in the records database."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import NotFound, SnapshotGone
from penstock.core.plan import RunId
from penstock.core.ports import Clock, Database
from penstock.core.tables import (
    Lineage,
    Maintained,
    Partition,
    Published,
    Reading,
    SnapshotId,
    TableName,
    TableState,
    WriteOrder,
    Writing,
    Written,
    branch_name,
)
from penstock.storage.tables import journal, lineage
from penstock.storage.tables.belonging import not_in_catalog
from penstock.storage.tables.leases import Leases
from penstock.storage.tables.rewriting import rewrite as rewrite_here

if TYPE_CHECKING:
    from penstock.storage.tables.catalog import Catalog
    from penstock.storage.tables.maintenance import Keeper, Rewrite
    from penstock.storage.tables.parts import Footers, Parts
    from penstock.storage.tables.publishing import Publisher
    from penstock.storage.tables.writing import Writer


@dataclass(frozen=True, slots=True)
class _Made:
    """What works with Iceberg's own files."""

    parts: Parts
    writer: Writer
    publisher: Publisher
    keeper: Keeper


class IcebergLake:
    """The Lake of a server or of a laptop.

    What the records alone can say loads nothing of Iceberg, which takes half a second.

    Args:
        database: the records database.
        catalog: where tables are; or what opens it when a table is first read or written.
        clock: gives seconds since 1970.
        lease_s: how long a killed writer keeps others waiting.
        footers: reads the footers of Parquet files; in a locked child where engines' files are not trusted.
        rewrite: writes the rows of several files into one; in a locked child likewise.
        step: told of each step that a kill may follow.
    """

    def __init__(
        self,
        database: Database,
        catalog: Catalog | Callable[[], Catalog],
        clock: Clock,
        *,
        lease_s: float = limits.LAKE_LEASE.value,
        footers: Footers | None = None,
        rewrite: Rewrite = rewrite_here,
        step: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self._database, self._catalog, self._clock = database, catalog, clock
        self._lease_s, self._footers, self._rewrite, self._step = lease_s, footers, rewrite, step
        self._lock = threading.Lock()
        self._made: _Made | None = None

    def tables(self, workspace: WorkspaceId) -> Sequence[TableState]:
        """Return the tables of a workspace, by name."""
        with self._database.read() as tx:
            return lineage.states(tx, workspace)

    def heads(
        self, workspace: WorkspaceId, names: Sequence[TableName], *, run: RunId | None = None, piece: str = ""
    ) -> Mapping[TableName, SnapshotId]:
        """Return the snapshots to read, of one moment."""
        branch = None if run is None else branch_name(run, piece)
        with self._database.read() as tx:
            return {name: _head(tx, workspace, name, branch) for name in names}

    def read(
        self,
        workspace: WorkspaceId,
        name: TableName,
        *,
        at: SnapshotId | None = None,
        partitions: Sequence[Partition] | None = None,
    ) -> Reading:
        """Return a snapshot as files and columns."""
        with self._database.read() as tx:
            snapshot = _head(tx, workspace, name, None) if at is None else at
            lineage.require_readable(tx, workspace, name, snapshot)
        table = self._parts.catalog.load(workspace, name)
        if table is None:
            raise not_in_catalog(name)
        if table.metadata.snapshot_by_id(snapshot) is None:
            raise SnapshotGone(f"{snapshot} of the table {name} has expired", hint="Read what is published now.")
        from penstock.storage.tables import reading

        return reading.read(table, name, snapshot, partitions=partitions)

    def local(self, pinned: Reading, folder: Path) -> AbstractContextManager[Reading]:
        """Give a reading whose files are local."""
        if self._parts.catalog.local:
            return contextlib.nullcontext(pinned)
        from penstock.storage.tables import reading

        return reading.fetched(pinned, self._parts.catalog.files(), folder)

    def history(
        self, workspace: WorkspaceId, name: TableName, *, count: int = 20, before: SnapshotId | None = None
    ) -> Sequence[Lineage]:
        """Return what readers of a table have seen, the newest first; before a snapshot, if one is named."""
        with self._database.read() as tx:
            journal.shown(tx, workspace, name)
            return lineage.history(tx, workspace, name, count=count, before=before)

    def lineage(self, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId) -> Lineage:
        """Return where a snapshot comes from."""
        with self._database.read() as tx:
            return lineage.of_snapshot(tx, workspace, name, snapshot)

    def uses(
        self, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId
    ) -> Sequence[tuple[TableName, SnapshotId]]:
        """Return the snapshots that were made from one."""
        with self._database.read() as tx:
            return lineage.uses(tx, workspace, name, snapshot)

    def pin(self, workspace: WorkspaceId, run: RunId, pins: Mapping[TableName, SnapshotId]) -> None:
        """Keep snapshots from expiring until the run lets go of them."""
        self._database.write(lambda tx: lineage.pin(tx, workspace, run, pins))

    def unpin(self, workspace: WorkspaceId, run: RunId) -> None:
        """Let go of what a run has pinned."""
        self._database.write(lambda tx: lineage.unpin(tx, workspace, run))

    def begin(self, order: WriteOrder) -> Writing:
        """Begin a write."""
        return self._writer.begin(order)

    def commit(self, writing: Writing, files: Sequence[Path]) -> Written:
        """Commit Parquet files to the run's branch."""
        return self._writer.commit(writing, files)

    def publish(
        self,
        workspace: WorkspaceId,
        run: RunId,
        *,
        piece: str = "",
        tables: Sequence[TableName] | None = None,
        read_whole: Collection[TableName] = (),
        then: Callable[[Any], None] | None = None,
    ) -> Sequence[Published]:
        """Make what a run has written what readers see."""
        return self._publisher.publish(workspace, run, piece=piece, tables=tables, read_whole=read_whole, then=then)

    def discard(self, workspace: WorkspaceId, run: RunId) -> None:
        """Drop what a run has written and not published."""
        self._publisher.discard(workspace, run)

    def rollback(self, workspace: WorkspaceId, name: TableName, to: SnapshotId) -> Published:
        """Make readers see an earlier published snapshot again."""
        return self._publisher.rollback(workspace, name, to)

    def maintain(self, workspace: WorkspaceId, name: TableName) -> Maintained:
        """Compact, expire, and delete what nothing refers to."""
        return self._keeper.maintain(workspace, name)

    def recover(self) -> int:
        """Finish what a kill has left half-way in publishing."""
        with self._database.read() as tx:
            left = journal.pending(tx)
        return self._publisher.recover() if left else 0

    @property
    def _parts(self) -> Parts:
        return self._iceberg().parts

    @property
    def _writer(self) -> Writer:
        return self._iceberg().writer

    @property
    def _publisher(self) -> Publisher:
        return self._iceberg().publisher

    @property
    def _keeper(self) -> Keeper:
        return self._iceberg().keeper

    def _iceberg(self) -> _Made:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made

    def _make(self) -> _Made:
        from penstock.storage.tables.footers import read_footers
        from penstock.storage.tables.maintenance import Keeper
        from penstock.storage.tables.parts import Parts
        from penstock.storage.tables.publishing import Publisher
        from penstock.storage.tables.writing import Writer

        catalog = self._catalog() if callable(self._catalog) else self._catalog
        leases = Leases(self._database, self._clock, lease_s=self._lease_s)
        parts = Parts(self._database, catalog, leases, self._clock, self._footers or read_footers, self._step)
        publisher = Publisher(parts)
        return _Made(parts, Writer(parts), publisher, Keeper(parts, publisher, self._rewrite))


def _head(tx: Any, workspace: WorkspaceId, name: TableName, branch: str | None) -> SnapshotId:
    write = None if branch is None else journal.read(tx, workspace, branch, name)
    if write is not None and write.head is not None and write.state in ("written", "published"):
        return write.head
    snapshot = journal.shown(tx, workspace, name)
    if snapshot is None:
        raise NotFound(f"nothing of the table {name} is published", hint="Run the pipeline that writes it.")
    return snapshot
