"""Health and figures, for whatever watches the server. None needs a key, and none tells of a tenant's data."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from penstock import __version__
from penstock.api.dependencies import CurrentServer, Json
from penstock.core.figures import Health

router = APIRouter(tags=["health"])


class HealthShown(BaseModel):
    """Whether the server is well."""

    state: Literal["ok", "degraded", "unavailable"]
    version: str
    checks: dict[str, str] = Field(description="A sentence for each part that is not well.")
    workers: int
    sandbox_level: str | None = Field(description="The weakest of all workers.")
    queue_lag_s: float = Field(description="How long the foremost ready entry has waited.")


@router.head("/health", include_in_schema=False)
@router.get("/health", name="read_health", response_model=HealthShown)
def read_health(server: CurrentServer) -> Response:
    """Return the state of the server; always 200, so that the words can be read."""
    return Json(_show(server.health.check()))


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live", name="read_live")
async def read_live() -> dict[str, str]:
    """Answer: the process is alive."""
    return {"state": "ok"}


@router.head("/health/ready", include_in_schema=False)
@router.get(
    "/health/ready",
    name="read_ready",
    response_model=HealthShown,
    responses={503: {"model": HealthShown, "description": "It cannot take jobs now."}},
)
def read_ready(server: CurrentServer) -> Response:
    """Return whether jobs can be taken: 200, or 503."""
    health = server.health.check()
    return Json(_show(health), status_code=503 if health.state == "unavailable" else 200)


@router.get(
    "/metrics",
    name="read_metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {}}, "description": "Figures in Prometheus' text format."}},
)
def read_metrics(request: Request) -> Response:
    """Return figures for Prometheus."""
    return Response(generate_latest(request.app.state.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _show(health: Health) -> dict[str, object]:
    return {
        "state": health.state,
        "version": __version__,
        "checks": dict(health.checks),
        "workers": health.workers,
        "sandbox_level": health.sandbox_level,
        "queue_lag_s": round(health.queue_lag_s, 3),
    }
