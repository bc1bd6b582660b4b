"""Tables of the lake: names, snapshots, what a task writes to them, and what a reader gets of them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NewType

from penstock.core.access import WorkspaceId
from penstock.core.columns import Column
from penstock.core.errors import RequestInvalid
from penstock.core.plan import RunId, TaskName

TableName = NewType("TableName", str)  # layer.name
SnapshotId = NewType("SnapshotId", int)
PartitionValue = str | int | bool | dt.date | None
Partition = tuple[PartitionValue, ...]  # a value for each of the table's partition columns, in their order
WriteMode = Literal["append", "replace_partitions", "replace_table"]

_PART: Final = "[a-z][a-z0-9_]{0,99}"
_TABLE: Final = re.compile(rf"{_PART}\.{_PART}")


def table_name(text: str) -> TableName:
    """Return the name of a table.

    Raises:
        RequestInvalid: when it is not `layer.name`.
    """
    if _TABLE.fullmatch(text):
        return TableName(text)
    raise RequestInvalid(
        f"{text[:210]!r} is not the name of a table",
        hint="A table is layer.name, such as raw.orders: each of small letters, digits and _, a letter first.",
    )


def branch_name(run: RunId, piece: str = "") -> str:
    """Return the name of a run's branch of a table, or of that of one of its pieces."""
    return f"{run}.{piece}" if piece else run


def run_of_branch(name: str) -> RunId:
    """Return the run whose branch has a name, or whose piece's."""
    return RunId(name.partition(".")[0])


def piece_of_branch(name: str) -> str:
    """Return the piece of a run whose branch has a name; empty when it is the run's own."""
    return name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Author:
    """Whose work a snapshot is.

    Attributes:
        fingerprint: of the task's code, inputs and settings: the same work again is found, other work replaces it.
        part: which piece of the task's work, where it commits in pieces.
        version: the code that made it, where some did: a registered script `clean@1.2.0`, or a file of the project and
            what its SHA-256 begins with, `sql/daily.sql#3f2a1c9d0b7e`.
        piece: of the run, on a branch of its own, to be published by itself; empty for what the run publishes at once.
    """

    run: RunId
    project: str
    task: TaskName
    fingerprint: str
    part: str = ""
    version: str = ""
    piece: str = ""

    @property
    def branch(self) -> str:
        """The name of the branch that it writes to."""
        return branch_name(self.run, self.piece)


@dataclass(frozen=True, slots=True)
class WriteOrder:
    """What a task is going to write to a table.

    Attributes:
        columns: of what is written; their ids do not matter.
        mode: `append`; `replace_partitions`: what the partitions named hold is replaced, by nothing where no row comes;
            `replace_table`.
        partition_by: names of the columns, of the types date, int, long, string or boolean.
        partitions: what `replace_partitions` replaces; rows of others are refused.
        depends_on_table: whether the result depended on what the table held before; then somebody else's publishing
            in between makes the task run again.
        inputs: the snapshots that were read.
    """

    workspace: WorkspaceId
    table: TableName
    author: Author
    columns: tuple[Column, ...]
    mode: WriteMode
    partition_by: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    depends_on_table: bool = False
    inputs: Mapping[TableName, SnapshotId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Writing:
    """A write that has begun.

    Attributes:
        columns: of the table, with the ids that the Parquet files must carry; a file may leave columns out.
        base: the snapshot that was published when the run began to write to the table.
        done: the snapshot, when the same work has been committed already: then there is nothing to write.
    """

    order: WriteOrder
    columns: tuple[Column, ...]
    base: SnapshotId | None
    done: SnapshotId | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write has left on the run's branch: nobody else sees it before it is published.

    Attributes:
        repeated: the same work had been committed before, and was not committed again.
    """

    table: TableName
    snapshot: SnapshotId
    rows: int
    files: int
    size_bytes: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing has changed for readers.

    Attributes:
        before: what they saw until then; None for a new table.
    """

    table: TableName
    snapshot: SnapshotId
    before: SnapshotId | None


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a snapshot."""

    path: str
    rows: int
    size_bytes: int
    partition: Partition = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot of a table as an engine reads it: by files and by ids of columns, never by rows.

    Attributes:
        columns: as the snapshot has them; files are read by their ids.
        files: those that can hold what was asked for. None means that there are no rows, not that there is no table.
    """

    table: TableName
    snapshot: SnapshotId
    columns: tuple[Column, ...]
    files: tuple[DataFile, ...]
    partition_by: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the files have."""
        return sum(file.rows for file in self.files)

    @property
    def size_bytes(self) -> int:
        """How large the files are together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class TableState:
    """A table as readers see it.

    Attributes:
        project: whose task writes it; no other may.
        snapshot: the published one; None as long as nothing was published.
    """

    name: TableName
    project: str
    task: TaskName
    snapshot: SnapshotId | None
    published_at: float | None
    published_by: RunId | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a snapshot comes from.

    Attributes:
        mode: a `WriteMode`, or `compact` for the same rows in other files.
        rows: in the whole snapshot; `rows_added` in what was written for it.
        parent: the snapshot that it was made on top of.
        inputs: the snapshots that were read for it.
        published_at: seconds since 1970; None for one that no reader ever saw.
        expired: whether it cannot be read any more.
    """

    table: TableName
    snapshot: SnapshotId
    author: Author
    mode: str
    parent: SnapshotId | None
    rows: int
    rows_added: int
    at: float
    published_at: float | None
    expired: bool
    inputs: Mapping[TableName, SnapshotId]


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What a Parquet file says of one of its columns.

    Attributes:
        values: how many, nulls included.
        lowest: None when it is not known; the same for `highest`.
        exact: whether the two are values of the column, not bounds of longer ones.
    """

    size_bytes: int
    values: int
    nulls: int | None = None
    lowest: Any = None
    highest: Any = None
    exact: bool = False

    def together(self, other: ColumnFacts) -> ColumnFacts:
        """Return what holds of this row group and another."""
        nulls = None if self.nulls is None or other.nulls is None else self.nulls + other.nulls
        size, values = self.size_bytes + other.size_bytes, self.values + other.values
        if self.nulls == self.values or other.nulls == other.values:
            bounds = other if self.nulls == self.values else self
            return ColumnFacts(size, values, nulls, bounds.lowest, bounds.highest, bounds.exact)
        if self.lowest is None or other.lowest is None:
            return ColumnFacts(size, values, nulls)
        low, high = min(self.lowest, other.lowest), max(self.highest, other.highest)
        return ColumnFacts(size, values, nulls, low, high, self.exact and other.exact)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the footer of a Parquet file says; whoever parses it is not trusted with more than its own table.

    Attributes:
        facts: by the column's id; of nested columns nothing is known.
        split_offsets: where the row groups begin.
    """

    rows: int
    size_bytes: int
    columns: tuple[Column, ...]
    facts: Mapping[int, ColumnFacts]
    split_offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Maintained:
    """What the upkeep of a table has done."""

    table: TableName
    files_before: int
    files_after: int
    snapshots_expired: int
    files_deleted: int
