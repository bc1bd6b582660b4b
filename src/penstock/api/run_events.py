"""What becomes of a run, as server-sent events. Source: html.spec.whatwg.org, section 9.2."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from penstock.api.watching import JobWatch
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import NotFound, PenstockError, TooMany
from penstock.core.jobs import ENDED
from penstock.core.run_views import show_run
from penstock.core.runs import PipelineRun, Revision

_LOOK_S: Final = 0.4
_HEARTBEAT_S: Final = 15.0  # keeps proxies from thinking that nobody is there
_NAMES_MAX: Final = 1_000
_MARK: Final = 16


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose a run is: what does not change while it runs."""

    revision: Revision | None
    names: Mapping[str, str]


def whole_run(server: Any, run_id: str, actor: Actor, *, whose: Whose | None = None) -> dict[str, Any]:
    """Return all that is known of a run.

    Args:
        server: where it is read.
        run_id: of the run.
        actor: who asks.
        whose: when it is known already.

    Raises:
        NotFound: when the workspace has none under that id.
    """
    run = server.runs.get(run_id, actor=actor)
    whose = whose or _whose(server, run, actor)
    return show_run(
        run,
        progress=() if run.state in ENDED else server.runs.progress(run_id, actor=actor),
        checks=server.runs.checks(actor=actor, run=run_id),
        revision=whose.revision,
        names=whose.names,
    )


def member_names(server: Any, actor: Actor) -> Mapping[str, str]:
    """Return the names of a workspace's members by their ids."""
    return {member.id: member.name for member in server.members.list(actor=actor, limit=_NAMES_MAX)}


async def run_event_stream(
    run_id: str, *, server: Any, actor: Actor, watch: JobWatch, last_event_id: str | None
) -> Response:
    """Return the events of a run.

    Args:
        run_id: of the run.
        server: where it is read.
        actor: who watches.
        watch: counts who watches, and says when the server stops.
        last_event_id: the event that was seen last; what it said is not said again.

    Raises:
        NotFound: when there is no such run in the workspace.
        TooMany: when as many watch as this process can bear.
    """
    whose = await run_in_threadpool(lambda: _whose(server, server.runs.get(run_id, actor=actor), actor))
    look = functools.partial(whole_run, server, run_id, actor, whose=whose)
    shown = await run_in_threadpool(look)
    if shown["ended"] and last_event_id == _mark(shown):
        return Response(status_code=204)
    watching = watch.watching[actor.workspace]
    if watching >= limits.WATCHERS_WORKSPACE.value or watch.watchers >= limits.WATCHERS.value:
        raise TooMany(
            f"{watch.watchers:,} event streams are open here already, {watching:,} of them of this workspace",
            hint="Ask for the run itself now and then: GET /api/v1/runs/{id}",
            retry_after_s=5,
        )
    return StreamingResponse(
        _events(shown, look, actor, watch, last_event_id or ""),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    shown: dict[str, Any], look: Callable[[], dict[str, Any]], actor: Actor, watch: JobWatch, seen: str
) -> AsyncIterator[bytes]:
    state = ""
    began_s = said_s = time.monotonic()
    with watch.watcher(actor.workspace):
        # Who still may listen comes back with Last-Event-ID.
        while not watch.stopping.is_set() and time.monotonic() - began_s < limits.EVENT_STREAM.value:
            mark = _mark(shown)
            if mark != seen:
                yield _event("progress" if shown["state"] == state else "state", mark, shown)
                seen, state, said_s = mark, shown["state"], time.monotonic()
            elif time.monotonic() - said_s > _HEARTBEAT_S:
                yield b": still there\n\n"
                said_s = time.monotonic()
            if shown["ended"]:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await watch.stopping.wait()
            try:
                shown = await run_in_threadpool(look)
            except PenstockError:
                return  # the stream breaks off, and whoever listens comes back with Last-Event-ID


def _mark(shown: Mapping[str, Any]) -> str:
    """Return what changes when there is something to tell."""
    return hashlib.sha256(orjson.dumps(shown)).hexdigest()[:_MARK]


def _event(kind: str, mark: str, shown: Mapping[str, Any]) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (mark.encode(), kind.encode(), orjson.dumps(shown))


def _whose(server: Any, run: PipelineRun, actor: Actor) -> Whose:
    try:
        revisions = server.projects.revisions(run.project, actor=actor)
    except NotFound:
        revisions = ()
    found = next((each for each in revisions if each.revision == run.revision), None)
    return Whose(found, member_names(server, actor))
