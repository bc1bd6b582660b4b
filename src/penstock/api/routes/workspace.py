"""The workspace: its quotas, what it uses, and its policy."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from penstock.api.access_models import (
    QuotaShown,
    WorkspaceAsk,
    WorkspaceShown,
    changed_quotas,
    new_policy,
    show_usage,
    show_workspace,
)
from penstock.api.dependencies import CurrentActor, CurrentServer, Json

router = APIRouter(prefix="/api/v1", tags=["workspace"])


@router.get("/workspace", name="read_workspace", response_model=WorkspaceShown)
def read_workspace(server: CurrentServer, actor: CurrentActor) -> Response:
    """Return the workspace."""
    return Json(show_workspace(server.workspaces.read(actor=actor)))


@router.patch("/workspace", name="change_workspace", response_model=WorkspaceShown)
def change_workspace(ask: WorkspaceAsk, server: CurrentServer, actor: CurrentActor) -> Response:
    """Tighten quotas or the egress policy; what loosens them is a command on the server's machine."""
    present = server.workspaces.read(actor=actor)
    changed = server.workspaces.change(
        actor=actor, quotas=changed_quotas(ask.quotas, present.quotas), policy=new_policy(ask.egress)
    )
    return Json(show_workspace(changed))


@router.get("/quota", name="read_quota", response_model=QuotaShown)
def read_quota(server: CurrentServer, actor: CurrentActor) -> Response:
    """Return what the workspace may use, and what it uses now."""
    return Json(show_usage(*server.quotas.read(actor=actor)))
