"""From a request whose body has come in to a job."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.api.dependencies import Json
from penstock.api.job_models import JobAsk, show_job
from penstock.api.uploads import Received
from penstock.api.watching import JobWatch
from penstock.base.hashing import fingerprint
from penstock.core import limits
from penstock.core.access import Actor
from penstock.core.errors import TransientError, UserError
from penstock.core.jobs import ENDED, Job, JobRequest

_RECORDS: Final = {"type": "string", "format": "binary"}
_ASK: Final[dict[str, Any]] = JobAsk.model_json_schema(ref_template="#/components/schemas/{model}")
_DEFINITIONS: Final[dict[str, Any]] = _ASK.pop("$defs", {})


def _inlined(schema: Any) -> Any:
    """Return a schema without references: this body is described by hand, so its parts are nowhere else."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(_DEFINITIONS[schema["$ref"].rpartition("/")[2]])
        return {name: _inlined(value) for name, value in schema.items()}
    return [_inlined(value) for value in schema] if isinstance(schema, list) else schema


_OPTIONS: Final[dict[str, Any]] = _inlined(_ASK)
_INPUT: Final[dict[str, Any]] = {
    "description": "The records, or a pointer to an object of the workspace's blobs.",
    "anyOf": [
        {"type": "array", "items": {"type": "object"}, "description": "Records."},
        {
            "type": "object",
            "properties": {"blob": {"type": "string"}},
            "required": ["blob"],
            "additionalProperties": False,
            "description": "The key of an object, below the workspace's prefix.",
        },
        {"type": "object", "description": "One record."},
    ],
}


def _words() -> dict[str, Any]:
    """Return the options as a query or a form has them: texts, labels one by one, the webhook in two words."""
    words = {name: value for name, value in _OPTIONS["properties"].items() if name not in ("labels", "webhook")}
    text = {"type": "string"}
    return {
        **words,
        "label": {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:.+$"}},
        "webhook_url": text,
        "webhook_secret": text,
    }


SUBMIT_BODY: Final[dict[str, Any]] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": "For a body of records only."}
        for name, schema in _words().items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    **_OPTIONS,
                    "title": "JobEnvelope",
                    "properties": {**_OPTIONS["properties"], "input": _INPUT},
                    "required": ["script", "input"],
                }
            },
            "application/x-ndjson": {"schema": _RECORDS},
            "text/csv": {"schema": _RECORDS},
            "application/vnd.apache.parquet": {"schema": _RECORDS},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {**_words(), "file": _RECORDS},
                    "required": ["script", "file"],
                }
            },
        },
    },
}


def accept(
    finish: Callable[[], Received], *, server: Any, actor: Actor, key: str, idempotency_key: str | None
) -> tuple[Job, bool]:
    """Return the job that a request made, and whether it is new; an input that no job came of goes again.

    The API key must hold still: a body may take hours to come.
    """
    received = finish()
    try:
        request, confirm = request_of(received, idempotency_key), partial(server.keys.confirm, text=key)
        job, created = server.jobs.submit(request, actor=actor, confirm=confirm)
    except UserError:  # after any other error the job may be there nevertheless; what is nobody's is swept up later
        _drop(received, server)
        raise
    if not created:
        _drop(received, server)
    return job, created


def request_of(received: Received, idempotency_key: str | None) -> JobRequest:
    """Return what is asked for, with the fingerprint by which the same is known again."""
    ask, input_ = received.ask, received.input
    options = ask.options()
    asked = (ask.script, ask.version, options, input_.name, input_.format, input_.encoding)
    return JobRequest(
        script=ask.script,
        version=ask.version,
        input=input_,
        options=options,
        body_sha256=fingerprint(*asked, input_.blob.sha256),
        idempotency_key=idempotency_key,
        small=received.small,
    )


async def answer(
    job: Job, *, created: bool, prefer: str | None, server: Any, actor: Actor, watch: JobWatch
) -> Response:
    """Return the response to a submit, after its end when somebody waits for that."""
    headers = {"Location": f"/api/v1/jobs/{job.id}"}
    if not created:
        headers["Idempotent-Replayed"] = "true"
    if (wait_s := _wait_of(prefer)) is not None:
        with watch.waiter(actor.workspace) as may_wait:
            if may_wait:
                headers["Preference-Applied"] = f"wait={wait_s}"
            if may_wait and job.state not in ENDED:
                seen = await watch.until_end(job.id, timeout_s=wait_s)
                job = await run_in_threadpool(partial(server.jobs.read, job.id, actor=actor)) if seen is None else seen
    ended = wait_s is not None and job.state in ENDED
    return Json(show_job(job), status_code=200 if ended else 202, headers=headers)


def _wait_of(prefer: str | None) -> int | None:
    """Return the seconds of `Prefer: wait=N`, and at most what is allowed. Source: RFC 7240."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", prefer or "")
    return min(int(found[1]), limits.PREFER_WAIT.value) if found else None


def _drop(received: Received, server: Any) -> None:
    if received.ours:
        with contextlib.suppress(TransientError):
            server.uploads.drop(received.input.blob)
