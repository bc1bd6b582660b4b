"""Commits to a table's metadata: each asserts what it relies on, so that one which lost a race changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSnapshotUpdate,
    AssertLastAssignedFieldId,
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSpecUpdate,
    SetSnapshotRefUpdate,
)

from penstock.core import limits
from penstock.core.errors import TableBusy
from penstock.core.tables import SnapshotId
from penstock.storage.tables.catalog import reporting


class CommitLost(Exception):
    """Somebody else has committed to the table in between; nothing was changed."""


def main_of(table: Table) -> SnapshotId | None:
    """Return the snapshot that `main` is at; None for a table where nothing was published."""
    return head_of(table, MAIN_BRANCH)


def head_of(table: Table, branch: str) -> SnapshotId | None:
    """Return the snapshot that a branch is at; None when there is no such branch."""
    ref = table.metadata.refs.get(branch)
    return None if ref is None else SnapshotId(ref.snapshot_id)


def schema_of(table: Table, snapshot: SnapshotId) -> Schema:
    """Return the columns that a snapshot was written with."""
    found = table.metadata.snapshot_by_id(snapshot)
    assert found is not None, f"{snapshot} is a snapshot of {table.name()}"
    schema_id = table.metadata.current_schema_id if found.schema_id is None else found.schema_id
    return table.metadata.schema_by_id(schema_id) or table.metadata.schema()


def add_schema(table: Table, schema: Schema) -> None:
    """Add a schema that nobody sees yet: a snapshot refers to it, and `main` takes it over with that snapshot."""
    known = _last_id_as_seen(table)
    _commit(table, (_new_schema(schema),), (known,))


def lay_out_anew(table: Table, schema: Schema, spec: PartitionSpec | None) -> None:
    """Give a table that nobody has seen other columns, and another partitioning."""
    assert main_of(table) is None, "readers see this table"
    known = _last_id_as_seen(table)
    updates: tuple[Any, ...] = (_current_schema(schema.schema_id),)
    if table.metadata.schema_by_id(schema.schema_id) is None:
        updates = (_new_schema(schema), *updates)
    if spec is not None:
        if spec.spec_id not in table.metadata.specs():
            updates += (AddPartitionSpecUpdate.model_validate({"spec": spec}),)
        updates += (SetDefaultSpecUpdate.model_validate({"spec-id": spec.spec_id}),)
    _commit(table, updates, (known, _ref_at(MAIN_BRANCH, None)))


def put_on_branch(
    table: Table,
    snapshot: Snapshot,
    branch: str,
    *,
    schema: Schema | None = None,
    instead_of: Collection[SnapshotId] = (),
) -> None:
    """Add a snapshot, and its schema when that is new, and move a branch to it; the branch may be new.

    Args:
        table: with current metadata.
        snapshot: new.
        branch: a run's.
        schema: to be added.
        instead_of: earlier snapshots of the same branch, which go: a table's metadata does not grow with a run's parts.

    Raises:
        CommitLost: when the branch has moved since the table was loaded.
    """
    updates: tuple[Any, ...] = (
        AddSnapshotUpdate.model_validate({"snapshot": snapshot}),
        _set_ref(branch, SnapshotId(snapshot.snapshot_id)),
    )
    if schema is not None:
        updates = (_new_schema(schema), *updates)
    if instead_of:
        updates += (RemoveSnapshotsUpdate.model_validate({"snapshot-ids": list(instead_of)}),)
    # Of a table without any snapshot Iceberg lets nothing be asserted but that of `main`.
    known = _ref_at(branch, head_of(table, branch)) if table.metadata.snapshots else _ref_at(MAIN_BRANCH, None)
    _commit(table, updates, (known,))


def move_main(table: Table, head: SnapshotId, *, remove: str | None) -> None:
    """Move `main` to a snapshot, with the columns of that snapshot, and remove a branch.

    Raises:
        CommitLost: when either has moved since the table was loaded.
    """
    schema_id = schema_of(table, head).schema_id
    updates: tuple[Any, ...] = (_set_ref(MAIN_BRANCH, head),)
    if schema_id != table.metadata.current_schema_id:
        updates = (_current_schema(schema_id), *updates)
    known: tuple[Any, ...] = (_ref_at(MAIN_BRANCH, main_of(table)),)
    if remove is not None and (old := head_of(table, remove)) is not None:
        updates += (_remove_ref(remove),)
        known += (_ref_at(remove, old),)
    _commit(table, updates, known)


def remove_branch(table: Table, branch: str) -> None:
    """Remove a branch; its snapshots expire later."""
    head = head_of(table, branch)
    if head is not None:
        known = _ref_at(branch, head)
        _commit(table, (_remove_ref(branch),), (known,))


def remove_snapshots(table: Table, snapshots: Collection[SnapshotId]) -> None:
    """Remove snapshots that nothing refers to.

    Iceberg would remove a branch together with the snapshot it is at, `main` too; so every branch is asserted to be
    where it was seen, and none of the snapshots to be at the head of one.

    Raises:
        CommitLost: when a branch has moved since the table was loaded.
    """
    heads = {ref.snapshot_id for ref in table.metadata.refs.values()}
    assert not heads & set(snapshots), "no head of a branch expires"
    known = [_ref_at(name, SnapshotId(ref.snapshot_id)) for name, ref in table.metadata.refs.items()]
    _commit(table, (RemoveSnapshotsUpdate.model_validate({"snapshot-ids": list(snapshots)}),), tuple(known))


def lost_too_often(name: str) -> TableBusy:
    """Return the error of a commit that lost against others again and again."""
    return TableBusy(
        f"commits to the table {name} lost against others {limits.LAKE_TRIES.value} times",
        hint="Try again; if it stays, look for another program that writes to the table.",
        retry_after_s=1,
    )


def _commit(table: Table, updates: tuple[Any, ...], requirements: tuple[Any, ...]) -> None:
    known = AssertTableUUID.model_validate({"uuid": table.metadata.table_uuid})
    try:
        with reporting():
            # What pyiceberg's own transactions end with. They cannot be used: of several requirements of one kind,
            # such as the heads of two branches, they keep only the first.
            table._do_commit(updates=updates, requirements=(known, *requirements))  # noqa: SLF001  # see above
    except CommitFailedException as error:
        raise CommitLost(str(error)) from error
    except ValueError as error:
        if "sequence number" in str(error):  # another branch of the same table was faster
            raise CommitLost(str(error)) from error
        raise


def _ref_at(name: str, snapshot: SnapshotId | None) -> AssertRefSnapshotId:
    return AssertRefSnapshotId.model_validate({"ref": name, "snapshot-id": snapshot})


def _set_ref(name: str, snapshot: SnapshotId) -> SetSnapshotRefUpdate:
    return SetSnapshotRefUpdate.model_validate({"ref-name": name, "type": "branch", "snapshot-id": snapshot})


def _remove_ref(name: str) -> RemoveSnapshotRefUpdate:
    return RemoveSnapshotRefUpdate.model_validate({"ref-name": name})


def _new_schema(schema: Schema) -> AddSchemaUpdate:
    return AddSchemaUpdate.model_validate({"schema": schema})


def _current_schema(schema_id: int) -> SetCurrentSchemaUpdate:
    return SetCurrentSchemaUpdate.model_validate({"schema-id": schema_id})


def _last_id_as_seen(table: Table) -> AssertLastAssignedFieldId:
    return AssertLastAssignedFieldId.model_validate({"last-assigned-field-id": table.metadata.last_column_id})
