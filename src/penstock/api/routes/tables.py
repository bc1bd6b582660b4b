"""Tables of the lake: what is published, where it comes from, and queries over it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.api.leaving import while_asked
from penstock.api.run_models import PageLimit
from penstock.api.table_models import (
    AnswerShown,
    HistoryPage,
    LineageTree,
    MaintainedPage,
    MaintainedShown,
    PublishedShown,
    QueryAsk,
    RollbackAsk,
    SnapshotCursor,
    TableCursor,
    TablePage,
    TableText,
    TableWhole,
)
from penstock.base.nearest import nearest
from penstock.core.errors import NotFound
from penstock.core.ports.engines import StopSign
from penstock.core.run_views import (
    show_answer,
    show_lineage,
    show_maintained,
    show_origin,
    show_published,
    show_reading,
    show_table,
)
from penstock.core.tables import SnapshotId, TableName

router = APIRouter(prefix="/api/v1/tables", tags=["tables"])


@router.get("", name="list_tables", response_model=TablePage)
def list_tables(
    server: CurrentServer, actor: CurrentActor, cursor: TableCursor = None, limit: PageLimit = 100
) -> Response:
    """Return the tables of the workspace, by name, as readers see them."""
    found = server.tables.list(actor=actor, after=cursor or "", limit=limit + 1)
    items = [show_table(table) for table in found[:limit]]
    return Json({"items": items, "next": items[-1]["name"] if len(found) > limit else None})


@router.post("/query", name="query_tables", response_model=AnswerShown)
async def query_tables(request: Request, ask: QueryAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return the rows of one SELECT over published tables, all read at one moment.

    Closing the connection ends the query.
    """
    at = {TableName(table): SnapshotId(int(snapshot)) for table, snapshot in ask.at.items()}

    def answer(stop: StopSign) -> Response:
        found = server.tables.query(ask.sql, actor=actor, at=at, rows_max=ask.rows_max, stop=stop)
        return Json(show_answer(found.columns, found.rows, more=found.more, read=found.read))

    return await while_asked(request, answer)


@router.post("/maintain", name="maintain_tables", response_model=MaintainedPage)
def maintain_tables(server: CurrentServer, actor: CurrentActor) -> Response:
    """Compact small files, expire old snapshots and delete what nothing refers to, in every table."""
    done = server.tables.maintain(None, actor=actor)
    return Json({"items": [show_maintained(each) for each in done], "next": None})


@router.get("/{table}", name="read_table", response_model=TableWhole)
def read_table(table: TableText, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a table as readers see it, with its columns."""
    found = {each.name: each for each in server.tables.list(actor=actor)}
    if table not in found:
        raise NotFound(f"there is no table {table}", hint=nearest(table, found))
    state = found[TableName(table)]
    reading = None if state.snapshot is None else server.tables.reading(table, actor=actor, snapshot=state.snapshot)
    return Json(show_reading(state, reading))


@router.get("/{table}/history", name="read_table_history", response_model=HistoryPage)
def read_table_history(
    table: TableText,
    server: CurrentServer,
    actor: CurrentActor,
    cursor: SnapshotCursor = None,
    limit: PageLimit = 20,
) -> Response:
    """Return what readers of a table have seen, newest first."""
    before = None if cursor is None else SnapshotId(int(cursor))
    found = server.tables.history(table, actor=actor, count=limit + 1, before=before)
    items = [show_lineage(each) for each in found[:limit]]
    return Json({"items": items, "next": items[-1]["snapshot"] if len(found) > limit else None})


@router.get("/{table}/lineage", name="read_table_lineage", response_model=LineageTree)
def read_table_lineage(
    table: TableText,
    server: CurrentServer,
    actor: CurrentActor,
    snapshot: Annotated[
        str | None, Query(pattern=r"^-?[0-9]{1,19}$", description="What is published by default.")
    ] = None,
) -> Response:
    """Return which run, task, code and snapshots made a snapshot, and those, and so on."""
    wanted = None if snapshot is None else SnapshotId(int(snapshot))
    return Json(show_origin(server.tables.lineage(table, actor=actor, snapshot=wanted)))


@router.post("/{table}/rollback", name="roll_table_back", response_model=PublishedShown)
def roll_table_back(table: TableText, ask: RollbackAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Make readers see an earlier published snapshot again."""
    return Json(show_published(server.tables.rollback(table, SnapshotId(int(ask.to)), actor=actor)))


@router.post("/{table}/maintain", name="maintain_table", response_model=MaintainedShown)
def maintain_table(table: TableText, server: CurrentServer, actor: CurrentActor) -> Response:
    """Compact small files of a table, expire old snapshots, delete what nothing refers to."""
    done = server.tables.maintain(table, actor=actor)
    return Json(show_maintained(done[0]))
