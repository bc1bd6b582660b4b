"""Jobs: submit, look, wait, fetch, cancel, try again."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import AwareDatetime
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from penstock.api.dependencies import CurrentActor, CurrentServer, IdempotencyKey, Json, bearer_key, who_asks
from penstock.api.downloads import respond_bytes
from penstock.api.events import event_stream
from penstock.api.job_models import (
    AttemptPage,
    JobPage,
    JobShown,
    add_label,
    seconds,
    show_attempt,
    show_job,
)
from penstock.api.problems import MEDIA_TYPE
from penstock.api.submitting import SUBMIT_BODY, accept, answer
from penstock.api.uploads import receive
from penstock.core.jobs import JobFilter, ScriptId
from penstock.core.plan import RunId

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

_PAGE_MAX: Final = 200
_MEDIA_TYPES: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_RANGE_NOT_THERE: Final[dict[str, Any]] = {
    "description": "The range lies behind their end, which Content-Range names.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
}
JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_]{1,64}$", description="The id of a job: job_01...")]
Cursor = Annotated[str | None, Query(pattern=r"^job_[0-9A-Z]{26}$", description="`next` of the page before.")]


@router.post(
    "",
    name="submit_job",
    status_code=202,
    response_model=JobShown,
    responses={200: {"model": JobShown, "description": "It had ended before the time of `Prefer: wait` was up."}},
    openapi_extra=SUBMIT_BODY,
)
async def submit_job(
    request: Request,
    server: CurrentServer,
    actor: CurrentActor,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, Header(description="`wait=N`: answer when it has ended, N seconds at most.")] = None,
) -> Response:
    """Accept a job; the answer comes only once nothing of it can be lost.

    Send records in JSON with the options; or the records alone, as a body of any size, with the options in the query;
    or a form with one file.
    """
    finish = await receive(request, server=server, actor=actor)
    key = bearer_key(request)
    accepting = functools.partial(accept, finish, server=server, actor=actor, key=key, idempotency_key=idempotency_key)
    job, created = await run_in_threadpool(accepting)
    watch = request.app.state.watch
    return await answer(job, created=created, prefer=prefer, server=server, actor=actor, watch=watch)


@router.get("", name="list_jobs", response_model=JobPage)
def list_jobs(
    server: CurrentServer,
    actor: CurrentActor,
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None,
    script: Annotated[str | None, Query(min_length=1, max_length=200, description="Name or id.")] = None,
    label: Annotated[list[str] | None, Query(max_length=16, description="`name:value`; all of them must fit.")] = None,
    created_after: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 50,
) -> Response:
    """Return jobs, newest first."""
    wanted = JobFilter(
        state=state,
        script=None if script is None else ScriptId(script),
        labels=_labels(label or []),
        created_after=seconds(created_after),
        created_before=seconds(created_before),
        before=None if cursor is None else RunId(cursor),
        limit=limit + 1,
    )
    found = server.jobs.list(wanted, actor=actor)
    items = [show_job(job) for job in found[:limit]]
    return Json({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


@router.get("/{job_id}", name="read_job", response_model=JobShown)
def read_job(job_id: JobId, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return a job as it stands, and why it waits."""
    job, waiting = server.jobs.look(job_id, actor=actor)
    return Json(show_job(job, waiting=waiting))


@router.get("/{job_id}/attempts", name="list_job_attempts", response_model=AttemptPage)
def list_job_attempts(job_id: JobId, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return the tries of a job that have ended, the first first."""
    found = server.jobs.attempts(job_id, actor=actor)
    return Json({"items": [show_attempt(attempt) for attempt in found], "next": None})


@router.head("/{job_id}/result", include_in_schema=False)
@router.get(
    "/{job_id}/result",
    name="read_job_result",
    response_class=StreamingResponse,
    responses={
        200: {"content": {kind: {} for kind in _MEDIA_TYPES.values()}, "description": "The bytes."},
        206: {"description": "The bytes of one range."},
        304: {"description": "They are what If-None-Match names."},
        416: _RANGE_NOT_THERE,
    },
)
def read_job_result(job_id: JobId, request: Request, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return what a job gave; its SHA-256 is the ETag."""
    job = server.jobs.read(job_id, actor=actor)
    pointer, blocks = server.jobs.open_result(job_id, actor=actor)
    kind = job.options.output_format
    return respond_bytes(
        request, pointer, blocks, blobs=server.blobs, name=f"{job.id}.{kind}", media_type=_MEDIA_TYPES[kind]
    )


@router.head("/{job_id}/dead-letters", include_in_schema=False)
@router.get(
    "/{job_id}/dead-letters",
    name="read_job_dead_letters",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/x-ndjson": {}}, "description": "One line for each record."},
        206: {"description": "The bytes of one range."},
        304: {"description": "They are what If-None-Match names."},
        416: _RANGE_NOT_THERE,
    },
)
def read_job_dead_letters(job_id: JobId, request: Request, server: CurrentServer, actor: CurrentActor) -> Response:
    """Return the records that could not be processed, each with its error."""
    pointer, blocks = server.jobs.open_dead_letters(job_id, actor=actor)
    name = f"{job_id}.dead-letters.ndjson"
    return respond_bytes(request, pointer, blocks, blobs=server.blobs, name=name, media_type=_MEDIA_TYPES["ndjson"])


@router.get(
    "/{job_id}/events",
    name="watch_job",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "`state`, `progress` and `waiting`, each a job."},
        204: {"description": "The job has ended, and Last-Event-ID has seen it."},
    },
)
async def watch_job(
    job_id: JobId,
    request: Request,
    server: CurrentServer,
    _actor: CurrentActor,
    last_event_id: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Tell what becomes of a job while it becomes; the stream ends with the job."""
    asks = functools.partial(who_asks, request)
    return await event_stream(
        job_id, server=server, asks=asks, watch=request.app.state.watch, last_event_id=last_event_id
    )


@router.post("/{job_id}/cancel", name="cancel_job", response_model=JobShown)
def cancel_job(job_id: JobId, server: CurrentServer, actor: CurrentActor) -> Response:
    """End a job: at once while it waits, soon while it runs."""
    return Json(show_job(server.jobs.cancel(job_id, actor=actor)))


@router.post("/{job_id}/retry", name="retry_job", status_code=202, response_model=JobShown)
def retry_job(
    job_id: JobId, server: CurrentServer, actor: CurrentActor, idempotency_key: IdempotencyKey = None
) -> Response:
    """Run a job that failed or was cancelled again, as a new job."""
    job = server.jobs.retry(job_id, actor=actor, idempotency_key=idempotency_key)
    return Json(show_job(job), status_code=202, headers={"Location": f"{router.prefix}/{job.id}"})


@router.post("/{job_id}/dead-letters/replay", name="replay_job", status_code=202, response_model=JobShown)
def replay_job(
    job_id: JobId,
    server: CurrentServer,
    actor: CurrentActor,
    version: Annotated[str, Query(min_length=1, max_length=200, description="The script version to use.")] = "active",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run the dead letters of a job as the input of a new one."""
    job = server.jobs.replay(job_id, version=version, actor=actor, idempotency_key=idempotency_key)
    return Json(show_job(job), status_code=202, headers={"Location": f"{router.prefix}/{job.id}"})


def _labels(texts: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        add_label(labels, text, place="query.label")
    return labels
