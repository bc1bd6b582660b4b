"""What people can ask for of tables: what there is, where it comes from, what is in it, and yesterday's state back."""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from penstock.base.nearest import nearest
from penstock.core import duckdb_sql, limits
from penstock.core.access import Actor, AuditEvent, WorkspaceId
from penstock.core.engines import EngineAnswer, EngineFailure, EngineLimits, EngineRequest, Stop
from penstock.core.errors import NotFound, TaskFailed, TooMany
from penstock.core.ports import Audit, Database, Lake
from penstock.core.ports.engines import Engines, StopSign
from penstock.core.tables import Lineage, Maintained, Published, Reading, SnapshotId, TableName, TableState, table_name
from penstock.execution.engine_failures import failed
from penstock.usecases.permissions import require

_DEPTH_MAX: Final = 20
_LOOK_S: Final = 0.2
_NO_TABLE: Final = re.compile(r'Table with name "?(.{1,210}?)"? does not exist')


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Rows that a query gave.

    Attributes:
        columns: pairs of name and type.
        rows: as many as were asked for at most.
        more: whether there were more.
        read: the snapshots that it has read.
    """

    columns: Sequence[Sequence[str]]
    rows: Sequence[Sequence[Any]]
    more: bool
    read: Mapping[TableName, SnapshotId]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a snapshot comes from, and where that comes from.

    Attributes:
        inputs: of what it was made; empty as well where the tree was cut.
        repeated: whether it stands in the tree before, with its inputs: once is enough, or the tree would grow without
            bound where tables are joined again and again.
    """

    lineage: Lineage
    inputs: tuple[Origin, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Tables:
    """What can be asked of tables.

    Attributes:
        scratch: a folder for what queries need while they run.
    """

    database: Database
    lake: Lake
    engines: Engines
    audit: Audit
    scratch: Path
    _places: QueryPlaces = field(default_factory=lambda: QueryPlaces())

    def list(self, *, actor: Actor, after: str = "", limit: int | None = None) -> Sequence[TableState]:
        """Return the tables of the workspace, by name: those after a name, up to a limit."""
        require(actor, "pipelines:read")
        found = sorted((state for state in self.lake.tables(actor.workspace) if state.name > after), key=_name_of)
        return found[:limit]

    def history(
        self, table: str, *, actor: Actor, count: int = 20, before: SnapshotId | None = None
    ) -> Sequence[Lineage]:
        """Return what readers of a table have seen, the newest first; before a snapshot, if one is named."""
        require(actor, "pipelines:read")
        return self.lake.history(actor.workspace, self._known(actor.workspace, table), count=count, before=before)

    def reading(self, table: str, *, actor: Actor, snapshot: int | None = None) -> Reading:
        """Return the columns and files of a snapshot; of the published one when none is named."""
        require(actor, "pipelines:read")
        name = self._known(actor.workspace, table)
        return self.lake.read(actor.workspace, name, at=None if snapshot is None else SnapshotId(snapshot))

    def lineage(self, table: str, *, actor: Actor, snapshot: int | None = None) -> Origin:
        """Return where a snapshot comes from, back to the raw data.

        Raises:
            NotFound: when there is no such table.
            SnapshotGone: when there never was such a snapshot.
        """
        require(actor, "pipelines:read")
        name = self._known(actor.workspace, table)
        at = SnapshotId(snapshot) if snapshot is not None else self.lake.heads(actor.workspace, [name])[name]
        return self._origin(actor.workspace, name, at, set(), depth=0)

    def uses(self, table: str, *, actor: Actor, snapshot: int | None = None) -> Sequence[tuple[TableName, SnapshotId]]:
        """Return the snapshots that were made from one."""
        require(actor, "pipelines:read")
        name = self._known(actor.workspace, table)
        at = SnapshotId(snapshot) if snapshot is not None else self.lake.heads(actor.workspace, [name])[name]
        return self.lake.uses(actor.workspace, name, at)

    def query(
        self,
        sql: str,
        *,
        actor: Actor,
        at: Mapping[str, int] | None = None,
        rows_max: int = 1_000,
        stop: StopSign | None = None,
    ) -> QueryAnswer:
        """Return rows of one SELECT over published tables, read at one moment.

        Args:
            sql: one SELECT, in DuckDB's words; tables are `layer.name`.
            actor: who asks.
            at: snapshots to read of some tables, instead of what is published.
            rows_max: at most so many rows.
            stop: ends the query, and frees its place, once somebody asks for that.

        Raises:
            TaskFailed: with the engine's words.
            NotFound: when it names a table that is not there.
            TooMany: when others keep all places for queries.
        """
        require(actor, "data:read")
        pinned = {self._known(actor.workspace, name): SnapshotId(snapshot) for name, snapshot in (at or {}).items()}
        published = [state.name for state in self.lake.tables(actor.workspace) if state.snapshot is not None]
        names = [name for name in published if name not in pinned and _mentions(sql, name)]
        snapshots = {**self.lake.heads(actor.workspace, names), **pinned}
        stop = stop or Stop()
        with self._place(actor.workspace, stop):
            self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self.scratch, prefix="query-"))
            try:
                columns, rows, more = self._rows(actor.workspace, sql, snapshots, folder, rows_max, stop)
            finally:
                self.engines.clear(folder)
        details: dict[str, str | int | float | bool | None] = {"tables": ", ".join(names), "rows": len(rows)}
        self.database.write(lambda tx: self.audit.record(tx, actor, AuditEvent("table.query", "sql", details=details)))
        return QueryAnswer(columns, rows, more, snapshots)

    @contextlib.contextmanager
    def _place(self, workspace: WorkspaceId, stop: StopSign) -> Iterator[None]:
        """Hold one of the places that this process has for queries."""
        deadline_s = time.monotonic() + limits.QUERY_WAIT.value
        while not self._places.take(workspace, wait_s=_LOOK_S):
            if stop.asked:
                raise TaskFailed("the query was stopped while it waited for a place", hint="Ask again.")
            if time.monotonic() > deadline_s:
                every, mine = self._places.taken(workspace)
                raise TooMany(
                    f"{every} of {limits.QUERIES.value} queries run already, {mine} of them of this workspace, which"
                    f" may have {limits.QUERIES_WORKSPACE.value}, and none ended within {limits.QUERY_WAIT.value} s",
                    hint="Try again; let a pipeline make what takes long.",
                    retry_after_s=limits.QUERY_WAIT.value,
                )
        try:
            yield
        finally:
            self._places.free(workspace)

    def rollback(self, table: str, to: int, *, actor: Actor) -> Published:
        """Make readers see an earlier published snapshot of a table again.

        Raises:
            SnapshotGone: when it has expired, or was never published.
        """
        require(actor, "pipelines:deploy")
        name = self._known(actor.workspace, table)
        done = self.lake.rollback(actor.workspace, name, SnapshotId(to))
        details: dict[str, str | int | float | bool | None] = {"to": str(to), "from": str(done.before)}
        self.database.write(
            lambda tx: self.audit.record(tx, actor, AuditEvent("table.rollback", name, details=details))
        )
        return done

    def maintain(self, table: str | None = None, *, actor: Actor) -> Sequence[Maintained]:
        """Compact small files, expire old snapshots, delete files that nothing refers to: of a table, or of all."""
        require(actor, "pipelines:deploy")
        if table is not None:
            return [self.lake.maintain(actor.workspace, self._known(actor.workspace, table))]
        published = [state.name for state in self.lake.tables(actor.workspace) if state.snapshot is not None]
        return [self.lake.maintain(actor.workspace, name) for name in published]

    def _rows(
        self,
        workspace: WorkspaceId,
        sql: str,
        snapshots: Mapping[TableName, SnapshotId],
        folder: Path,
        rows_max: int,
        stop: StopSign,
    ) -> tuple[Sequence[Sequence[str]], Sequence[Sequence[Any]], bool]:
        with contextlib.ExitStack() as stack:
            tables: dict[str, Reading] = {}
            for number, (name, snapshot) in enumerate(snapshots.items()):
                inputs = folder / f"inputs-{number}"
                inputs.mkdir(mode=0o700)
                reading = self.lake.read(workspace, name, at=snapshot)
                tables[name] = stack.enter_context(self.lake.local(reading, inputs))
            staging = folder / "staging"
            staging.mkdir(mode=0o700)
            request = _request(sql, tables, staging, rows_max)
            ended = self.engines.run(request, stop=stop)
        if not isinstance(ended, EngineAnswer):
            raise self._failed(ended, workspace)
        return ended.answer["columns"], ended.answer["rows"], ended.answer["more"]

    def _failed(self, ended: EngineFailure, workspace: WorkspaceId) -> TaskFailed:
        """Return a query's error; when it names a table that is not published, with those that are."""
        error = failed(ended, "the query")
        if (missing := _NO_TABLE.search(ended.message)) is None:
            return error
        published = {str(state.name): None for state in self.lake.tables(workspace) if state.snapshot is not None}
        hint = f"Name published tables: a query reads nothing else. {nearest(missing[1], published)}"
        return TaskFailed(error.message, hint=hint, figures=error.figures)

    def _known(self, workspace: WorkspaceId, table: str) -> TableName:
        name = table_name(table)
        known = {str(state.name) for state in self.lake.tables(workspace)}
        if name not in known:
            raise NotFound(f"there is no table {name} in this workspace", hint=nearest(name, dict.fromkeys(known)))
        return name

    def _origin(
        self,
        workspace: WorkspaceId,
        table: TableName,
        snapshot: SnapshotId,
        seen: set[tuple[TableName, SnapshotId]],
        *,
        depth: int,
    ) -> Origin:
        lineage = self.lake.lineage(workspace, table, snapshot)
        if (table, snapshot) in seen or depth >= _DEPTH_MAX:
            return Origin(lineage, repeated=(table, snapshot) in seen)
        seen.add((table, snapshot))
        inputs = [self._origin(workspace, name, at, seen, depth=depth + 1) for name, at in lineage.inputs.items()]
        return Origin(lineage, tuple(inputs))


class QueryPlaces:
    """The places that a process has for queries; no workspace takes the last one that others could have."""

    def __init__(self) -> None:
        self._held: Counter[WorkspaceId] = Counter()
        self._changed = threading.Condition()

    def take(self, workspace: WorkspaceId, *, wait_s: float) -> bool:
        """Hold a place as soon as there is one; False when there is none in time."""
        with self._changed:
            may = self._changed.wait_for(lambda: self._is_free_for(workspace), timeout=wait_s)
            if may:
                self._held[workspace] += 1
            return may

    def free(self, workspace: WorkspaceId) -> None:
        """Give a place back."""
        with self._changed:
            self._held[workspace] -= 1
            self._held += Counter()  # without those that hold none
            self._changed.notify_all()

    def taken(self, workspace: WorkspaceId) -> tuple[int, int]:
        """Return how many places are held, and how many of them by a workspace."""
        with self._changed:
            return self._held.total(), self._held[workspace]

    def _is_free_for(self, workspace: WorkspaceId) -> bool:
        most, mine = limits.QUERIES.value, limits.QUERIES_WORKSPACE.value
        return self._held.total() < most and self._held[workspace] < mine


def _request(sql: str, tables: Mapping[str, Reading], staging: Path, rows_max: int) -> EngineRequest:
    paths = sorted({file.path for reading in tables.values() for file in reading.files})
    views = {name: {"relation": duckdb_sql.relation(reading)} for name, reading in tables.items()}
    ask = {"tables": views, "readable": paths, "sql": sql, "output": None, "rows_max": rows_max}
    bounds = EngineLimits(wall_s=limits.QUERY_WALL.value)
    return EngineRequest(profile="sql", ask=ask, reads=paths, writes=str(staging), limits=bounds)


def _mentions(sql: str, table: TableName) -> bool:
    """Return whether a query may read a table: what it names in vain costs little."""
    layer, name = table.split(".")
    return re.search(rf'\b{layer}"?\s*\.\s*"?{name}\b', sql, re.IGNORECASE) is not None


def _name_of(state: TableState) -> str:
    return state.name
