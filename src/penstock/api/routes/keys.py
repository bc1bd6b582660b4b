"""API keys: made, listed, ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from penstock.api.access_models import KeyAsk, KeyPage, KeyShown, Limit, NameCursor, NewKey, show_key
from penstock.api.dependencies import CurrentActor, CurrentServer, Json
from penstock.core.access import Actor, ApiKey

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

KeyName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,64}$", description="The id of a key: key_01...")]


@router.get("", name="list_keys", response_model=KeyPage)
def list_keys(server: CurrentServer, actor: CurrentActor, cursor: NameCursor = "", limit: Limit = 100) -> Response:
    """Return one's own keys; everybody's for who may end them."""
    found = server.keys.list(actor=actor, after=cursor, limit=limit + 1)
    names = server.members.names([key.member for key in found], actor=actor)
    items = [show_key(key, names=names) for key in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.post("", name="create_key", status_code=201, response_model=NewKey)
def create_key(ask: KeyAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Make a key and show it, this once."""
    key, text = server.keys.create(
        ask.name,
        actor=actor,
        member=ask.member,
        scopes=None if ask.scopes is None else frozenset(ask.scopes),
        expires_at=None if ask.expires_at is None else ask.expires_at.timestamp(),
    )
    shown = {**_key(key, server, actor), "api_key": text}
    return Json(shown, status_code=201, headers={"Cache-Control": "no-store"})


@router.delete("/{key}", name="revoke_key", response_model=KeyShown)
def revoke_key(key: KeyName, server: CurrentServer, actor: CurrentActor) -> Response:
    """End a key at once."""
    return Json(_key(server.keys.revoke(key, actor=actor), server, actor))


def _key(key: ApiKey, server: Any, actor: Actor) -> dict[str, Any]:
    return show_key(key, names=server.members.names([key.member], actor=actor))
