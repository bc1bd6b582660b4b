"""The audit log: who did what, and whether the log is whole."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from penstock.api.access_models import AuditPage, ChainShown, Limit, Word, show_chain, show_event
from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.core.access import AuditFilter

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

Place = Annotated[str | None, Query(pattern=r"^[0-9]{1,15}:[0-9a-f]{64}$")]


@router.get("", name="list_audit", response_model=AuditPage)
def list_audit(
    server: CurrentServer,
    actor: CurrentActor,
    action: Annotated[Word | None, Query(description="Such as `job.submit`.")] = None,
    member: Annotated[Word | None, Query(description="The id of who did it.")] = None,
    subject: Annotated[Word | None, Query(description="The id of what it was done to.")] = None,
    outcome: Literal["done", "refused"] | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$", description="`next` of the page before.")] = None,
    limit: Limit = 100,
) -> Response:
    """Return audit events, the newest first; that they were read is one too."""
    wanted = AuditFilter(
        action=action,
        member=member,
        subject=subject,
        outcome=outcome,
        since=None if since is None else since.timestamp(),
        until=None if until is None else until.timestamp(),
        before=None if cursor is None else int(cursor),
        limit=limit + 1,
    )
    found = server.audit_log.list(wanted, actor=actor)
    items = [show_event(row) for row in found[:limit]]
    return Json({"items": items, "next": str(items[-1]["id"]) if len(found) > limit else None})


@router.get("/verification", name="verify_audit", response_model=ChainShown)
def verify_audit(server: CurrentServer, actor: CurrentActor, start: Place = None, known: Place = None) -> Response:
    """Check a stretch of the chain: from `start`, and that it passes through `known`, both as `<number>:<hash>`."""
    return Json(show_chain(server.audit_log.verify(actor=actor, start=_place(start), known=_place(known))))


def _place(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, hash_ = text.partition(":")
    return int(number), hash_
