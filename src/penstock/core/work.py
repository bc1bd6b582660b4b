"""What passes between the records database and workers: assignments out, ends back.

A worker's round is one transaction: the ends of its last attempts with what follows from them, and the next leases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penstock.core.access import Policy, WorkspaceId
from penstock.core.jobs import (
    AttemptReport,
    BlobPointer,
    Entry,
    EntryId,
    JobInput,
    JobOptions,
    Lease,
    RunState,
    ScriptId,
    VersionId,
)
from penstock.core.plan import RunId
from penstock.core.scripts import ScriptVersion


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk of a split job, as `split` made it and as its own attempt left it.

    Attributes:
        input: the chunk's own blob, framed (see `tasks.chunk_frames`); what an assignment of the part `chunk` reads.
        report: what the attempt of the chunk reported; None until it has succeeded.
        output: records it gave, in the spool format; None when it gave none.
    """

    number: int
    input: BlobPointer
    report: Mapping[str, Any] | None = None
    output: BlobPointer | None = None
    dead_letters: BlobPointer | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A webhook that is to be sent now.

    Attributes:
        id: the same for every try, so that the receiver can know it again.
        body: the job as the API shows it, without data.
        secret: signs it; never logged, never stored with the attempt.
        policy: what the workspace may reach besides public addresses.
    """

    id: str
    url: str
    body: bytes
    secret: bytes = field(repr=False)
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One leased attempt with all that it takes to carry it out; whoever has it needs no database.

    Attributes:
        version_id: names what `script` holds; a published version never changes.
        script: None for the part `webhook` only.
        input: the job's input; what the parts `whole` and `split` read.
        small: bytes by key of the small blobs that the part reads, since those are rows of the database.
        piece: what the part `chunk` reads.
        pieces: what the part `join` puts together, every chunk in order.
        skipped: for `join`: what `split` reported as left out.
        prefix: where its blobs go: `<workspace>/jobs/<job>/`.
        room_bytes: what it may make at most; None when only the limits of a job hold.
    """

    lease: Lease
    prefix: str
    input: JobInput
    output_format: Literal["ndjson", "csv", "parquet"] = "ndjson"
    errors_max: str = "10%"
    chunk_records: int = 10_000
    version_id: str = ""
    script: ScriptVersion | None = None
    small: Mapping[str, bytes] = field(default_factory=dict)
    piece: Piece | None = None
    pieces: tuple[Piece, ...] = ()
    skipped: tuple[tuple[str, str, str], ...] = ()
    message: Message | None = None
    room_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended, as the worker that held it tells.

    Attributes:
        started_at: seconds since 1970.
        finished_at: seconds since 1970.
    """

    lease: Lease
    report: AttemptReport
    started_at: float
    finished_at: float


@dataclass(frozen=True, slots=True)
class Round:
    """What a worker's round gave.

    Attributes:
        assignments: what to do next.
        refused: entries whose end came too late: the lease had expired, and the work is another's or done again.
    """

    assignments: tuple[Assignment, ...] = ()
    refused: tuple[EntryId, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What a heartbeat gave.

    Attributes:
        leases: those still held, with their new expiry; what is missing has expired, and its work is to be dropped.
        cancelled: runs among them that somebody asked to cancel.
    """

    leases: tuple[Lease, ...]
    cancelled: frozenset[RunId] = frozenset()


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker has heard of attempts, besides their ends.

    Attributes:
        late: workspaces, and CPU seconds of theirs that were found after the attempts had ended.
        done: attempts that run, and how many of their records are done, as far as a tenant's code says.
    """

    late: Sequence[tuple[WorkspaceId, float]] = ()
    done: Sequence[tuple[Entry, int]] = ()


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as the table of workers shows it.

    Attributes:
        clock_ahead_s: how far its clock was ahead of the database's when it last looked; negative when behind.
    """

    id: str
    host: str
    pid: int
    state: Literal["active", "draining"]
    slots: int
    busy: int
    sandbox_level: str
    started_at: float
    clock_ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ticked:
    """What one tick of the house-keeping moved, for the log."""

    reaped: int = 0
    promoted: int = 0
    expired: int = 0
    failed: int = 0
    workspaces: frozenset[WorkspaceId] = frozenset()


@dataclass(frozen=True, slots=True)
class Work:
    """What it takes to go on with a job: the job without its history.

    Attributes:
        pieces: how many chunks it was cut into; None until it was.
        revoked: whether its script version may not run any more.
    """

    run: RunId
    workspace: WorkspaceId
    state: RunState
    script: ScriptId
    version: VersionId
    input: JobInput
    options: JobOptions
    pieces: int | None = None
    skipped: tuple[tuple[str, str, str], ...] = ()
    cancel_asked: bool = False
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class PiecesDone:
    """How far the chunks of a job have come.

    Attributes:
        records: of the chunks that are done.
        failed: how many of them became dead letters.
    """

    pieces: int
    records: int
    failed: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended, for its record.

    Attributes:
        account: `{"counts": {...}, "causes": [...], "skipped": [...], "printed": "..."}`; None when there is none.
    """

    run: RunId
    state: RunState
    at: float
    account: Mapping[str, Any] | None = None
    result: BlobPointer | None = None
    dead_letters: BlobPointer | None = None
    error: Mapping[str, Any] | None = None


# How the reports of parts look: the keys of `AttemptReport.report`.
#
# whole, join  records, produced, dropped, failed, rows, chunks, output_bytes,
#              causes: [{code, type, script_line, records}], skipped: [[input, member, reason]], printed
#              or unfolds: true, and nothing else, from a `whole` that is to be a `split`
# split        chunks: [{number, key, size_bytes, sha256, records}], records, skipped: [[input, member, reason]]
# chunk        records, produced, dropped, failed, rows, causes, printed
# webhook      status: of the answer
#
# An error is {code, message, hint, retry_after_s?}.
#
# What the use case `Work` (usecases/work.py) offers a worker; all may raise DatabaseUnavailable, and are then tried
# again unchanged:
#
#   round(worker, ended: Sequence[Ended], *, count: int) -> Round
#   heartbeat(worker: WorkerState, leases: Sequence[Lease]) -> Held     also writes the worker's row
#   release(worker, leases, *, reason: str) -> None                     untried: they cost no attempt
#   tick() -> Ticked          reap and promote and expire, with what follows (failed jobs, retries)
#   reconcile() -> int        the queue's counters, at start and hourly
#   leave(worker) -> None     the worker's row goes
