"""The two requests that come most, answered past the framework: a small job in JSON, and how a job stands.

The framework takes a millisecond of CPU for what is 0.3 ms of work: it matches routes, solves dependencies and passes
each step to a thread. Here a submit goes from the event loop to the thread that writes, and comes back with its
commit. Whatever is not plain (another type of body, a query, a header that stands there twice) goes the framework's
way, whose routes are what the OpenAPI document says. The answers are the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from penstock.api.dependencies import Json, hold_to_bounds
from penstock.api.job_models import show_job
from penstock.api.middleware import Application, Receive, Scope, Send
from penstock.api.rates import RateLimiter
from penstock.api.requests import ClientGone, facts_of
from penstock.api.submitting import answer, request_of
from penstock.api.uploads import take_envelope
from penstock.api.watching import JobWatch
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.jobs import ENDED, Job

if TYPE_CHECKING:
    from penstock.wiring.server import Server

_SUBMIT: Final = "/api/v1/jobs"
_READ: Final = re.compile(r"/api/v1/jobs/([A-Za-z0-9_]{1,64})")
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,200}")
_SMALL_BYTES: Final = limits.SMALL_BLOB.value * 1024  # a body so small holds records that are no file
_READERS: Final = 8
_ROUTES: Final = {  # as log lines and figures name them
    "GET": SimpleNamespace(path_format="/api/v1/jobs/{job_id}"),
    "POST": SimpleNamespace(path_format=_SUBMIT),
}
Headers = Mapping[bytes, bytes]


class Quick:
    """Answers what is plain, and passes everything else on.

    Args:
        app: the framework.
        server: the use cases.
        rates: what holds workspaces to their rate of requests.
        watch: tells when jobs have ended.
    """

    def __init__(self, app: Application, *, server: Server, rates: RateLimiter, watch: JobWatch) -> None:
        self._app = app
        self._server = server
        self._rates = rates
        self._watch = watch
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="job-reader")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        handler = self._handler(scope) if scope["type"] == "http" and not scope["query_string"] else None
        if handler is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = _ROUTES[scope["method"]]
            await handler(scope, receive, send)

    def _handler(self, scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]] | None:
        """Return what answers a request, None when the framework is to."""
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == _SUBMIT:
            headers = dict(scope["headers"])
            once = len(headers) == len(scope["headers"])
            return self._submit if once and _shows_key(headers) and _is_plain(headers) else None
        if method == "GET" and path.startswith(_SUBMIT) and _READ.fullmatch(path):
            return self._read if _shows_key(dict(scope["headers"])) else None
        return None

    async def _actor(self, scope: Scope, headers: Headers) -> Actor:
        """Return who asks, held to their rate; without the database when that was known a second ago."""
        facts, known = facts_of(scope), self._server.quotas.known
        facts.actor = actor = await self._who(scope, headers)
        workspace = actor.workspace
        quotas = known(workspace) or await self._in_thread(lambda: self._server.quotas.of(workspace))
        hold_to_bounds(self._rates, facts, actor, quotas)
        return actor

    async def _who(self, scope: Scope, headers: Headers) -> Actor:
        """Return who shows the key of a request as of now."""
        keys, facts = self._server.keys, facts_of(scope)
        key = headers[b"authorization"].decode("latin-1").partition(" ")[2].strip()
        actor = keys.recognise(key, origin=facts.origin, request_id=facts.request_id)
        if actor is None:
            actor = await self._in_thread(
                lambda: keys.authenticate(key, origin=facts.origin, request_id=facts.request_id)
            )
        return actor

    async def _submit(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        await self._actor(scope, headers)
        body = await _whole(receive)
        actor = await self._who(scope, headers)  # the body may have taken its time
        received = await self._taken(body, actor)
        key = headers.get(b"idempotency-key")
        request = request_of(received, key and key.decode())
        if request.options.webhook is not None:  # where it leads is looked at, which may take a second
            job, created = await self._in_thread(lambda: self._server.jobs.submit(request, actor=actor))
        else:
            accepted = self._server.jobs.submit_soon(request, actor=actor)
            accepted.add_done_callback(self._ring)  # before the event loop has its turn: by then a worker may be at it
            job, created = await asyncio.wrap_future(accepted)
        prefer = headers.get(b"prefer", b"").decode("latin-1")
        response = await answer(
            job, created=created, prefer=prefer, server=self._server, actor=actor, watch=self._watch
        )
        await response(scope, receive, send)

    async def _taken(self, body: bytes, actor: Actor) -> Any:
        # A pointer's object is read, and quotas that are not known any more are asked for: neither may hold the loop.
        if b'"blob"' in body or self._server.quotas.known(actor.workspace) is None:
            return await self._in_thread(lambda: take_envelope(body, self._server, actor))
        return take_envelope(body, self._server, actor)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        actor = await self._actor(scope, dict(scope["headers"]))
        job_id = scope["path"].rpartition("/")[2]
        jobs, waiting = self._server.jobs, None
        if self._server.settings.embedded:  # one row by its key, from memory: a tenth of what a thread's turn costs
            job = jobs.read(job_id, actor=actor)
        if not self._server.settings.embedded or job.state not in ENDED:
            job, waiting = await self._in_thread(lambda: jobs.look(job_id, actor=actor))
        await Json(show_job(job, waiting=waiting))(scope, receive, send)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def _ring(self, accepted: Future[tuple[Job, bool]]) -> None:
        """Wake the workers for a job that is new."""
        if accepted.exception() is None and accepted.result()[1]:
            self._server.queue.announce()


def _shows_key(headers: Headers) -> bool:
    return headers.get(b"authorization", b"")[:7].lower() == b"bearer " and headers[b"authorization"][7:].strip() != b""


def _is_plain(headers: Headers) -> bool:
    """Return whether a submit is small JSON whose headers say nothing unusual."""
    size = headers.get(b"content-length", b"")
    return (
        headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/json"
        and b"content-encoding" not in headers
        and size.isdigit()
        and len(size) < 8
        and int(size) <= _SMALL_BYTES
        and _KEY.fullmatch(headers.get(b"idempotency-key", b"-")) is not None
    )


async def _whole(receive: Receive) -> bytes:
    blocks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        blocks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(blocks)
