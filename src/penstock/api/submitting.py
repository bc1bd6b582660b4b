"""From a request whose body has come in to a job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from penstock.api.job_models import JobAsk
from penstock.api.uploads import Received
from penstock.base.hashing import fingerprint
from penstock.core.access import Actor
from penstock.core.errors import TransientError, UserError
from penstock.core.jobs import Job, JobRequest

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
    finish: Callable[[], Received], *, server: Any, actor: Actor, idempotency_key: str | None
) -> tuple[Job, bool]:
    """Return the job that a request made, and whether it is new; an input that no job came of goes again."""
    received = finish()
    ask, input_ = received.ask, received.input
    options = ask.options()
    asked = (ask.script, ask.version, options, input_.name, input_.format, input_.encoding)
    request = JobRequest(
        script=ask.script,
        version=ask.version,
        input=input_,
        options=options,
        body_sha256=fingerprint(*asked, input_.blob.sha256),
        idempotency_key=idempotency_key,
        small=received.small,
    )
    try:
        job, created = server.jobs.submit(request, actor=actor)
    except UserError:  # after any other error the job may be there nevertheless; what is nobody's is swept up later
        _drop(received, server)
        raise
    if not created:
        _drop(received, server)
    return job, created


def _drop(received: Received, server: Any) -> None:
    if received.ours:
        with contextlib.suppress(TransientError):
            server.uploads.drop(received.input.blob)
