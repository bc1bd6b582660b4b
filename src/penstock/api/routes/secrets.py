"""Secrets: their names come out, their values never."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from penstock.api.access_models import Limit, NameCursor, RotationShown, SecretAsk, SecretPage, show_secret
from penstock.api.dependencies import CurrentActor, CurrentServer, Json

router = APIRouter(prefix="/api/v1/secrets", tags=["secrets"])

SecretName = Annotated[str, Path(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="As in `${secret:NAME}`.")]


@router.get("", name="list_secrets", response_model=SecretPage)
def list_secrets(server: CurrentServer, actor: CurrentActor, cursor: NameCursor = "", limit: Limit = 100) -> Response:
    """Return names and dates."""
    found = server.secrets.list(actor=actor, after=cursor, limit=limit + 1)
    names = server.members.names([secret.updated_by for secret in found], actor=actor)
    items = [show_secret(secret, names=names) for secret in found[:limit]]
    return Json({"items": items, "next": items[-1]["name"] if len(found) > limit else None})


@router.put("/{name}", name="put_secret", status_code=204)
def put_secret(name: SecretName, ask: SecretAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Store a secret, in place of the one of that name."""
    server.secrets.put(name, ask.value.encode(), actor=actor)
    return Response(status_code=204)


@router.delete("/{name}", name="remove_secret", status_code=204)
def remove_secret(name: SecretName, server: CurrentServer, actor: CurrentActor) -> Response:
    """Remove a secret."""
    server.secrets.remove(name, actor=actor)
    return Response(status_code=204)


@router.post("/rotate", name="rotate_secrets", response_model=RotationShown)
def rotate_secrets(server: CurrentServer, actor: CurrentActor) -> Response:
    """Encrypt every secret anew, by a new data key."""
    return Json({"secrets": server.secrets.rotate(actor=actor)})
