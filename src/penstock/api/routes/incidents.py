"""Incidents of pipelines: what is wrong since when, what is over, and whom it was told."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.api.incident_models import IncidentCursor, IncidentName, IncidentPage, IncidentShown
from penstock.core.alerts import IncidentFilter, IncidentId
from penstock.core.run_views import show_incident

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])
Word = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.get("", name="list_incidents", response_model=IncidentPage)
def list_incidents(
    server: CurrentServer,
    actor: CurrentActor,
    project: Word = None,
    pipeline: Word = None,
    state: Literal["open", "closed"] | None = None,
    cursor: IncidentCursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Return incidents, newest first, each with what people were told of it."""
    wanted = IncidentFilter(
        project=project,
        pipeline=pipeline,
        over=None if state is None else state == "closed",
        before=None if cursor is None else IncidentId(cursor),
        limit=limit + 1,
    )
    found = server.incidents.list(wanted, actor=actor)
    items = [show_incident(*each) for each in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.get("/{incident_id}", name="read_incident", response_model=IncidentShown)
def read_incident(incident_id: IncidentName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return an incident, with what people were told of it."""
    return Json(show_incident(*server.incidents.read(incident_id, actor=actor)))
