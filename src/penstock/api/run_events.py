"""What becomes of a run, as server-sent events. Source: html.spec.whatwg.org, section 9.2."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from penstock.api.watching import JobWatch
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import NotFound, PenstockError, TooMany
from penstock.core.hints import with_server_hints
from penstock.core.jobs import ENDED
from penstock.core.run_views import show_change, show_run
from penstock.core.runs import CheckResult, PipelineRun, Revision, TaskProgress

_LOOK_S: Final = 0.4
_HEARTBEAT_S: Final = 15.0  # keeps proxies from thinking that nobody is there
_MARK: Final = 16


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose a run is: what does not change while it runs."""

    revision: Revision | None
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as it was looked at."""

    run: PipelineRun
    progress: Sequence[TaskProgress]
    checks: Sequence[CheckResult]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.run.state in ENDED

    def whole(self, whose: Whose) -> dict[str, Any]:
        """Return all of it."""
        shown = show_run(
            self.run, progress=self.progress, checks=self.checks, revision=whose.revision, names=whose.names
        )
        return with_server_hints(shown)

    def change(self, before: Seen, whose: Whose) -> dict[str, Any] | None:
        """Return what has changed; None when it is not the same tasks any more."""
        if [task.name for task in self.run.tasks] != [task.name for task in before.run.tasks]:
            return None
        known = {(check.task, check.table, check.suite, check.at) for check in before.checks}
        checks = [each for each in self.checks if (each.task, each.table, each.suite, each.at) not in known]
        change = show_change(self.run, before=before.run, progress=self.progress, checks=checks, names=whose.names)
        return with_server_hints(change)


def whole_run(server: Any, run_id: str, actor: Actor) -> dict[str, Any]:
    """Return all that is known of a run.

    Raises:
        NotFound: when the workspace has none under that id.
    """
    seen = _look(server, run_id, actor, None)
    return seen.whole(_whose(server, seen.run, actor))


async def run_event_stream(
    run_id: str, *, server: Any, asks: Callable[[], Actor], watch: JobWatch, last_event_id: str | None
) -> Response:
    """Return the events of a run: `state`, all of it, and from then on `change`, its head and what has changed.

    Args:
        run_id: of the run.
        server: where it is read.
        asks: says who watches, each time anew: keys end, and roles change.
        watch: counts who watches, and says when the server stops.
        last_event_id: the event that was seen last; what it said is not said again, and what is said next is whole.

    Raises:
        NotFound: when there is no such run in the workspace.
        TooMany: when as many watch as this process can bear.
    """
    actor = await run_in_threadpool(asks)
    whose = await run_in_threadpool(lambda: _whose(server, server.runs.get(run_id, actor=actor), actor))

    def look(before: Seen | None) -> Seen:
        return _look(server, run_id, asks(), before)

    seen = await run_in_threadpool(look, None)
    if seen.ended and last_event_id == _mark(seen.whole(whose)):
        return Response(status_code=204)
    watching = watch.watching[actor.workspace]
    if watching >= limits.WATCHERS_WORKSPACE.value or watch.watchers >= limits.WATCHERS.value:
        raise TooMany(
            f"{watch.watchers:,} event streams are open here already, {watching:,} of them of this workspace",
            hint="Ask for the run itself now and then: GET /api/v1/runs/{id}",
            retry_after_s=5,
        )
    return StreamingResponse(
        _events(seen, look, whose, actor, watch, last_event_id or ""),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    seen: Seen, look: Callable[[Seen], Seen], whose: Whose, actor: Actor, watch: JobWatch, last_mark: str
) -> AsyncIterator[bytes]:
    told: Seen | None = None  # what whoever listens has from this stream
    changed = True
    began_s = said_s = time.monotonic()
    with watch.watcher(actor.workspace):
        while not watch.stopping.is_set() and time.monotonic() - began_s < limits.EVENT_STREAM.value:
            mark, event = await run_in_threadpool(_told, seen, told, whose) if changed else (last_mark, b"")
            if mark != last_mark:
                yield event
                told, last_mark, said_s = seen, mark, time.monotonic()
            elif time.monotonic() - said_s > _HEARTBEAT_S:
                yield b": still there\n\n"
                said_s = time.monotonic()
            if seen.ended:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await watch.stopping.wait()
            before = seen
            try:
                seen = await run_in_threadpool(look, before)
            except PenstockError:
                return  # the stream breaks off, and whoever still may listen comes back with Last-Event-ID
            changed = seen != before


def _look(server: Any, run_id: str, actor: Actor, before: Seen | None) -> Seen:
    run = server.runs.get(run_id, actor=actor)
    progress = () if run.state in ENDED else server.runs.progress(run_id, actor=actor)
    if before is not None and run == before.run:  # a task that has left a check goes on to its end
        return Seen(run, progress, before.checks)
    return Seen(run, progress, server.runs.checks(actor=actor, run=run_id))


def _told(seen: Seen, told: Seen | None, whose: Whose) -> tuple[str, bytes]:
    """Return the mark of what was seen, and the event that says it to whoever has what was told."""
    whole = seen.whole(whose)
    mark = _mark(whole)
    change = None if told is None else seen.change(told, whose)
    return mark, _event("state", mark, whole) if change is None else _event("change", mark, change)


def _mark(shown: Mapping[str, Any]) -> str:
    """Return what changes when there is something to tell."""
    return hashlib.sha256(orjson.dumps(shown)).hexdigest()[:_MARK]


def _event(kind: str, mark: str, shown: Mapping[str, Any]) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (mark.encode(), kind.encode(), orjson.dumps(shown))


def _whose(server: Any, run: PipelineRun, actor: Actor) -> Whose:
    found: Revision | None = None
    with contextlib.suppress(NotFound):
        found = server.projects.revision(run.project, actor=actor, revision=run.revision)
    people = [run.created_by, found and found.created_by]
    return Whose(found, server.members.names(people, actor=actor))
