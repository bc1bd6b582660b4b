"""The port of the lake: tables that are written on branches and published at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId
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
)


class Lake(Protocol):
    """Tables of all workspaces: written on branches, published at once, read by snapshot.

    No method takes or gives rows: engines read files and write files. Every method may raise LakeUnavailable,
    DatabaseUnavailable or TableBusy; the same call may then work later.
    """

    def tables(self, workspace: WorkspaceId) -> Sequence[TableState]:
        """Return the tables of a workspace, by name, as readers see them at one moment."""

    def heads(
        self, workspace: WorkspaceId, names: Sequence[TableName], *, run: RunId | None = None, piece: str = ""
    ) -> Mapping[TableName, SnapshotId]:
        """Return the snapshots to read, of one moment: what is published, or what the run or its piece has written.

        Raises:
            NotFound: when a table is not there, or nothing of it is published.
        """

    def read(
        self,
        workspace: WorkspaceId,
        name: TableName,
        *,
        at: SnapshotId | None = None,
        partitions: Sequence[Partition] | None = None,
    ) -> Reading:
        """Return a snapshot as files and columns.

        Args:
            workspace: whose table.
            name: of the table.
            at: the snapshot; what is published when not given.
            partitions: only files of these; each is a value for every partition column.

        Raises:
            NotFound: when there is no such table, or nothing of it is published.
            SnapshotGone: when the snapshot has expired, or never was.
            TableUnreadable: when it cannot be read by files without the risk of being wrong.
            RequestInvalid: when the table has no such partitions.
        """

    def local(self, reading: Reading, folder: Path) -> AbstractContextManager[Reading]:
        """Give a reading whose files are local, as they are or fetched into a folder, removed afterwards."""

    def history(
        self, workspace: WorkspaceId, name: TableName, *, count: int = 20, before: SnapshotId | None = None
    ) -> Sequence[Lineage]:
        """Return what readers of a table have seen, the newest first; before a snapshot, if one is named."""

    def lineage(self, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId) -> Lineage:
        """Return where a snapshot comes from.

        Raises:
            SnapshotGone: when there never was such a snapshot.
        """

    def uses(
        self, workspace: WorkspaceId, name: TableName, snapshot: SnapshotId
    ) -> Sequence[tuple[TableName, SnapshotId]]:
        """Return the snapshots that were made from one."""

    def pin(self, workspace: WorkspaceId, run: RunId, pins: Mapping[TableName, SnapshotId]) -> None:
        """Keep snapshots from expiring until the run lets go of them.

        Raises:
            SnapshotGone: when one has expired already.
        """

    def unpin(self, workspace: WorkspaceId, run: RunId) -> None:
        """Let go of what a run has pinned."""

    def begin(self, order: WriteOrder) -> Writing:
        """Begin a write: the table is made when it is new, and every column has an id afterwards.

        The same run, task, part and fingerprint again gives what was done, to be skipped. Another fingerprint of the
        same run replaces what that run had written before.

        Raises:
            SchemaRefused: when the columns do not fit those of the table.
            TableOwned: when another task writes the table.
            Conflict: when the table is partitioned in another way.
        """

    def commit(self, writing: Writing, files: Sequence[Path]) -> Written:
        """Commit Parquet files to the run's branch; nobody else sees them. The files are gone afterwards.

        Args:
            writing: what `begin` gave.
            files: each with the field ids of the columns, and with rows of one partition; none at all is fine.

        Raises:
            FileRefused: when a file is not one that the table can take.
            RowsOutside: when rows lie outside of the partitions that are replaced.
            NeedsRerun: when the table has changed so that the files do not fit any more.
        """

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
        """Make what a run has written what readers see: all of its tables at one moment.

        A table that was published by another run meanwhile is put on top of that, when the result did not depend on
        it. Publishing again what is published returns the same and changes nothing.

        Args:
            workspace: of the run.
            run: whose tables.
            piece: of the run, as in `Author`: only what it has written, on a branch of its own.
            tables: only these.
            read_whole: tables whose every row something else of the run depends on: when one was published by another
                run meanwhile, it is put on top of that on the run's branch, and nothing is published yet.
            then: done in the same transaction, such as recording a cursor; and only once: of a run that has nothing to
                publish that was not published before, it was done then. A cursor that moves without rows goes with a
                commit of no files.

        Raises:
            NeedsRerun: when the result depends on what another run has changed; nothing is published then.
            Conflict: when another program has moved a table's `main`.
        """

    def discard(self, workspace: WorkspaceId, run: RunId) -> None:
        """Drop what a run has written and not published."""

    def rollback(self, workspace: WorkspaceId, name: TableName, to: SnapshotId) -> Published:
        """Make readers see an earlier published snapshot again.

        Raises:
            SnapshotGone: when it has expired, or was never published.
        """

    def maintain(self, workspace: WorkspaceId, name: TableName) -> Maintained:
        """Compact small files, expire old snapshots, delete files that nothing has referred to for a day."""

    def recover(self) -> int:
        """Finish what a kill has left half-way in publishing; return how many tables that concerned."""
