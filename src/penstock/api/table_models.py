"""Tables of the lake as the API takes and shows them; `core.run_views` fills them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock.core import limits

_SNAPSHOT = r"^-?[0-9]{1,19}$"
_TABLE = r"^[a-z][a-z0-9_]{0,99}\.[a-z][a-z0-9_]{0,99}$"
SnapshotText = Annotated[str, Field(pattern=_SNAPSHOT, description="A snapshot: text, for it has up to 19 digits.")]
TableText = Annotated[str, Path(pattern=_TABLE, description="The name of a table: layer.name.")]
SnapshotCursor = Annotated[str | None, Query(pattern=_SNAPSHOT, description="`next` of the page before.")]
TableCursor = Annotated[str | None, Query(pattern=_TABLE, description="`next` of the page before.")]


class RollbackAsk(BaseModel):
    """Which snapshot readers are to see again."""

    model_config = ConfigDict(extra="forbid")
    to: SnapshotText


class QueryAsk(BaseModel):
    """One SELECT over published tables."""

    model_config = ConfigDict(extra="forbid")
    sql: str = Field(min_length=1, max_length=100_000, description="Read-only; tables are layer.name.")
    at: dict[Annotated[str, Field(pattern=_TABLE)], SnapshotText] = Field(
        default_factory=dict, max_length=100, description="Tables that are read as of a snapshot."
    )
    rows_max: int = Field(1_000, ge=1, le=limits.QUERY_ROWS.value, description="More are cut off, and that is said.")


class TableShown(BaseModel):
    """A table as readers see it."""

    name: str
    project: str
    task: str
    snapshot: str | None
    published_at: str | None
    published_by: str | None


class ColumnShown(BaseModel):
    """A column of a table, or of an answer."""

    name: str
    type: str


class TableWhole(TableShown):
    """A table with its columns, and how large it is."""

    columns: list[ColumnShown]
    partition_by: list[str]
    rows: int
    files: int
    size_bytes: int


class TablePage(BaseModel):
    """Tables by name."""

    items: list[TableShown]
    next: str | None


class LineageShown(BaseModel):
    """Where a snapshot comes from."""

    table: str
    snapshot: str
    run: str
    project: str
    task: str
    version: str | None
    fingerprint: str
    mode: str
    parent: str | None
    rows: int
    rows_added: int
    at: str
    published_at: str | None
    expired: bool
    inputs: dict[str, str]


class LineageTree(LineageShown):
    """Where a snapshot comes from, and those it was made from."""

    repeated: bool = Field(description="Whether it stands in the tree before, with its inputs.")
    upstream: list[LineageTree] = Field(description="One for each of its inputs.")


class HistoryPage(BaseModel):
    """What readers of a table have seen, newest first."""

    items: list[LineageShown]
    next: str | None


class PublishedShown(BaseModel):
    """What has changed for readers of a table."""

    table: str
    snapshot: str
    before: str | None


class MaintainedShown(BaseModel):
    """What the upkeep of a table has done."""

    table: str
    files_before: int
    files_after: int
    snapshots_expired: int
    files_deleted: int


class MaintainedPage(BaseModel):
    """The upkeep of tables."""

    items: list[MaintainedShown]
    next: str | None


class AnswerShown(BaseModel):
    """The rows of a query."""

    columns: list[ColumnShown]
    rows: list[list[Any]]
    truncated: bool = Field(description="Whether there are more rows than these.")
    snapshots: dict[str, str] = Field(description="What was read of each table.")
