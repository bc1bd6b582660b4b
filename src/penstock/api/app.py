"""The application: every router of `api/routes`, with what stands around each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from penstock import __version__
from penstock.api import problems
from penstock.api.dependencies import Json
from penstock.api.document import document
from penstock.api.metrics import RequestMetrics, ServerMetrics
from penstock.api.middleware import Observed
from penstock.api.quick import Quick
from penstock.api.rates import RateLimiter
from penstock.api.requests import RequestFacts
from penstock.api.routes import routers
from penstock.api.watching import JobWatch
from penstock.core.access import Actor, AuditEvent

if TYPE_CHECKING:
    from penstock.wiring.server import Server

PREFIX: Final = "/api/v1"
_UNBOUNDED: Final = frozenset(  # held to the workspace's quota, and to what a project may have
    [("POST", f"{PREFIX}/jobs"), ("POST", f"{PREFIX}/projects")]
)


def create_app(server: Server) -> FastAPI:
    """Return the application for a server's use cases."""
    registry = CollectorRegistry()
    app = FastAPI(
        title="Penstock",
        summary="Run code you do not fully trust on data you must answer for.",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # there are our own
        default_response_class=Json,
        generate_unique_id_function=lambda route: route.name,
    )
    setattr(app, "openapi", lambda: document(app))  # noqa: B010  # as the framework documents it
    app.state.server = server
    app.state.registry = registry
    app.state.rates = RateLimiter()
    app.state.watch = JobWatch(server.jobs.ended, server.bells, at_hand=server.settings.embedded)
    registry.register(ServerMetrics(server.health.scrape, clock=server.clock))
    problems.install(app)
    found = routers()
    for router in found:
        app.include_router(router)
    app.state.routes = [route for router in found for route in router.routes]
    app.add_middleware(Quick, server=server, rates=app.state.rates, watch=app.state.watch)
    app.add_middleware(
        Observed,
        metrics=RequestMetrics(registry),
        crowd=app.state.rates.crowd,
        refused=_refusals(server),
        unbounded=_UNBOUNDED,
    )
    return app


def _refusals(server: Server) -> Any:
    def refused(actor: Actor | None, facts: RequestFacts) -> None:
        assert facts.error is not None
        if actor is None:
            return  # it belongs to no workspace; the log line has it
        event = AuditEvent(
            "request.refuse", facts.request_id, "refused", {"code": facts.error.code, "asked": facts.asked}
        )
        server.audit_log.refused(actor, event)

    return refused
