"""Around every request: its id, its bounds, its log line, its figures, and a clean answer when something breaks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders

from penstock.api.metrics import RequestMetrics
from penstock.api.problems import BodyTimeout, bug, respond
from penstock.api.rates import Crowd
from penstock.api.requests import ClientGone, RequestFacts, keep_facts
from penstock.base.ids import new_id
from penstock.base.logs import get_log
from penstock.base.text import harmless
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import NotAllowed, NotLoggedIn, PenstockError, ServerUnavailable, TooLarge, TooMany

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METHODS: Final = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
_PROBES: Final = frozenset(["/health", "/health/live", "/health/ready"])  # a full server is not to be restarted
_MIB: Final = 2**20
_QUICK_S: Final = 0.05
_QUICK_BYTES: Final = 256 * 1024


class Observed:
    """Watches requests; the only `except Exception` of the HTTP door."""

    def __init__(
        self,
        app: Application,
        *,
        metrics: RequestMetrics,
        crowd: Crowd,
        refused: Callable[[Actor | None, RequestFacts], None],
        unbounded: frozenset[tuple[str, str]],
    ) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            metrics: where requests are counted.
            crowd: counts the requests of each workspace, and the slow bodies of each address.
            refused: records that somebody was refused.
            unbounded: methods and paths that hold their bodies to bounds of their own.
        """
        self._app = app
        self._metrics = metrics
        self._crowd = crowd
        self._refused = refused
        self._unbounded = unbounded
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = (scope.get("client") or ("unknown", 0))[0]
        facts = RequestFacts(_request_id(scope), origin, harmless(f"{scope['method']} {scope['path']}"[:200]))
        keep_facts(scope, facts)
        bounded = (scope["method"], scope["path"]) not in self._unbounded
        bytes_max = limits.REQUEST_BODY.value * _MIB if bounded else None
        body = _Body(receive, facts, crowd=self._crowd, bytes_max=bytes_max)
        answer = _Answer(send, facts, body)
        self._running += 1
        self._metrics.running.set(self._running)
        try:
            await self._answer(scope, body, answer, facts)
        finally:
            self._running -= 1
            self._metrics.running.set(self._running)
            if facts.entered and facts.actor is not None:
                self._crowd.leave(facts.actor.workspace)
            self._tell(scope, facts)
            if isinstance(facts.error, NotLoggedIn | NotAllowed):
                await asyncio.to_thread(self._refused, facts.actor, facts)

    async def _answer(self, scope: Scope, body: _Body, answer: _Answer, facts: RequestFacts) -> None:
        try:
            if scope["path"] not in _PROBES:
                self._refuse_when_full()
            await self._app(scope, body.receive, answer.send)
        except ClientGone:
            facts.status = facts.status or 499  # as nginx notes it: nobody is there to be answered
        except Exception as error:  # noqa: BLE001  # the door: a bug becomes an answer without details
            facts.error = error if isinstance(error, PenstockError) else bug(error)
            if not facts.status:
                response = respond(facts.error, request_id=facts.request_id)
                await response(scope, body.receive, answer.send)
            else:
                # The head is out: only a broken connection still tells that the body is not whole.
                raise _Broken from None

    def _refuse_when_full(self) -> None:
        if self._running > limits.REQUESTS_RUNNING.value:
            raise ServerUnavailable(
                f"this server answers {limits.REQUESTS_RUNNING.value:,} requests already",
                hint="Try again in a moment.",
                retry_after_s=1,
            )

    def _tell(self, scope: Scope, facts: RequestFacts) -> None:
        duration_s = time.monotonic() - facts.started_s
        route = getattr(scope.get("route"), "path_format", None) or "none"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.finished(
            method=method,
            route=route,
            status=facts.status,
            duration_s=duration_s,
            received_bytes=facts.received_bytes,
            sent_bytes=facts.sent_bytes,
        )
        get_log().info(
            "request.finished",
            request_id=facts.request_id,
            method=method,
            route=route,
            status=facts.status,
            code=facts.error.code if facts.error else None,
            duration_ms=round(duration_s * 1000, 1),
            workspace=facts.actor.workspace if facts.actor else None,
            member=facts.actor.member if facts.actor else None,
            origin=facts.origin,
            received_bytes=facts.received_bytes,
            sent_bytes=facts.sent_bytes,
            **facts.notes,
        )


class _Broken(Exception):
    """A response that cannot be finished; the server closes the connection."""


class _Body:
    """The body of a request, held to a size and a pace; of those that nobody is known to send, an address has a few."""

    def __init__(self, receive: Receive, facts: RequestFacts, *, crowd: Crowd, bytes_max: int | None) -> None:
        self._receive = receive
        self._facts = facts
        self._crowd = crowd
        self._bytes_max = bytes_max
        self._waited_s = 0.0
        self._complete = False

    async def receive(self) -> Message:
        """Return the next piece."""
        if self._complete:
            return await self._receive()  # what waits for the other end to go may wait long
        message = await (self._next() if self._facts.actor is not None else self._next_of_nobody())
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._facts.received_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes_max is not None and self._facts.received_bytes > self._bytes_max:
            raise TooLarge(
                f"the body is larger than {self._bytes_max // _MIB} MiB",
                hint="Send less; records in bulk belong into POST /api/v1/jobs, as a body of their own.",
            )
        return message

    @property
    def complete(self) -> bool:
        """Whether the whole body has come."""
        return self._complete

    async def drain(self, timeout_s: float, *, bytes_max: int) -> None:
        """Throw away what still comes, within bounds."""
        left_bytes = bytes_max
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self._complete and left_bytes > 0:
                    message = await self._receive()
                    left_bytes -= len(message.get("body", b""))
                    self._complete = message["type"] == "http.disconnect" or not message.get("more_body", False)

    async def _next_of_nobody(self) -> Message:
        """Return the next piece of a body that comes before a key was looked at."""
        name = f"body from {self._facts.origin}"
        if not self._crowd.enter(name, most=limits.BODIES_ANONYMOUS.value):
            raise TooMany(
                f"{limits.BODIES_ANONYMOUS.value} requests from {self._facts.origin} are sending their bodies already",
                hint="Send fewer at once, and each in one go.",
                retry_after_s=1,
            )
        try:
            return await self._next()
        finally:
            self._crowd.leave(name)

    async def _next(self) -> Message:
        # What arrived buys time: neither a silent sender nor one that drips a byte now and then holds on for ever.
        bought_s = self._facts.received_bytes / limits.BODY_RATE.value
        left_s = limits.BODY_IDLE.value + bought_s - self._waited_s
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(min(left_s, limits.BODY_IDLE.value)):
                return await self._receive()
        except TimeoutError:
            raise BodyTimeout(
                f"the body came too slowly: {self._facts.received_bytes:,} bytes in all, and then nothing in time",
                hint=f"Send it at {limits.BODY_RATE.value:,} bytes a second at least.",
            ) from None
        finally:
            self._waited_s += time.monotonic() - started_s


class _Answer:
    """A response on its way, with the request's id on it."""

    def __init__(self, send: Send, facts: RequestFacts, body: _Body) -> None:
        self._send = send
        self._facts = facts
        self._body = body
        self._early = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._facts.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._facts.request_id
            if message["status"] >= 400 and not self._body.complete:
                # What is little and there already is taken, so that the connection can be used again.
                await self._body.drain(_QUICK_S, bytes_max=_QUICK_BYTES)
                self._early = not self._body.complete
            if self._early:
                headers["Connection"] = "close"
        elif message["type"] == "http.response.body":
            self._facts.sent_bytes += len(message.get("body", b""))
            if self._early and not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                # A connection closed while bytes still come would lose the answer too.
                await self._body.drain(limits.BODY_DRAIN.value, bytes_max=sys.maxsize)
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_id("req")
