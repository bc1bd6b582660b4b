"""Jobs as the API takes and shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from penstock.api.problems import invalid
from penstock.base.times import iso
from penstock.core import limits
from penstock.core.errors import RequestInvalid
from penstock.core.jobs import Job, JobOptions, PastAttempt, Waiting, Webhook

_NO_CONTROL: Final = r"^[^\x00-\x1f\x7f]+$"
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_CONTROL)]
LabelPart = Annotated[str, Field(min_length=1, max_length=limits.LABEL_LENGTH.value, pattern=_NO_CONTROL)]
DataFormat = Literal["ndjson", "json", "csv", "parquet"]


class WebhookAsk(BaseModel):
    """Where to tell that the job has ended."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(min_length=1, max_length=2_000, pattern=_NO_CONTROL)]
    secret: Word = Field(description="The name of the workspace's secret that signs the message.")


class JobAsk(BaseModel):
    """What to do with the records, beside the records."""

    model_config = ConfigDict(extra="forbid")
    script: Word = Field(description="Name or id of a script of the workspace.")
    version: Word = Field("active", description="`active`, an exact version, or a range such as `^1.2`.")
    priority: int = Field(
        0, ge=-limits.PRIORITY.value, le=limits.PRIORITY.value, description="Higher first, inside the workspace."
    )
    not_before: AwareDatetime | None = Field(None, description="It does not start earlier.")
    deadline: AwareDatetime | None = Field(None, description="What has not started by then fails.")
    labels: dict[LabelPart, LabelPart] = Field(default_factory=dict, max_length=limits.LABELS.value)
    attempts_max: int = Field(3, ge=1, le=limits.ATTEMPTS.value, description="Tries of the job, and of each chunk.")
    webhook: WebhookAsk | None = None
    output_format: Literal["ndjson", "csv", "parquet"] = "ndjson"
    errors_max: str = Field("10%", max_length=32, description="Records that may fail: a number, or a share as `10%`.")
    chunk_records: int = Field(limits.CHUNK_RECORDS.value, ge=1, le=1_000_000)
    name: Word | None = Field(None, description="The input's file name, for messages; its ending may name the format.")
    format: DataFormat | None = Field(None, description="The input's format, whatever its name says.")

    def options(self) -> JobOptions:
        """Return how the job is to be carried out."""
        return JobOptions(
            priority=self.priority,
            not_before=self.not_before.timestamp() if self.not_before else None,
            deadline=self.deadline.timestamp() if self.deadline else None,
            labels=self.labels,
            attempts_max=self.attempts_max,
            webhook=Webhook(self.webhook.url, self.webhook.secret) if self.webhook else None,
            output_format=self.output_format,
            errors_max=self.errors_max,
            chunk_records=self.chunk_records,
        )


def ask_from_json(values: dict[str, Any]) -> JobAsk:
    """Return what a JSON envelope asks for."""
    try:
        return JobAsk.model_validate(values)
    except ValidationError as error:
        raise _refused("body", error) from None


def ask_from_words(words: list[tuple[str, str]], *, place: str) -> JobAsk:
    """Return what a query or the fields of a form ask for.

    Args:
        words: names and texts; `label` may stand there more than once, as `name:value`.
        place: where they stand, for messages: `query` or `form`.
    """
    values: dict[str, Any] = {}
    for name, text in words:
        if name == "label":
            add_label(values.setdefault("labels", {}), text, place=f"{place}.label")
        elif name in ("webhook_url", "webhook_secret"):
            values.setdefault("webhook", {})[name.removeprefix("webhook_")] = text
        elif name in values or name in ("labels", "webhook"):
            raise RequestInvalid(
                f"{place}.{name[:64]} stands there twice, or in a form that only JSON has",
                hint="Give each once; labels as label=name:value.",
                problems=[{"place": f"{place}.{name[:64]}", "message": "is not valid here"}],
            )
        else:
            values[name] = text
    try:
        return JobAsk.model_validate(values)
    except ValidationError as error:
        raise _refused(place, error) from None


def _refused(place: str, error: ValidationError) -> RequestInvalid:
    found = [{**item, "loc": (place, *item["loc"])} for item in error.errors()]
    return invalid(found, known=list(JobAsk.model_fields))


def add_label(labels: dict[str, str], text: str, *, place: str) -> None:
    """Add a label that is written `name:value`.

    Raises:
        RequestInvalid: when it is written otherwise, or its name has a value already.
    """
    name, colon, value = text.partition(":")
    message = None
    if not colon or not name:
        message = f"a label is name:value, not {text[:100]!r}"
    elif name in labels:
        message = f"the label {name[:100]!r} stands there twice; a label has one value"
    labels[name] = value
    if message is not None:
        problem = {"place": place, "message": message}
        hint = "Give each once, as label=name:value."
        raise RequestInvalid(f"{place}: {message}", hint=hint, problems=[problem])


class InputShown(BaseModel):
    """What a job reads."""

    name: str
    format: str | None
    encoding: str
    size_bytes: int
    sha256: str


class BytesShown(BaseModel):
    """What can be fetched."""

    size_bytes: int
    sha256: str


class ScriptShown(BaseModel):
    """Which script, and what the version that was asked for resolved to."""

    id: str
    name: str
    version: str
    version_id: str
    asked: str


class ProgressShown(BaseModel):
    """How far it has come; records = produced + dropped + failed, once it has ended."""

    records: int
    produced: int
    dropped: int
    failed: int
    rows: int
    chunks: int | None = Field(description="None while that is not known.")
    chunks_done: int


class WaitingShown(BaseModel):
    """Why it waits."""

    code: str
    sentence: str
    until: str | None
    before_it: int | None = Field(description="How many of the workspace's are before it.")


class JobShown(BaseModel):
    """One job, as it stands."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    script: ScriptShown
    input: InputShown
    options: dict[str, Any]
    created_at: str
    created_by: str
    started_at: str | None
    finished_at: str | None
    cancel_asked_at: str | None
    progress: ProgressShown
    waiting: WaitingShown | None
    result: BytesShown | None
    dead_letters: BytesShown | None
    causes: list[dict[str, Any]] = Field(description="Why records failed, the most frequent cause first.")
    error: dict[str, Any] | None
    replay_of: str | None


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobShown]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class AttemptShown(BaseModel):
    """One try that has ended."""

    part: str
    number: int
    attempt: int
    worker: str
    started_at: str
    finished_at: str
    outcome: str
    cpu_s: float
    error: dict[str, Any] | None


class AttemptPage(BaseModel):
    """The tries of a job, the first first."""

    items: list[AttemptShown]
    next: str | None


def show_job(job: Job, *, waiting: Waiting | None = None) -> dict[str, Any]:
    """Return a job as JSON; keys of blobs stay inside."""
    counts = job.counts
    return {
        "id": job.id,
        "state": job.state,
        "script": {
            "id": job.script,
            "name": job.script_name,
            "version": job.version_number,
            "version_id": job.version,
            "asked": job.asked,
        },
        "input": {
            "name": job.input.name,
            "format": job.input.format,
            "encoding": job.input.encoding,
            "size_bytes": job.input.blob.size_bytes,
            "sha256": job.input.blob.sha256,
        },
        "options": _show_options(job.options),
        "created_at": iso(job.created_at),
        "created_by": job.created_by,
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "cancel_asked_at": iso(job.cancel_asked_at),
        "progress": {
            "records": counts.records,
            "produced": counts.produced,
            "dropped": counts.dropped,
            "failed": counts.failed,
            "rows": counts.rows,
            "chunks": job.chunks,
            "chunks_done": job.chunks_done,
        },
        "waiting": waiting and show_waiting(waiting),
        "result": job.result and {"size_bytes": job.result.size_bytes, "sha256": job.result.sha256},
        "dead_letters": job.dead_letters
        and {"size_bytes": job.dead_letters.size_bytes, "sha256": job.dead_letters.sha256},
        "causes": list(job.causes),
        "error": job.error,
        "replay_of": job.replay_of,
    }


def show_waiting(waiting: Waiting) -> dict[str, Any]:
    """Return why a job waits as JSON."""
    return {
        "code": waiting.code,
        "sentence": waiting.sentence,
        "until": iso(waiting.until),
        "before_it": waiting.before_it,
    }


def show_attempt(attempt: PastAttempt) -> dict[str, Any]:
    """Return a try as JSON."""
    return {
        "part": attempt.part,
        "number": attempt.number,
        "attempt": attempt.attempt,
        "worker": attempt.worker,
        "started_at": iso(attempt.started_at),
        "finished_at": iso(attempt.finished_at),
        "outcome": attempt.outcome,
        "cpu_s": attempt.cpu_s,
        "error": attempt.error,
    }


def _show_options(options: JobOptions) -> Mapping[str, Any]:
    webhook = options.webhook
    return {
        "priority": options.priority,
        "not_before": iso(options.not_before),
        "deadline": iso(options.deadline),
        "labels": dict(options.labels),
        "attempts_max": options.attempts_max,
        "webhook": webhook and {"url": webhook.url, "secret": webhook.secret},
        "output_format": options.output_format,
        "errors_max": options.errors_max,
        "chunk_records": options.chunk_records,
    }


def seconds(moment: dt.datetime | None) -> float | None:
    """Return a moment as seconds since 1970."""
    return None if moment is None else moment.timestamp()
