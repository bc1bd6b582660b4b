"""Publishing: what a run has written becomes what readers see, all tables of the run in one transaction.

That transaction of the records database is the moment. Moving Iceberg's `main` comes after it, so that programs which
read the tables themselves follow; a kill in between is made good by whoever holds the table's lease next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.columns import union
from penstock.core.errors import Conflict, NeedsRerun, SchemaRefused, SnapshotGone
from penstock.core.plan import RunId
from penstock.core.tables import Published, SnapshotId, TableName, branch_name
from penstock.storage.tables import commits, journal, lineage
from penstock.storage.tables.belonging import not_of_records
from penstock.storage.tables.catalog import reporting
from penstock.storage.tables.commits import CommitLost
from penstock.storage.tables.expiry import expire
from penstock.storage.tables.journal import Landed, Write
from penstock.storage.tables.leases import Held, LeaseLost
from penstock.storage.tables.manifests import Change, live_files, write_snapshot
from penstock.storage.tables.parts import Parts
from penstock.storage.tables.settling import move, settle, settle_held
from penstock.storage.tables.types import columns_of_iceberg
from penstock.storage.tables.writing import (
    REBASED,
    chain,
    own_snapshots,
    properties_of,
    property_of,
    replaced_by,
    schema_with,
)

_ROLLBACK: Final = "rollback"  # begins the names of the runs that rollbacks are in the journal


@dataclass(frozen=True, slots=True)
class _Ready:
    """A writing that stands on what readers see.

    Attributes:
        landed: its head, when it had to be put there.
        instead_of: the head that this one replaces then.
    """

    table: Table
    write: Write
    head: SnapshotId
    landed: Landed | None = None
    instead_of: SnapshotId | None = None


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes, rolls back, drops, and makes good what a kill has left."""

    parts: Parts

    def publish(
        self,
        workspace: WorkspaceId,
        run: RunId,
        *,
        piece: str = "",
        tables: Sequence[TableName] | None = None,
        read_whole: Collection[TableName] = (),
        then: Callable[[Any], None] | None = None,
    ) -> tuple[Published, ...]:
        """Publish what a run has written; see the port."""
        for _ in range(limits.LAKE_TRIES.value):
            writes = self._writes(workspace, branch_name(run, piece), tables)
            todo = [write for write in writes if write.state == "written"]
            if not todo:
                return self._again(workspace, run, writes, then)
            try:
                return self._publish(workspace, todo, read_whole, then)
            except (LeaseLost, CommitLost):
                continue
        raise commits.lost_too_often(todo[0].name)

    def rollback(self, workspace: WorkspaceId, name: TableName, to: SnapshotId) -> Published:
        """Make readers see an earlier snapshot again; see the port."""
        for _ in range(limits.LAKE_TRIES.value):
            try:
                return self._rollback(workspace, name, to)
            except (LeaseLost, CommitLost):
                continue
        raise commits.lost_too_often(name)

    def discard(self, workspace: WorkspaceId, run: RunId) -> None:
        """Drop what a run has written and not published; see the port."""
        with self.parts.database.read() as tx:
            writes = journal.of_run(tx, workspace, run)
        for write in writes:
            if write.state in ("open", "written"):
                self._discard(write)

    def recover(self) -> int:
        """Move every `main` that a kill kept from being moved; return how many."""
        with self.parts.database.read() as tx:
            left = journal.pending(tx)
        for write in left:
            settle(self.parts, write.workspace, write.name)
        return len(left)

    def _publish(
        self,
        workspace: WorkspaceId,
        todo: list[Write],
        read_whole: Collection[TableName],
        then: Callable[[Any], None] | None,
    ) -> tuple[Published, ...]:
        names = [write.name for write in todo]
        with self.parts.leases.hold(workspace, names) as held:
            self.parts.step("publish.leased")
            for name in names:
                settle_held(self.parts, workspace, name)
            with self.parts.database.read() as tx:
                known = {write.name: write for write in journal.of_branch(tx, workspace, todo[0].branch)}
                seen = {name: journal.shown(tx, workspace, name) for name in names}
            if any(known[name].state != "written" for name in names):
                raise CommitLost("another process publishes the same run")
            ready, outdated = self._put_on_top([known[name] for name in names], seen)
            self.parts.step("publish.ready")
            moved = [one for one in ready if one.landed is not None and one.write.name in read_whole]
            if outdated or moved:
                raise self._keep(held, ready, outdated, moved)
            self._show(held, ready, then)
            self.parts.step("publish.recorded")
            for one in ready:
                move(one.table, one.write)
                self.parts.step("publish.moved")
            self._finish(held, [(one.table, one.write) for one in ready])
        return tuple(Published(one.write.name, one.head, seen[one.write.name]) for one in ready)

    def _put_on_top(
        self, writes: Sequence[Write], seen: Mapping[TableName, SnapshotId | None]
    ) -> tuple[list[_Ready], list[tuple[Write, NeedsRerun]]]:
        """Return the writings that stand on what readers see, and others with the reason why they cannot."""
        ready, outdated = [], []
        for write in writes:
            try:
                ready.append(self._on_top(write, seen[write.name]))
            except NeedsRerun as error:
                outdated.append((write, error))
        return ready, outdated

    def _keep(
        self,
        held: Held,
        ready: Sequence[_Ready],
        outdated: Sequence[tuple[Write, NeedsRerun]],
        moved: Sequence[_Ready],
    ) -> NeedsRerun:
        """Record what was put on top of what others have published, and return what is to be done again first.

        What depended on its table has been told so now: when its task comes to the same result again, that stands.
        """
        now = self.parts.clock()

        def keep(tx: Any) -> None:
            held.extend(tx)
            for one in ready:
                if one.landed is not None and one.instead_of is not None:
                    journal.add_rebased(tx, one.write, one.landed, of=one.instead_of, now=now)
                    journal.set_write(tx, one.write, now=now)
            for write, _ in outdated:
                journal.set_write(tx, replace(write, depends=False), now=now)
            held.release(tx)

        self.parts.database.write(keep)
        self.parts.step("publish.kept")
        inputs = tuple(one.write.name for one in moved)
        tables = tuple(write.name for write, _ in outdated)
        words = f"the table {(tables or inputs)[0]} has been published by another run meanwhile"
        words = outdated[0][1].message if outdated else words
        hint = "The tasks that depend on it are run again on what it holds now."
        return NeedsRerun(words, hint=hint, tables=tables, inputs=inputs)

    def _on_top(self, write: Write, seen: SnapshotId | None) -> _Ready:
        """Return a writing whose head stands on what readers see; it is put there when it does not."""
        assert write.head is not None, "it is written"
        table = self._load(write)
        if commits.main_of(table) != seen:
            if seen is None:
                raise not_of_records(write.name)
            raise Conflict(
                f"another program has moved `main` of the table {write.name}",
                hint=f"Look at what it did; `penstock rollback {write.name} --to {seen}` sets it back.",
            )
        mine = own_snapshots(table, write)
        if not mine:
            raise _rerun(write, "what the run has written is gone")
        if mine[0].snapshot_id != write.head:  # a kill came between a commit and its record
            write = replace(write, head=SnapshotId(mine[0].snapshot_id), schema=mine[0].schema_id)
            self._record(write, mine[0])
        assert write.head is not None, "just seen"
        if write.base == seen:
            return _Ready(table, write, write.head)
        if write.depends and not _same_rows(table, write.base, seen):
            raise _rerun(write, "its result depends on what the table held when the run began")
        change = self._rebased(table, write, seen)
        is_new = table.metadata.schema_by_id(change.schema.schema_id) is None
        with reporting():
            snapshot = write_snapshot(table, change)
        commits.put_on_branch(table, snapshot, write.branch, schema=change.schema if is_new else None)
        self.parts.step("publish.rebased")
        landed = journal.landed(snapshot)
        moved = replace(write, base=seen, head=landed.snapshot, schema=change.schema.schema_id)
        return _Ready(table, moved, landed.snapshot, landed, write.head)

    def _record(self, write: Write, snapshot: Snapshot) -> None:
        now = self.parts.clock()

        def record(tx: Any) -> None:
            author = journal.author_of(snapshot, project=journal.project_of(tx, write))
            journal.add_snapshot(tx, write, author, journal.landed(snapshot), now=now)
            journal.set_write(tx, write, now=now)

        self.parts.database.write(record)

    def _rebased(self, table: Table, write: Write, seen: SnapshotId | None) -> Change:
        """Return what the run has changed, as one change on top of what readers see now."""
        mine = chain(table, write.head, write.base)
        before = {file.file_path for file in live_files(table, write.base)}
        added = [file for file in live_files(table, write.head) if file.file_path not in before]
        spec = table.metadata.spec()
        if any(file.spec_id != spec.spec_id for file in added):
            raise _rerun(write, "it is partitioned in another way now")
        theirs = () if seen is None else columns_of_iceberg(commits.schema_of(table, seen))
        ours = columns_of_iceberg(commits.schema_of(table, SnapshotId(mine[0].snapshot_id)))
        try:
            schema = schema_with(table, union(theirs, ours))
        except SchemaRefused as error:
            raise _rerun(write, error.message) from error
        return Change(
            parent=seen,
            added=added,
            schema=schema,
            spec=spec,
            replaced=replaced_by(mine[0]),
            properties={**properties_of(mine[0]), REBASED: str(write.head)},
        )

    def _show(self, held: Held, ready: Sequence[_Ready], then: Callable[[Any], None] | None) -> None:
        now = self.parts.clock()

        def show(tx: Any) -> None:
            held.extend(tx)
            for one in ready:
                if one.landed is not None and one.instead_of is not None:
                    journal.add_rebased(tx, one.write, one.landed, of=one.instead_of, now=now)
                journal.set_write(tx, replace(one.write, state="published"), now=now)
                journal.show(tx, one.write, now=now)
            if then is not None:
                then(tx)

        self.parts.database.write(show)

    def show_same_rows(
        self, held: Held, table: Table, name: TableName, workspace: WorkspaceId, run: RunId, snapshot: Snapshot
    ) -> None:
        """Publish a snapshot that has the same rows as the one before, and end the lease."""
        landed = journal.landed(snapshot)
        write = _upkeep(workspace, name, run, base=landed.parent, head=landed.snapshot)
        now = self.parts.clock()

        def show(tx: Any) -> None:
            held.extend(tx)
            journal.add_write(tx, write, now=now)
            journal.add_compacted(tx, write, landed, now=now)
            journal.show(tx, write, now=now)

        self.parts.database.write(show)
        self.parts.step("compact.recorded")
        move(table, write)
        self._finish(held, [(table, write)])

    def _finish(self, held: Held, writes: Sequence[tuple[Table, Write]]) -> None:
        for table, write in writes:
            expire(self.parts, held, table, write.workspace, write.name)

        def done(tx: Any) -> None:
            for _, write in writes:
                journal.set_write(tx, replace(write, state="done"), now=self.parts.clock())
            held.release(tx)

        self.parts.database.write(done, durable=False)  # lost, it is found by who comes next and done again
        self.parts.step("publish.done")

    def _rollback(self, workspace: WorkspaceId, name: TableName, to: SnapshotId) -> Published:
        with self.parts.leases.hold(workspace, [name]) as held:
            settle_held(self.parts, workspace, name)
            with self.parts.database.read() as tx:
                seen = journal.shown(tx, workspace, name)
                lineage.require_readable(tx, workspace, name, to, published=True)
            write = _upkeep(workspace, name, RunId(new_id(_ROLLBACK)), base=seen, head=to)
            table = self._load(write)
            if table.metadata.snapshot_by_id(to) is None:
                raise SnapshotGone(f"{to} of the table {name} has expired", hint="Choose one that its history lists.")

            def show(tx: Any) -> None:
                held.extend(tx)
                journal.add_write(tx, write, now=self.parts.clock())
                journal.show(tx, write, now=self.parts.clock())

            self.parts.database.write(show)
            self.parts.step("rollback.recorded")
            move(table, write)
            self.parts.step("rollback.moved")
            self._finish(held, [(table, write)])
        return Published(name, to, seen)

    def _discard(self, write: Write) -> None:
        for _ in range(limits.LAKE_TRIES.value):
            try:
                with self.parts.leases.hold(write.workspace, [write.name]) as held:
                    self._drop(held, write)
            except (LeaseLost, CommitLost):
                continue
            return
        raise commits.lost_too_often(write.name)

    def _drop(self, held: Held, write: Write) -> None:
        table = self.parts.catalog.load(write.workspace, write.name)
        if table is not None:
            commits.remove_branch(table, write.branch)
        self.parts.step("discard.removed")

        def drop(tx: Any) -> None:
            journal.forget(tx, write)
            journal.set_write(tx, replace(write, state="dropped", head=None), now=self.parts.clock())
            held.release(tx)

        self.parts.database.write(drop)

    def _writes(self, workspace: WorkspaceId, branch: str, tables: Sequence[TableName] | None) -> list[Write]:
        with self.parts.database.read() as tx:
            writes = journal.of_branch(tx, workspace, branch)
        return [write for write in writes if tables is None or write.name in tables]

    def _again(
        self, workspace: WorkspaceId, run: RunId, writes: list[Write], then: Callable[[Any], None] | None
    ) -> tuple[Published, ...]:
        """Return what the run had published before; a kill came before that could be told."""
        shown = [write for write in writes if write.state in ("published", "done")]
        if not shown and then is not None:
            self.parts.database.write(then)  # nothing was written, and yet there is something to record
        for write in shown:
            if write.state == "published":
                settle(self.parts, workspace, write.name)
        return tuple(Published(write.name, write.head, write.base) for write in shown if write.head is not None)

    def _load(self, write: Write) -> Table:
        table = self.parts.catalog.load(write.workspace, write.name)
        assert table is not None, f"{write.name} stands in the journal"
        return table


def _upkeep(workspace: WorkspaceId, name: TableName, run: RunId, *, base: SnapshotId | None, head: SnapshotId) -> Write:
    """Return what the journal has of a publication that no run of a pipeline has written."""
    return Write(
        branch=run,
        name=name,
        workspace=workspace,
        state="published",
        base=base,
        head=head,
        schema=None,
        fingerprint="",
        number=1,
        depends=False,
    )


def _same_rows(table: Table, base: SnapshotId | None, seen: SnapshotId | None) -> bool:
    """Return whether only files were compacted between two snapshots."""
    between = chain(table, seen, base)
    reached = bool(between) and between[-1].parent_snapshot_id == base
    return reached and all(property_of(snapshot, "mode") == journal.COMPACT for snapshot in between)


def _rerun(write: Write, why: str) -> NeedsRerun:
    return NeedsRerun(
        f"the table {write.name} has been published by another run meanwhile, and {why}",
        hint="The task is run again on what the table holds now.",
        tables=(write.name,),
    )
