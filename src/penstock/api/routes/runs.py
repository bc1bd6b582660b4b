"""Runs of pipelines: list and watch them, read what their tasks said, cancel and resume them; and back-fills."""

from __future__ import annotations

import functools
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, Json, who_asks
from penstock.api.run_events import run_event_stream, whole_run
from penstock.api.run_models import (
    BackfillCursor,
    BackfillPage,
    BackfillShown,
    ItemCursor,
    ItemPage,
    LogPage,
    PageLimit,
    RunCursor,
    RunName,
    RunPage,
    RunShown,
    RunState,
)
from penstock.core.access import Actor
from penstock.core.errors import NotFound
from penstock.core.hints import with_server_hints
from penstock.core.plan import RunId
from penstock.core.run_views import show_backfill, show_item, show_log_line, show_run_line
from penstock.core.runs import Backfill, BackfillId, RunFilter

router = APIRouter(prefix="/api/v1", tags=["runs"])
TaskText = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="The name of a task.")]
BackfillName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,64}$", description="The id of a back-fill.")]
Word = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.get("/runs", name="list_runs", response_model=RunPage)
def list_runs(
    server: CurrentServer,
    actor: CurrentActor,
    project: Word = None,
    pipeline: Word = None,
    state: RunState | None = None,
    backfill: Word = None,
    cursor: RunCursor = None,
    limit: PageLimit = 50,
) -> Response:
    """Return runs, newest first, without their tasks."""
    wanted = RunFilter(
        project=project,
        pipeline=pipeline,
        state=state,
        backfill=None if backfill is None else BackfillId(backfill),
        before=None if cursor is None else RunId(cursor),
        limit=limit + 1,
    )
    found = server.runs.list(wanted, actor=actor)
    names = server.members.names([run.created_by for run in found], actor=actor)
    items = [with_server_hints(show_run_line(run, names=names)) for run in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.get("/runs/{run_id}", name="read_run", response_model=RunShown)
def read_run(run_id: RunName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a run with its tasks, how far they have come, its checks, and whose it is."""
    return Json(whole_run(server, run_id, actor))


@router.get(
    "/runs/{run_id}/events",
    name="watch_run",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": "`state`: a RunShown. `change`: a RunChange, with the tasks and checks that changed.",
        },
        204: {"description": "The run has ended, and Last-Event-ID has seen it."},
    },
)
async def watch_run(
    run_id: RunName,
    request: Request,
    server: CurrentServer,
    _actor: CurrentActor,
    last_event_id: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Tell what becomes of a run while it becomes; the stream ends with the run.

    The first event of a stream is `state`: the run, as `GET /api/v1/runs/{run_id}` gives it. From then on `change` has
    what a list says of it, `published`, `progress` of all attempts that run, and of `tasks` and `checks` those that
    are new or not as they were.
    """
    asks = functools.partial(who_asks, request)
    return await run_event_stream(
        run_id, server=server, asks=asks, watch=request.app.state.watch, last_event_id=last_event_id
    )


@router.get("/runs/{run_id}/logs", name="read_run_logs", response_model=LogPage)
def read_run_logs(
    run_id: RunName,
    server: CurrentServer,
    actor: CurrentActor,
    task: Annotated[str | None, Query(max_length=63, description="Of one task only.")] = None,
    after: Annotated[int, Query(ge=0, le=2**53, description="`next` of the page before.")] = 0,
) -> Response:
    """Return what a run's tasks have said, in order."""
    found = server.runs.logs(run_id, actor=actor, task=task, after=after)
    items = [{"cursor": number, **show_log_line(line)} for number, line in found]
    return Json({"items": items, "next": items[-1]["cursor"] if items else None})


@router.get("/runs/{run_id}/tasks/{task}/items", name="list_task_items", response_model=ItemPage)
def list_task_items(
    run_id: RunName,
    task: TaskText,
    server: CurrentServer,
    actor: CurrentActor,
    cursor: ItemCursor = -1,
    limit: PageLimit = 100,
) -> Response:
    """Return what a task with a `for_each` is done for, and how each ended, in order."""
    found = server.runs.items(run_id, task, actor=actor, after=cursor, limit=limit + 1)
    page = found[:limit]
    following = str(page[-1].number) if len(found) > limit else None
    return Json({"items": [with_server_hints(show_item(item)) for item in page], "next": following})


@router.post("/runs/{run_id}/cancel", name="cancel_run", response_model=RunShown)
def cancel_run(run_id: RunName, server: CurrentServer, actor: CurrentActor) -> Response:
    """End a run: what waits at once, what runs soon; nothing more is published."""
    server.runs.cancel(run_id, actor=actor)
    return Json(whole_run(server, run_id, actor))


@router.post("/runs/{run_id}/resume", name="resume_run", status_code=202, response_model=RunShown)
def resume_run(run_id: RunName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Go on with a run that failed or was cancelled: only what did not succeed runs again."""
    server.runs.resume(run_id, actor=actor)
    return Json(whole_run(server, run_id, actor), status_code=202, headers={"Location": f"/api/v1/runs/{run_id}"})


@router.get("/backfills", name="list_backfills", response_model=BackfillPage)
def list_backfills(
    server: CurrentServer,
    actor: CurrentActor,
    project: Word = None,
    cursor: BackfillCursor = None,
    limit: PageLimit = 50,
) -> Response:
    """Return back-fills, newest first."""
    found = server.runs.backfills(actor=actor, project=project, before=cursor, limit=limit + 1)
    items = [show_backfill(each) for each in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.get("/backfills/{backfill_id}", name="read_backfill", response_model=BackfillShown)
def read_backfill(backfill_id: BackfillName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a back-fill, and how many of its runs are in each state."""
    return Json(show_backfill(_backfill(backfill_id, server, actor)))


@router.post("/backfills/{backfill_id}/resume", name="resume_backfill", status_code=202, response_model=BackfillShown)
def resume_backfill(backfill_id: BackfillName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Go on with the runs of a back-fill that failed or were cancelled."""
    return Json(show_backfill(server.runs.resume_backfill(backfill_id, actor=actor)), status_code=202)


@router.post("/backfills/{backfill_id}/cancel", name="cancel_backfill", response_model=BackfillShown)
def cancel_backfill(backfill_id: BackfillName, server: CurrentServer, actor: CurrentActor) -> Response:
    """End all runs of a back-fill that have not ended."""
    _backfill(backfill_id, server, actor)
    return Json(show_backfill(server.runs.cancel_backfill(backfill_id, actor=actor)))


def _backfill(backfill_id: str, server: Any, actor: Actor) -> Backfill:
    found: list[Backfill] = list(server.runs.backfills(actor=actor, backfill=backfill_id))
    if not found:
        raise NotFound(f"there is no back-fill {backfill_id}", hint="List them: GET /api/v1/backfills")
    return found[0]
