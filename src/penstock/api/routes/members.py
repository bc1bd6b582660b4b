"""Members: who may work in the workspace, and as what."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from penstock.api.access_models import (
    Limit,
    MemberAsk,
    MemberName,
    MemberPage,
    MemberShown,
    NameCursor,
    NewMember,
    RoleAsk,
    TokenShown,
    show_member,
)
from penstock.api.dependencies import CurrentActor, CurrentServer, Json

router = APIRouter(prefix="/api/v1/members", tags=["members"])


@router.get("", name="list_members", response_model=MemberPage)
def list_members(server: CurrentServer, actor: CurrentActor, cursor: NameCursor = "", limit: Limit = 100) -> Response:
    """Return the members, the first first."""
    found = server.members.list(actor=actor, after=cursor, limit=limit + 1)
    items = [show_member(member) for member in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.post("", name="add_member", status_code=201, response_model=NewMember)
def add_member(ask: MemberAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Add a member, and return the token for their first login; somebody who was removed comes back."""
    member, token = server.members.add(ask.name, role=ask.role, actor=actor)
    return Json({**show_member(member), "token": token}, status_code=201, headers={"Cache-Control": "no-store"})


@router.patch("/{member}", name="change_member", response_model=MemberShown)
def change_member(member: MemberName, ask: RoleAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Give a member another role; it takes effect with their next request."""
    return Json(show_member(server.members.change_role(member, role=ask.role, actor=actor)))


@router.delete("/{member}", name="remove_member", status_code=204)
def remove_member(member: MemberName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Remove a member and end every key of theirs; the last admin stays."""
    server.members.remove(member, actor=actor)
    return Response(status_code=204)


@router.post("/{member}/token", name="issue_login_token", response_model=TokenShown)
def issue_login_token(member: MemberName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a new token for a login of a member; earlier ones end."""
    token = server.members.issue_token(member, actor=actor)
    return Json({"token": token}, headers={"Cache-Control": "no-store"})
