"""Checks: what became of expectation suites on tables."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.api.run_models import CheckCursor, CheckPage, PageLimit
from penstock.core.run_views import show_check

router = APIRouter(prefix="/api/v1/checks", tags=["checks"])


@router.get("", name="list_checks", response_model=CheckPage)
def list_checks(
    server: CurrentServer,
    actor: CurrentActor,
    run: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_]{1,64}$", description="Of one run.")] = None,
    table: Annotated[
        str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,99}\.[a-z][a-z0-9_]{0,99}$", description="Of one table.")
    ] = None,
    cursor: CheckCursor = None,
    limit: PageLimit = 100,
) -> Response:
    """Return results of suites, newest first."""
    found = server.runs.checks(actor=actor, run=run, table=table, before=cursor, limit=limit + 1)
    page = found[:limit]
    return Json({"items": [show_check(check) for check in page], "next": page[-1].id if len(found) > limit else None})
