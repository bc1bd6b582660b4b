"""Jobs: what is asked for, the attempts that carry it out, and what is known of it afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NewType

from penstock.core.access import MemberId, WorkspaceId
from penstock.core.plan import RunId

ScriptId = NewType("ScriptId", str)
VersionId = NewType("VersionId", str)
EntryId = NewType("EntryId", str)
Lane = NewType("Lane", str)  # what is bounded together inside a workspace: a script

RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset(["succeeded", "failed", "cancelled"])
PartKind = Literal["whole", "split", "chunk", "join", "webhook", "task", "expand", "item", "publish"]
Encoding = Literal["identity", "gzip", "zstd", "br"]
Outcome = Literal["succeeded", "failed", "transient", "crashed", "lost", "cancelled"]


@dataclass(frozen=True, slots=True)
class BlobPointer:
    """Bytes that are kept: where, how many, and their SHA-256 in hexadecimal."""

    key: str
    size_bytes: int
    sha256: str


SMALL_PREFIX: Final = "db:"  # of the keys of blobs that are rows


def small_blob(key: str, data: bytes) -> BlobPointer:
    """Return the pointer of bytes that become a row: at most `limits.SMALL_BLOB` of them."""
    return BlobPointer(SMALL_PREFIX + key, len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class JobInput:
    """What a job reads.

    Attributes:
        blob: the bytes as they were received.
        name: as the sender gave it, for positions and messages; its ending may name the format.
        format: `ndjson`, `json`, `csv`, `parquet`, or None to go by the name.
        encoding: how the bytes are compressed on top of that.
    """

    blob: BlobPointer
    name: str = "records.ndjson"
    format: str | None = "ndjson"
    encoding: Encoding = "identity"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell that a job has ended.

    Attributes:
        secret: the name of the workspace's secret that signs the message.
    """

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job is to be carried out.

    Attributes:
        priority: -100 to 100, higher first, inside its workspace.
        not_before: seconds since 1970; it does not start earlier.
        deadline: seconds since 1970; what has not started by then fails.
        attempts_max: tries of the task, and of each chunk.
        errors_max: as `--max-errors`: `10%` or `100`.
    """

    priority: int = 0
    not_before: float | None = None
    deadline: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    attempts_max: int = 3
    webhook: Webhook | None = None
    output_format: Literal["ndjson", "csv", "parquet"] = "ndjson"
    errors_max: str = "10%"
    chunk_records: int = 10_000


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What somebody asks for.

    Attributes:
        script: name or id of a script of the workspace.
        version: `active`, an exact version, or a range such as `^1.2`.
        idempotency_key: the same key and body gives the same job.
        body_sha256: of all that was asked for, the input included.
        small: the bytes of a small input, stored in the transaction that accepts the job; else they are a blob already.
    """

    script: str
    version: str
    input: JobInput
    options: JobOptions
    body_sha256: str
    idempotency_key: str | None = None
    replay_of: RunId | None = None
    small: bytes | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt that waits in the queue: of a whole task, or of one part of it.

    Attributes:
        part: what kind of work; `number` is the chunk's number for the kind `chunk`.
        attempt: 1 for the first try.
        not_before: seconds since 1970; None is ready at once.
        reason: why it waits, when that is not just its turn: an error's code.
    """

    id: EntryId
    workspace: WorkspaceId
    lane: Lane
    run: RunId
    task: str
    part: PartKind
    number: int = 0
    priority: int = 0
    attempt: int = 1
    attempts_max: int = 3
    not_before: float | None = None
    deadline: float | None = None
    reason: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether there is no try after this one."""
        return self.attempt >= self.attempts_max


@dataclass(frozen=True, slots=True)
class Lease:
    """An entry that a worker holds: its own until it expires; `token` says which lease it is."""

    entry: Entry
    token: int
    worker: str
    leased_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Depth:
    """What a workspace has in the queue.

    Attributes:
        drained_per_s: entries finished a second lately, for an honest Retry-After.
        oldest_ready_at: seconds since 1970, None when nothing is ready.
    """

    scheduled: int
    ready: int
    running: int
    drained_per_s: float
    oldest_ready_at: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """That nothing of a lane is leased until somebody resumes it.

    Attributes:
        at: seconds since 1970.
    """

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why an entry waits.

    Attributes:
        code: `not_before`, `back_off`, `workspace_limit`, `script_limit`, `script_paused`, `its_turn`, `no_worker`,
            `quota_cpu`, or the code of the error that sent it back.
        sentence: the same in words, with figures.
        until: seconds since 1970, when that is known.
    """

    code: str
    sentence: str
    until: float | None = None
    before_it: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """How one try of a task, or of one part of it, ended.

    Attributes:
        outcome: `succeeded`; `failed` for good; `transient` may be tried again at once and costs no attempt;
            `crashed` may be tried again and costs one; `lost` is what the queue records where a worker did not come
            back, and costs one; `cancelled`.
        report: what the part gave: counts, causes, the number of chunks.
        killed: whether the sandbox had to kill it; what the circuit breaker counts.
        output: where its output lies, None when it has none.
        small: bytes of small blobs, stored in the transaction that closes the attempt.
    """

    outcome: Outcome
    report: Mapping[str, Any] = field(default_factory=dict)
    output: BlobPointer | None = None
    dead_letters: BlobPointer | None = None
    error: Mapping[str, Any] | None = None
    killed: bool = False
    cpu_s: float = 0.0
    small: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """The account of a job's records: records = produced + dropped + failed."""

    records: int = 0
    produced: int = 0
    dropped: int = 0
    failed: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list, newest first.

    Attributes:
        script: its id or its name.
        labels: all of them must be there.
        before: the id after which the list goes on; None for its begin.
    """

    state: RunState | None = None
    script: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    created_after: float | None = None
    created_before: float | None = None
    before: RunId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """One try of a task, or of a part of it, that has ended."""

    part: PartKind
    number: int
    attempt: int
    worker: str
    started_at: float
    finished_at: float
    outcome: str
    cpu_s: float
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One request to process data, as it stands."""

    id: RunId
    workspace: WorkspaceId
    state: RunState
    script: ScriptId
    script_name: str
    version: VersionId
    version_number: str
    asked: str
    input: JobInput
    options: JobOptions
    created_at: float
    created_by: MemberId
    started_at: float | None = None
    finished_at: float | None = None
    counts: Counts = field(default_factory=Counts)
    causes: tuple[Mapping[str, Any], ...] = ()
    chunks: int | None = None
    chunks_done: int = 0
    result: BlobPointer | None = None
    dead_letters: BlobPointer | None = None
    error: Mapping[str, Any] | None = None
    cancel_asked_at: float | None = None
    replay_of: RunId | None = None
