"""Logging in: a one-time token for an API key; and who asks."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from penstock.api.access_models import LoggedInShown, LoginAsk, MeShown, show_member, show_workspace
from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.api.requests import facts_of
from penstock.base.times import iso
from penstock.core import limits
from penstock.core.errors import TooMany

router = APIRouter(prefix="/api/v1", tags=["login"])


@router.post("/login", name="log_in", response_model=LoggedInShown)
def log_in(ask: LoginAsk, request: Request, server: CurrentServer) -> Response:
    """Exchange a one-time token for an API key; this alone needs no key."""
    facts = facts_of(request.scope)
    wait_s = request.app.state.rates.take(f"login from {facts.origin}", per_s=limits.LOGIN_RATE.value)
    if wait_s:
        raise TooMany(
            f"more than {limits.LOGIN_RATE.value} logins a second came from {facts.origin}",
            hint="Wait for the seconds that Retry-After says.",
            retry_after_s=wait_s,
        )
    logged_in = server.workspaces.login(ask.token, origin=facts.origin, request_id=facts.request_id)
    return Json(
        {
            "api_key": logged_in.api_key,
            "expires_at": iso(logged_in.expires_at),
            "workspace": show_workspace(logged_in.workspace),
            "member": show_member(logged_in.member),
        },
        headers={"Cache-Control": "no-store"},
    )


@router.get("/me", name="read_me", response_model=MeShown)
def read_me(server: CurrentServer, actor: CurrentActor) -> Response:
    """Return who asks, and what that key may do."""
    return Json(
        {
            "workspace": show_workspace(server.workspaces.read(actor=actor)),
            "member": actor.member,
            "name": actor.name,
            "role": actor.role,
            "permissions": sorted(actor.permissions),
            "key": actor.key,
        }
    )
