"""Writing to a table: a run begins, its engine writes Parquet files, and they are committed to the run's branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from penstock.base.ids import new_id
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.columns import Column, union, with_ids, without_ids
from penstock.core.errors import Conflict, NeedsRerun, RequestInvalid, SchemaRefused, TooLarge
from penstock.core.tables import SnapshotId, TableName, WriteOrder, Writing, Written
from penstock.storage.tables import commits, journal, lineage
from penstock.storage.tables.catalog import partition_spec, reporting
from penstock.storage.tables.commits import CommitLost
from penstock.storage.tables.data_files import check_partitions, check_values, data_file, layout, stored_partitions
from penstock.storage.tables.intake import check_file, take_in
from penstock.storage.tables.journal import Write
from penstock.storage.tables.leases import Held, LeaseLost
from penstock.storage.tables.manifests import Change, Replaced, write_snapshot
from penstock.storage.tables.parts import Parts
from penstock.storage.tables.settling import settle
from penstock.storage.tables.types import columns_of_iceberg, iceberg_schema

T = TypeVar("T")

_KEY: Final = "penstock."  # of what is kept with each snapshot
_SEEN_MAX: Final = 100
REBASED: Final = f"{_KEY}rebased"


@dataclass(frozen=True, slots=True)
class Writer:
    """Begins writes and commits them.

    Attributes:
        seen: tables as they were when last loaded.
    """

    parts: Parts
    seen: dict[tuple[WorkspaceId, TableName], Table] = field(default_factory=dict)

    def begin(self, order: WriteOrder) -> Writing:
        """Begin a write; see the port."""
        _check_order(order)
        now = self.parts.clock()
        write, done = self.parts.database.write(lambda tx: journal.begin(tx, order, now=now))
        if write.state == "published" and done is None:  # its last part, by a process that was killed
            settle(self.parts, order.workspace, order.table)
            write, done = self.parts.database.write(lambda tx: journal.begin(tx, order, now=now))
        self.parts.step("begin.recorded")
        if done is not None:
            return Writing(order, (), write.base, done)
        table = self._table(order)
        columns = self._columns(table, write, order)
        if columns is None:
            columns = self._with_lease(order, lambda held: self._change_columns(held, order))
        return Writing(order, columns, write.base)

    def commit(self, writing: Writing, files: Sequence[Path]) -> Written:
        """Commit files to the run's branch; see the port."""
        order = writing.order
        assert writing.done is None, "the work is done"
        if len(files) > limits.LAKE_FILES.value:
            raise TooLarge(
                f"{len(files):,} files for one commit; at most {limits.LAKE_FILES.value:,} are taken",
                hint="Write fewer, larger files, or commit in parts.",
            )
        found = self._inspect(writing, files)
        table = self.seen.get((order.workspace, order.table)) or self._table(order)  # its place never changes
        taken = take_in(table, [(path, f"{order.author.run}-{new_id('f')[2:].lower()}.parquet") for path, _ in found])
        self.parts.step("commit.files")
        added = [_at(file, place) for (_, file), place in zip(found, taken, strict=True)]
        return self._with_lease(order, lambda held: self._commit(held, writing, added))

    def _inspect(self, writing: Writing, files: Sequence[Path]) -> list[tuple[Path, DataFile]]:
        """Return each file that has rows, with its record, whose place is not known yet."""
        order = writing.order
        spec = partition_spec(iceberg_schema(writing.columns, schema_id=0), order.partition_by)
        found = []
        for path in files:
            check_file(path)
        for path, facts in zip(files, self.parts.footers(files), strict=True):
            if facts.rows:
                found.append((path, data_file(path.name, facts, writing.columns, spec)))
        if order.mode == "replace_partitions":
            named = [(path.name, file) for path, file in found]
            check_partitions(named, layout(spec, writing.columns), order.partitions)
        return found

    def _commit(self, held: Held, writing: Writing, added: list[DataFile]) -> Written:
        order = writing.order
        self.parts.step("commit.leased")
        table, (write, done) = self._table(order), self._write(order)
        if done is not None:  # by another worker that has the same task and was thought dead
            self.parts.database.write(held.release, durable=False)
            return Written(order.table, done, rows=0, files=0, size_bytes=0, repeated=True)
        if (landed := _find(table, write, order)) is not None:  # a kill came between the commit and its record
            return self._record(held, table, write, order, landed, repeated=True)
        if write.fingerprint != order.author.fingerprint:
            raise _changed(order, "other work of the same run has begun to write to it")
        spec = table.metadata.spec()
        if tuple(field.name for field in spec.fields) != order.partition_by:
            raise _changed(order, "it is partitioned in another way now")
        for file in added:
            file.spec_id = spec.spec_id
        self._record_unrecorded(table, write, order)
        mine = own_snapshots(table, write)
        stays = bool(mine) and property_of(mine[0], "fingerprint") == order.author.fingerprint
        schema = _schema(table, write, writing)
        is_new = table.metadata.schema_by_id(schema.schema_id) is None
        change = Change(
            parent=write.base,
            start=SnapshotId(mine[0].snapshot_id) if stays else None,
            added=added,
            schema=schema,
            spec=spec,
            replaced=_replaced(order),
            properties=_properties(order, mine[0] if stays else None),
        )
        with reporting():
            snapshot = write_snapshot(table, change)
        self.parts.step("commit.snapshot")
        gone = self._unpinned(order, [SnapshotId(one.snapshot_id) for one in mine])
        commits.put_on_branch(table, snapshot, write.branch, schema=schema if is_new else None, instead_of=gone)
        self.parts.step("commit.landed")
        return self._record(held, table, write, order, snapshot, gone=gone, forget=not stays)

    def _record_unrecorded(self, table: Table, write: Write, order: WriteOrder) -> None:
        """Record the branch's last snapshot, when a kill came before that: it is about to be replaced."""
        mine = own_snapshots(table, write)
        if mine and mine[0].snapshot_id != write.head:
            landed, author = journal.landed(mine[0]), journal.author_of(mine[0], project=order.author.project)
            now = self.parts.clock()
            self.parts.database.write(lambda tx: journal.add_snapshot(tx, write, author, landed, now=now))

    def _unpinned(self, order: WriteOrder, snapshots: list[SnapshotId]) -> list[SnapshotId]:
        with self.parts.database.read() as tx:
            pinned = lineage.pinned(tx, order.workspace, order.table)
        return [snapshot for snapshot in snapshots if snapshot not in pinned]

    def _record(
        self,
        held: Held,
        table: Table,
        write: Write,
        order: WriteOrder,
        snapshot: Snapshot,
        *,
        repeated: bool = False,
        gone: Sequence[SnapshotId] = (),
        forget: bool = False,
    ) -> Written:
        landed = journal.landed(snapshot)
        summary = {} if snapshot.summary is None else snapshot.summary.additional_properties
        written = replace(
            write,
            state="written",
            head=commits.head_of(table, write.branch) or landed.snapshot,
            schema=snapshot.schema_id,
            depends=write.depends or order.depends_on_table,
        )
        now = self.parts.clock()

        def record(tx: Any) -> None:
            if forget:
                journal.forget(tx, write)
            lineage.set_expired(tx, order.workspace, order.table, gone, now=now)
            journal.set_write(tx, written, now=now)
            journal.add_snapshot(tx, written, order.author, landed, now=now, inputs=order.inputs)
            held.release(tx)

        self.parts.database.write(record)
        self.parts.step("commit.recorded")
        return Written(
            table=order.table,
            snapshot=landed.snapshot,
            rows=landed.rows_added,
            files=int(summary.get("added-data-files", 0)),
            size_bytes=int(summary.get("added-files-size", 0)),
            repeated=repeated,
        )

    def _columns(self, table: Table, write: Write, order: WriteOrder) -> tuple[Column, ...] | None:
        """Return the columns to write with; None when the table must be told of new ones first."""
        base = _base_columns(table, write)
        wanted = with_ids(base, order.columns, last_id=table.metadata.last_column_id)
        names = tuple(field.name for field in table.metadata.spec().fields)
        if names != order.partition_by:
            if commits.main_of(table) is None and write.head is None:
                return None
            raise Conflict(
                f"the table {order.table} is partitioned by {', '.join(names) or 'nothing'}, not by"
                f" {', '.join(order.partition_by) or 'nothing'}",
                hint="Keep the partitioning, or write to a table of another name.",
            )
        schema = _known_schema(table, _base_schema(table, write), wanted)
        if schema is None:
            return None
        if write.schema != schema.schema_id:
            self.parts.database.write(lambda tx: journal.set_schema(tx, write, schema.schema_id), durable=False)
        return columns_of_iceberg(schema)

    def _change_columns(self, held: Held, order: WriteOrder) -> tuple[Column, ...]:
        table, (write, _) = self._table(order), self._write(order)
        base = _base_columns(table, write)
        wanted = with_ids(base, order.columns, last_id=table.metadata.last_column_id)
        if not base:
            wanted = _with_partition_ids(table, wanted)
        schema = _known_schema(table, _base_schema(table, write), wanted)
        if schema is None:
            schema_id = max(schema.schema_id for schema in table.metadata.schemas) + 1
            schema = iceberg_schema(wanted, schema_id=schema_id)
        if commits.main_of(table) is None:
            spec = _other_spec(table, schema, order)
            if spec is not None and (other := self._other_writers(order)):
                raise _changed(order, f"the run {other} writes it too, partitioned in another way")
            commits.lay_out_anew(table, schema, spec)
        elif table.metadata.schema_by_id(schema.schema_id) is None:
            commits.add_schema(table, schema)
        self.parts.step("begin.schema")

        def record(tx: Any) -> None:
            journal.set_schema(tx, write, schema.schema_id)
            held.release(tx)

        self.parts.database.write(record)
        return columns_of_iceberg(schema)

    def _other_writers(self, order: WriteOrder) -> str | None:
        with self.parts.database.read() as tx:
            others = journal.of_table(tx, order.workspace, order.table)
        return next(
            (write.run for write in others if write.branch != order.author.branch and write.head is not None), None
        )

    def _table(self, order: WriteOrder) -> Table:
        table = self.parts.catalog.load(order.workspace, order.table)
        if table is None:
            columns = with_ids((), order.columns, last_id=0)
            table = self.parts.catalog.create(order.workspace, order.table, columns, order.partition_by)
            self.parts.step("begin.created")
        if len(self.seen) >= _SEEN_MAX:
            self.seen.clear()
        self.seen[order.workspace, order.table] = table
        return table

    def _write(self, order: WriteOrder) -> tuple[Write, SnapshotId | None]:
        with self.parts.database.read() as tx:
            done = journal.same_work(tx, order)
            write = journal.read(tx, order.workspace, order.author.branch, order.table)
        if write is None or (write.state not in ("open", "written") and done is None):
            raise _changed(order, "the run's writing to it was ended meanwhile")
        return write, done

    def _with_lease(self, order: WriteOrder, work: Callable[[Held], T]) -> T:
        for _ in range(limits.LAKE_TRIES.value):
            try:
                with self.parts.leases.hold(order.workspace, [order.table]) as held:
                    return work(held)
            except (LeaseLost, CommitLost):
                continue
        raise commits.lost_too_often(order.table)


def chain(table: Table, head: SnapshotId | None, base: SnapshotId | None) -> list[Snapshot]:
    """Return the snapshots that lead from a base to a head, the last first, the base left out."""
    found: list[Snapshot] = []
    while head is not None and head != base:
        snapshot = table.metadata.snapshot_by_id(head)
        if snapshot is None:
            break
        found.append(snapshot)
        head = None if snapshot.parent_snapshot_id is None else SnapshotId(snapshot.parent_snapshot_id)
    return found


def property_of(snapshot: Snapshot, name: str) -> str:
    """Return what is kept with a snapshot under a name of ours; empty when it is not ours."""
    return "" if snapshot.summary is None else str(snapshot.summary.additional_properties.get(_KEY + name, ""))


def replaced_by(snapshot: Snapshot) -> Replaced:
    """Return what a run has replaced in its base, up to this snapshot of it."""
    kept: Any = orjson.loads(property_of(snapshot, "replaced") or '"nothing"')
    return kept if isinstance(kept, str) else frozenset(tuple(partition) for partition in kept)  # type: ignore[return-value]  # one of two


def properties_of(snapshot: Snapshot) -> dict[str, str]:
    """Return everything of ours that is kept with a snapshot."""
    summary = {} if snapshot.summary is None else snapshot.summary.additional_properties
    return {name: value for name, value in summary.items() if name.startswith(_KEY)}


def _base_schema(table: Table, write: Write) -> Schema | None:
    """Return the columns that a run builds on: its own when it has some, else those that readers saw when it began."""
    if write.schema is not None:
        return table.metadata.schema_by_id(write.schema)
    if write.base is None or table.metadata.snapshot_by_id(write.base) is None:
        return None
    return commits.schema_of(table, write.base)


def _base_columns(table: Table, write: Write) -> tuple[Column, ...]:
    schema = _base_schema(table, write)
    return () if schema is None else columns_of_iceberg(schema)


def _known_schema(table: Table, base: Schema | None, wanted: Sequence[Column]) -> Schema | None:
    """Return a schema of the table that has these columns, be it one that another run has added and not published.

    Two runs that add the same column then give it the same id, and neither has to run again. Schemas from before the
    base do not count: a column that was dropped since must not come back with the values it had.
    """
    names = [(column.name, without_ids(column.type)) for column in wanted]
    known = () if base is None else columns_of_iceberg(base)
    oldest = 0 if base is None else base.schema_id
    for schema in reversed(table.metadata.schemas):
        columns = columns_of_iceberg(schema)
        same = [(column.name, without_ids(column.type)) for column in columns] == names
        if schema.schema_id >= oldest and same and all(a.id == b.id for a, b in zip(known, columns, strict=False)):
            return schema
    return None


def _schema(table: Table, write: Write, writing: Writing) -> Schema:
    """Return the schema of a new snapshot: what the journal has, and what this write has added at the same time."""
    known = None if write.schema is None else table.metadata.schema_by_id(write.schema)
    mine = () if known is None else columns_of_iceberg(known)
    try:
        return schema_with(table, union(mine, writing.columns))
    except SchemaRefused as error:
        raise _changed(writing.order, error.message) from error


def schema_with(table: Table, columns: Sequence[Column]) -> Schema:
    """Return the schema of a table that has exactly these columns; a new one when there is none."""
    for schema in reversed(table.metadata.schemas):
        if columns_of_iceberg(schema) == tuple(columns):
            return schema
    return iceberg_schema(columns, schema_id=max(schema.schema_id for schema in table.metadata.schemas) + 1)


def _with_partition_ids(table: Table, wanted: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of a table that nobody has published yet, those that it is partitioned by with their old ids.

    Else the branch of a run that failed, and wrote other columns, would keep all others from writing the table.
    """
    fields = {field.source_id for field in table.metadata.spec().fields}
    known = {column.name: column for column in columns_of_iceberg(table.schema()) if column.id in fields}
    return tuple(
        replace(column, id=known[column.name].id)
        if column.name in known and known[column.name].type == column.type
        else column
        for column in wanted
    )


def _other_spec(table: Table, schema: Schema, order: WriteOrder) -> Any:
    names = tuple(field.name for field in table.metadata.spec().fields)
    sources = {field.source_id for field in table.metadata.spec().fields}
    if names == order.partition_by and sources <= {field.field_id for field in schema.fields}:
        return None
    return partition_spec(schema, order.partition_by, spec_id=max(table.metadata.specs()) + 1)


def own_snapshots(table: Table, write: Write) -> list[Snapshot]:
    """Return the snapshots of a run's writing, the last first.

    The branch may be ahead of the journal when a kill came in between; it may also have been put on another base, and
    then the journal is right.
    """
    mine = chain(table, commits.head_of(table, write.branch), write.base)
    if not all(
        (property_of(one, "run"), property_of(one, "piece")) == (write.run, write.piece)
        and REBASED not in properties_of(one)
        for one in mine
    ):
        mine = chain(table, write.head, write.base)
    return mine


def _find(table: Table, write: Write, order: WriteOrder) -> Snapshot | None:
    """Return the snapshot on the branch that is the same work."""
    author = order.author
    wanted = {
        "run": author.run,
        "piece": author.piece,
        "task": author.task,
        "part": author.part,
        "fingerprint": author.fingerprint,
    }
    for snapshot in chain(table, commits.head_of(table, write.branch), write.base):
        same = all(property_of(snapshot, name) == value for name, value in wanted.items())
        if same and REBASED not in properties_of(snapshot):
            return snapshot
    return None


def _properties(order: WriteOrder, before: Snapshot | None) -> dict[str, str]:
    author = order.author
    replaced = _together("nothing" if before is None else replaced_by(before), _replaced(order))
    kept = {
        "run": author.run,
        "piece": author.piece,
        "task": author.task,
        "part": author.part,
        "fingerprint": author.fingerprint,
        "version": author.version,
        "mode": order.mode,
        "replaced": orjson.dumps(replaced if isinstance(replaced, str) else sorted(replaced, key=repr)).decode(),
    }
    return {_KEY + name: str(value) for name, value in kept.items() if value or name != "piece"}


def _together(one: Replaced, other: Replaced) -> Replaced:
    if "everything" in (one, other):
        return "everything"
    partitions = frozenset[tuple[Any, ...]]().union(*(each for each in (one, other) if not isinstance(each, str)))
    return partitions or "nothing"


def _replaced(order: WriteOrder) -> Replaced:
    if order.mode == "replace_table":
        return "everything"
    return stored_partitions(order.partitions) if order.mode == "replace_partitions" else "nothing"


def _at(file: DataFile, place: str) -> DataFile:
    file._data[1] = place  # noqa: SLF001  # the record of a file has no setter for its place
    return file


def _check_order(order: WriteOrder) -> None:
    if order.mode == "replace_partitions":
        if not order.partition_by:
            raise RequestInvalid(
                f"the table {order.table} has no partitions to replace",
                hint="Say what it is partitioned by, or replace the whole table.",
            )
        if len(order.partitions) > limits.LAKE_FILES.value:
            raise TooLarge(
                f"{len(order.partitions):,} partitions in one commit; {limits.LAKE_FILES.value:,} at most are replaced",
                hint="Commit in parts, or replace the whole table.",
            )
        check_values(order.table, order.partition_by, order.partitions)


def _changed(order: WriteOrder, what: str) -> NeedsRerun:
    return NeedsRerun(
        f"the table {order.table} has changed since the task began to write: {what}",
        hint="The task is run again on what the table holds now.",
        tables=(order.table,),
    )
