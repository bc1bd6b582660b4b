"""What becomes of a job, as server-sent events. Source: html.spec.whatwg.org, section 9.2."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from penstock.api.job_models import show_job
from penstock.api.watching import JobWatch
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import PenstockError, TooMany
from penstock.core.jobs import ENDED, Job, Waiting

_LOOK_S: Final = 0.5  # how often progress is looked at; the end is told at once
_Seen = tuple[Job, Waiting | None, Actor]
_HEARTBEAT_S: Final = 15.0  # keeps proxies from thinking that nobody is there


async def event_stream(
    job_id: str, *, server: Any, asks: Callable[[], Actor], watch: JobWatch, last_event_id: str | None
) -> Response:
    """Return the events of a job.

    Args:
        job_id: of the job.
        server: where it is read.
        asks: says who watches, each time anew: keys end, and roles change.
        watch: tells when it ends.
        last_event_id: the event that was seen last; what it said is not said again.

    Raises:
        NotFound: when there is no such job in the workspace.
        TooMany: when as many watch as this process can bear.
    """
    look = functools.partial(_read, server, job_id, asks)
    job, waiting, actor = await run_in_threadpool(look)
    if job.state in ENDED and last_event_id == _mark(job, waiting):
        return Response(status_code=204)
    watching = watch.watching[actor.workspace]
    if watching >= limits.WATCHERS_WORKSPACE.value or watch.watchers >= limits.WATCHERS.value:
        raise TooMany(
            f"{watch.watchers:,} jobs are watched here already, {watching:,} of them by this workspace",
            hint="Ask for the job itself now and then: GET /api/v1/jobs/{id}",
            retry_after_s=5,
        )
    return StreamingResponse(
        _events(job, waiting, look, watch.watcher(actor.workspace), watch, last_event_id or ""),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    job: Job, waiting: Waiting | None, look: Callable[[], _Seen], watching: Any, watch: JobWatch, seen: str
) -> AsyncIterator[bytes]:
    before: Job | None = None
    began_s = said_s = time.monotonic()
    with watching:
        while not watch.stopping.is_set() and time.monotonic() - began_s < limits.EVENT_STREAM.value:
            mark = _mark(job, waiting)
            if mark != seen:
                kind = "state" if before is None or before.state != job.state else "progress"
                yield _event("waiting" if kind == "progress" and job.state == "queued" else kind, mark, job, waiting)
                seen, before, said_s = mark, job, time.monotonic()
            elif time.monotonic() - said_s > _HEARTBEAT_S:
                yield b": still there\n\n"
                said_s = time.monotonic()
            if job.state in ENDED:
                return
            await watch.until_end(job.id, timeout_s=_LOOK_S)
            try:
                job, waiting, _ = await run_in_threadpool(look)
            except PenstockError:
                # The stream breaks off, and whoever still may listen comes back with Last-Event-ID.
                await asyncio.sleep(_LOOK_S)
                return


def _read(server: Any, job_id: str, asks: Callable[[], Actor]) -> _Seen:
    actor = asks()
    job = server.jobs.read(job_id, actor=actor)
    return job, None if job.state in ENDED else server.jobs.waiting(job_id, actor=actor), actor


def _mark(job: Job, waiting: Waiting | None) -> str:
    """Return what changes when there is something to tell."""
    why = waiting.code if waiting and job.state == "queued" else ""
    return f"{job.state}-{job.counts.records}-{job.chunks_done}-{job.chunks or 0}-{why}"


def _event(kind: str, mark: str, job: Job, waiting: Waiting | None) -> bytes:
    data = orjson.dumps(show_job(job, waiting=waiting))
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (mark.encode(), kind.encode(), data)
