"""The journal of the lake in the records database: what each run writes to which table, and what readers see.

    open ── a run is about to write to a table; its base is what was published then
     │
    written ── its branch has a snapshot, the head
     │
    published ── readers see the head, by the table's row here; Iceberg's `main` is yet to be moved
     │
    done ── `main` is moved, the branch is gone

Whatever a kill leaves behind, the next one who holds the table's lease goes on from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from penstock.core.access import WorkspaceId
from penstock.core.errors import NotFound, TableOwned
from penstock.core.plan import RunId, TaskName
from penstock.core.tables import (
    Author,
    SnapshotId,
    TableName,
    WriteOrder,
    piece_of_branch,
    run_of_branch,
)
from penstock.database.statements import Statement

if TYPE_CHECKING:
    from pyiceberg.table.snapshots import Snapshot

COMPACT: Final = "compact"  # the mode of upkeep, and what the names of its runs begin with
WriteState = Literal["open", "written", "published", "done", "dropped"]

_TABLE: Final = Statement("SELECT * FROM lake_tables WHERE workspace = :workspace AND name = :name")
_ADD_TABLE: Final = Statement(
    "INSERT INTO lake_tables (workspace, name, project, task, created_at)"
    " VALUES (:workspace, :name, :project, :task, :now) ON CONFLICT (workspace, name) DO NOTHING"
)
_SHOW: Final = Statement(
    "UPDATE lake_tables SET snapshot = :head, published_at = :now, published_by = :run"
    " WHERE workspace = :workspace AND name = :name"
)
_WRITE: Final = Statement("SELECT * FROM lake_writes WHERE run = :run AND name = :name AND workspace = :workspace")
_OPEN: Final = Statement(
    "INSERT INTO lake_writes (run, name, workspace, state, number, base, fingerprint, depends, at)"
    " VALUES (:run, :name, :workspace, 'open', 1, :base, :fingerprint, :depends, :now)"
    " ON CONFLICT (run, name) DO UPDATE SET state = 'open', number = lake_writes.number + 1, base = excluded.base,"
    " head = NULL, schema = NULL, fingerprint = excluded.fingerprint, depends = excluded.depends, at = excluded.at"
)
_SET: Final = Statement(
    "UPDATE lake_writes SET state = :state, base = :base, head = :head, schema = :schema, depends = :depends, at = :now"
    " WHERE run = :run AND name = :name"
)
_OTHER_WORK: Final = Statement(
    "UPDATE lake_writes SET fingerprint = :fingerprint, schema = NULL, depends = :depends"
    " WHERE run = :run AND name = :name AND fingerprint <> :fingerprint"
)
_SET_SCHEMA: Final = Statement("UPDATE lake_writes SET schema = :schema WHERE run = :run AND name = :name")
_OF_BRANCH: Final = Statement("SELECT * FROM lake_writes WHERE workspace = :workspace AND run = :run ORDER BY name")
_OF_RUN: Final = Statement(
    "SELECT * FROM lake_writes WHERE workspace = :workspace AND substr(run || '.', 1, :length) = :begins"
    " ORDER BY run, name"
)
_PENDING: Final = Statement("SELECT * FROM lake_writes WHERE state = 'published' ORDER BY at")
_OF_TABLE: Final = Statement(
    "SELECT * FROM lake_writes WHERE workspace = :workspace AND name = :name AND state IN ('open', 'written',"
    " 'published') ORDER BY at"
)
_ADD_SNAPSHOT: Final = Statement(
    "INSERT INTO lake_snapshots (workspace, name, snapshot, run, project, task, part, fingerprint, version, mode,"
    " number, parent, rows, rows_added, at)"
    " VALUES (:workspace, :name, :snapshot, :run, :project, :task, :part, :fingerprint, :version, :mode,"
    " :number, :parent, :rows, :rows_added, :now) ON CONFLICT (workspace, name, snapshot) DO NOTHING"
)
_ADD_INPUT: Final = Statement(
    "INSERT INTO lake_inputs (workspace, name, snapshot, input, input_snapshot)"
    " VALUES (:workspace, :name, :snapshot, :input, :input_snapshot)"
    " ON CONFLICT (workspace, name, snapshot, input) DO NOTHING"
)
_COPY_INPUTS: Final = Statement(
    "INSERT INTO lake_inputs (workspace, name, snapshot, input, input_snapshot)"
    " SELECT workspace, name, :snapshot, input, input_snapshot FROM lake_inputs"
    " WHERE workspace = :workspace AND name = :name AND snapshot = :of"
    " ON CONFLICT (workspace, name, snapshot, input) DO NOTHING"
)
_SNAPSHOT_SHOWN: Final = Statement(
    "UPDATE lake_snapshots SET published_at = :now"
    " WHERE workspace = :workspace AND name = :name AND snapshot = :head AND published_at IS NULL"
)
_SNAPSHOT: Final = Statement(
    "SELECT * FROM lake_snapshots WHERE workspace = :workspace AND name = :name AND snapshot = :snapshot"
)
_SAME_WORK: Final = Statement(
    "SELECT * FROM lake_snapshots WHERE workspace = :workspace AND name = :name AND run = :run AND task = :task"
    " AND part = :part AND fingerprint = :fingerprint ORDER BY at DESC LIMIT 1"
)
_FORGET_INPUTS: Final = Statement(
    "DELETE FROM lake_inputs WHERE workspace = :workspace AND name = :name AND snapshot IN"
    " (SELECT snapshot FROM lake_snapshots WHERE workspace = :workspace AND name = :name AND run = :run"
    " AND number = :number AND published_at IS NULL)"
)
_FORGET: Final = Statement(
    "DELETE FROM lake_snapshots WHERE workspace = :workspace AND name = :name AND run = :run"
    " AND number = :number AND published_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Write:
    """A run's writing to a table, as the journal has it.

    Attributes:
        branch: where it is written, by its name: that of the run, or of one of its pieces.
        base: what was published when the run began.
        head: the last snapshot of the run's branch; None when it has none yet.
        schema: the id of the schema that the run writes with.
        fingerprint: of the work that the branch holds, or will.
        number: how often the run has begun anew with the table.
        depends: whether the result depends on the base.
    """

    branch: str
    name: TableName
    workspace: WorkspaceId
    state: WriteState
    base: SnapshotId | None
    head: SnapshotId | None
    schema: int | None
    fingerprint: str
    number: int
    depends: bool

    @property
    def run(self) -> RunId:
        """The run that writes."""
        return run_of_branch(self.branch)

    @property
    def piece(self) -> str:
        """The piece of it that is published by itself; empty when it is all of it."""
        return piece_of_branch(self.branch)


@dataclass(frozen=True, slots=True)
class Landed:
    """A snapshot, to be recorded."""

    snapshot: SnapshotId
    parent: SnapshotId | None
    mode: str
    rows: int
    rows_added: int


def begin(tx: Any, order: WriteOrder, *, now: float) -> tuple[Write, SnapshotId | None]:
    """Return a run's writing to a table, and the snapshot when this very work has been committed before.

    Raises:
        TableOwned: when another task writes the table.
    """
    key = {"workspace": order.workspace, "name": order.table}
    author = order.author
    _ADD_TABLE.run(tx, {**key, "project": author.project, "task": author.task, "now": now})
    table = _TABLE.run(tx, key).mappings().one()
    if (table["project"], table["task"]) != (author.project, author.task):
        raise TableOwned(
            f"the table {order.table} is written by the task {table['task']} of the project {table['project']}",
            hint="Write to a table of another name.",
        )
    if (done := same_work(tx, order)) is not None:
        found = read(tx, order.workspace, author.branch, order.table)
        assert found is not None, "what has landed stands in the journal"
        return found, done
    known = read(tx, order.workspace, author.branch, order.table)
    work = {"run": author.branch, "fingerprint": author.fingerprint, "depends": int(order.depends_on_table)}
    # Other work begins on what the table holds now, when another run has published it meanwhile.
    behind = known is not None and known.base != table["snapshot"] and known.fingerprint != author.fingerprint
    if known is None or known.state in ("done", "dropped") or behind:
        _OPEN.run(tx, {**key, **work, "base": table["snapshot"], "now": now})
    else:
        # What other work of this task has made of the columns binds nobody: nothing of it was published.
        _OTHER_WORK.run(tx, {**work, "name": order.table})
    known = read(tx, order.workspace, author.branch, order.table)
    assert known is not None, "it has just been written"
    return known, None


def same_work(tx: Any, order: WriteOrder) -> SnapshotId | None:
    """Return the snapshot of the same work of the same run; None when it has not been recorded."""
    author = order.author
    found = (
        _SAME_WORK.run(
            tx,
            {
                "workspace": order.workspace,
                "name": order.table,
                "run": author.branch,
                "task": author.task,
                "part": author.part,
                "fingerprint": author.fingerprint,
            },
        )
        .mappings()
        .first()
    )
    return None if found is None else SnapshotId(found["snapshot"])


def read(tx: Any, workspace: WorkspaceId, branch: str, name: TableName) -> Write | None:
    """Return the writing to a branch of a table; None when it has never begun."""
    row = _WRITE.run(tx, {"workspace": workspace, "run": branch, "name": name}).mappings().first()
    return None if row is None else _write(row)


def of_branch(tx: Any, workspace: WorkspaceId, branch: str) -> list[Write]:
    """Return everything that is written to a branch, by table."""
    return [_write(row) for row in _OF_BRANCH.run(tx, {"workspace": workspace, "run": branch}).mappings()]


def of_run(tx: Any, workspace: WorkspaceId, run: RunId) -> list[Write]:
    """Return everything that a run and its pieces write."""
    wanted = {"workspace": workspace, "begins": f"{run}.", "length": len(run) + 1}
    return [_write(row) for row in _OF_RUN.run(tx, wanted).mappings()]


def of_table(tx: Any, workspace: WorkspaceId, name: TableName) -> list[Write]:
    """Return every writing to a table that is not over."""
    return [_write(row) for row in _OF_TABLE.run(tx, {"workspace": workspace, "name": name}).mappings()]


def pending(tx: Any) -> list[Write]:
    """Return every writing that readers see and whose `main` is yet to be moved."""
    return [_write(row) for row in _PENDING.run(tx).mappings()]


def shown(tx: Any, workspace: WorkspaceId, name: TableName) -> SnapshotId | None:
    """Return the snapshot that readers see; None when nothing was published.

    Raises:
        NotFound: when there is no such table.
    """
    row = _TABLE.run(tx, {"workspace": workspace, "name": name}).mappings().first()
    if row is None:
        raise no_table(name)
    return None if row["snapshot"] is None else SnapshotId(row["snapshot"])


def set_write(tx: Any, write: Write, *, now: float) -> None:
    """Record how far a writing has come."""
    _SET.run(
        tx,
        {
            "run": write.branch,
            "name": write.name,
            "state": write.state,
            "base": write.base,
            "head": write.head,
            "schema": write.schema,
            "depends": int(write.depends),
            "now": now,
        },
    )


def set_schema(tx: Any, write: Write, schema: int) -> None:
    """Record the columns that a run writes with, and nothing else: another of its parts may be committing."""
    _SET_SCHEMA.run(tx, {"run": write.branch, "name": write.name, "schema": schema})


def add_write(tx: Any, write: Write, *, now: float) -> None:
    """Record a writing that begins with what is there already."""
    values = {"workspace": write.workspace, "name": write.name, "run": write.branch, "base": write.base, "now": now}
    _OPEN.run(tx, {**values, "fingerprint": write.fingerprint, "depends": int(write.depends)})
    set_write(tx, write, now=now)


def add_snapshot(
    tx: Any,
    write: Write,
    author: Author,
    made: Landed,
    *,
    now: float,
    inputs: Mapping[TableName, SnapshotId] | None = None,
) -> None:
    """Record where a snapshot comes from."""
    key = {"workspace": write.workspace, "name": write.name, "snapshot": made.snapshot}
    _ADD_SNAPSHOT.run(
        tx,
        {
            **key,
            "run": author.branch,
            "project": author.project,
            "task": author.task,
            "part": author.part,
            "fingerprint": author.fingerprint,
            "version": author.version,
            "mode": made.mode,
            "number": write.number,
            "parent": made.parent,
            "rows": made.rows,
            "rows_added": made.rows_added,
            "now": now,
        },
    )
    for name, snapshot in (inputs or {}).items():
        _ADD_INPUT.run(tx, {**key, "input": name, "input_snapshot": snapshot})


def landed(snapshot: Snapshot) -> Landed:
    """Return what is recorded of a snapshot."""
    summary = {} if snapshot.summary is None else snapshot.summary.additional_properties
    parent = snapshot.parent_snapshot_id
    return Landed(
        snapshot=SnapshotId(snapshot.snapshot_id),
        parent=None if parent is None else SnapshotId(parent),
        mode=str(summary.get("penstock.mode", "")),
        rows=int(summary.get("total-records", 0)),
        rows_added=int(summary.get("added-records", 0)),
    )


def author_of(snapshot: Snapshot, *, project: str) -> Author:
    """Return whose work a snapshot of ours is, as it says itself."""
    kept = {} if snapshot.summary is None else snapshot.summary.additional_properties
    return Author(
        run=RunId(kept.get("penstock.run", "")),
        piece=kept.get("penstock.piece", ""),
        project=project,
        task=TaskName(kept.get("penstock.task", "")),
        fingerprint=kept.get("penstock.fingerprint", ""),
        part=kept.get("penstock.part", ""),
        version=kept.get("penstock.version", ""),
    )


def project_of(tx: Any, write: Write) -> str:
    """Return the project whose task writes a table."""
    return str(_TABLE.run(tx, {"workspace": write.workspace, "name": write.name}).mappings().one()["project"])


def add_compacted(tx: Any, write: Write, made: Landed, *, now: float) -> None:
    """Record a snapshot that has the rows of the one before in other files."""
    table = _TABLE.run(tx, {"workspace": write.workspace, "name": write.name}).mappings().one()
    author = Author(run=write.run, project=table["project"], task=table["task"], fingerprint="")
    inputs = {} if made.parent is None else {write.name: made.parent}
    add_snapshot(tx, write, author, made, now=now, inputs=inputs)


def add_rebased(tx: Any, write: Write, made: Landed, *, of: SnapshotId, now: float) -> None:
    """Record a snapshot that says on another base what an earlier one of the same author says."""
    key = {"workspace": write.workspace, "name": write.name}
    row = _SNAPSHOT.run(tx, {**key, "snapshot": of}).mappings().one()
    author = Author(
        run=run_of_branch(row["run"]),
        piece=piece_of_branch(row["run"]),
        project=row["project"],
        task=row["task"],
        fingerprint=row["fingerprint"],
        part=row["part"],
        version=row["version"],
    )
    add_snapshot(tx, write, author, made, now=now)
    _COPY_INPUTS.run(tx, {**key, "snapshot": made.snapshot, "of": of})


def show(tx: Any, write: Write, *, now: float) -> None:
    """Make a writing's head what readers see."""
    values = {"workspace": write.workspace, "name": write.name, "head": write.head, "now": now}
    _SHOW.run(tx, {**values, "run": write.run})
    _SNAPSHOT_SHOWN.run(tx, values)


def forget(tx: Any, write: Write) -> None:
    """Forget the snapshots of a writing that nobody saw, because other work replaces them or it is dropped."""
    key = {"workspace": write.workspace, "name": write.name, "run": write.branch, "number": write.number}
    _FORGET_INPUTS.run(tx, key)
    _FORGET.run(tx, key)


def no_table(name: TableName) -> NotFound:
    """Return the error of a table that is not there."""
    return NotFound(f"there is no table {name}", hint="List the tables of the workspace: penstock tables")


def _write(row: Any) -> Write:
    return Write(
        branch=row["run"],
        name=TableName(row["name"]),
        workspace=WorkspaceId(row["workspace"]),
        state=row["state"],
        base=row["base"],
        head=row["head"],
        schema=row["schema"],
        fingerprint=row["fingerprint"],
        number=row["number"],
        depends=bool(row["depends"]),
    )
