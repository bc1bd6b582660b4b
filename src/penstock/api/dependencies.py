"""What handlers ask for: the server's use cases, and who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer
from starlette.responses import JSONResponse

from penstock.api.rates import RateLimiter
from penstock.api.requests import RequestFacts, facts_of
from penstock.core import limits
from penstock.core.access import Actor, Quotas
from penstock.core.errors import NotLoggedIn, TooMany

if TYPE_CHECKING:
    from penstock.wiring.server import Server

_BEARER: Final = HTTPBearer(auto_error=False, description="An API key, as `penstock keys create` shows it once.")
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Same key and body, same answer: nothing is begun twice.",
    ),
]
_HINT: Final = "Send `Authorization: Bearer <API key>`; `penstock login` or `penstock keys create` makes a key."


class Json(JSONResponse):
    """A JSON response; times in it are ISO 8601 texts already."""

    def render(self, content: Any) -> bytes:
        """Return the content as JSON."""
        return orjson.dumps(content, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set | tuple):
        return sorted(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON")


async def current_server(request: Request) -> Any:
    """Return the use cases and adapters of this server; no thread is worth it."""
    return request.app.state.server


def current_actor(request: Request, _shown: Annotated[Any, Depends(_BEARER)]) -> Actor:
    """Return who asks, by the API key of the request.

    Raises:
        NotLoggedIn: when there is no key, or it is not valid any more.
        TooMany: when the workspace sends more requests a second than its quota allows, or has too many at once.
    """
    server: Server = request.app.state.server
    facts = facts_of(request.scope)
    facts.actor = actor = who_asks(request)
    hold_to_bounds(request.app.state.rates, facts, actor, server.quotas.of(actor.workspace))
    return actor


def who_asks(request: Request) -> Actor:
    """Return who shows the key of a request as of now: what lasts asks again.

    Raises:
        NotLoggedIn: when there is no key, or it is not valid any more.
    """
    facts, server = facts_of(request.scope), request.app.state.server
    found: Actor = server.keys.authenticate(bearer_key(request), origin=facts.origin, request_id=facts.request_id)
    return found


def bearer_key(request: Request) -> str:
    """Return the key that a request shows."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise NotLoggedIn("the request shows no API key", hint=_HINT)
    return key.strip()


def hold_to_bounds(rates: RateLimiter, facts: RequestFacts, actor: Actor, quotas: Quotas) -> None:
    """Take one request of a workspace's rate, and of those that it may have at once.

    Raises:
        TooMany: when it sends more requests a second than its quota allows, or so many are being answered.
    """
    facts.entered = rates.crowd.enter(actor.workspace, most=limits.REQUESTS_WORKSPACE.value)
    if not facts.entered:
        raise TooMany(
            f"{limits.REQUESTS_WORKSPACE.value:,} requests of the workspace are being answered here",
            hint="Send fewer at once, and read what is answered to its end.",
            retry_after_s=1,
        )
    wait_s = rates.take(actor.workspace, per_s=quotas.requests_per_s)
    if wait_s:
        raise TooMany(
            f"the workspace sends more than its {quotas.requests_per_s:,} requests a second",
            hint="Wait for the seconds that Retry-After says, or ask for a higher quota.",
            retry_after_s=wait_s,
        )


CurrentActor = Annotated[Actor, Depends(current_actor)]
CurrentServer = Annotated[Any, Depends(current_server)]
