"""Ports of the job service: the records database, the queue, blobs, audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol, TypeVar

from penstock.core.access import Actor, AuditEvent, Policy, Usage, WorkspaceId
from penstock.core.jobs import (
    AttemptReport,
    BlobPointer,
    Depth,
    Entry,
    EntryId,
    Job,
    JobFilter,
    Lane,
    Lease,
    PastAttempt,
    Pause,
    Waiting,
)
from penstock.core.plan import PlannedTask, RunId
from penstock.core.work import Ended, Ending, Piece, PiecesDone, Work, WorkerState

T = TypeVar("T")
Clock = Callable[[], float]  # seconds since 1970


class Transaction(Protocol):
    """An open transaction of the records database; only adapters look inside."""


class Database(Protocol):
    """The records database: every state that outlives a process."""

    def read(self) -> AbstractContextManager[Transaction]:
        """Open a snapshot to read from."""

    def write(self, work: Callable[[Any], T], /, *, durable: bool = True) -> T:
        """Run `work` in a transaction and return what it returned, once that is committed.

        Work may be run again when the database was busy, and may share its transaction with the work of other
        threads, each in a savepoint; so it is short and touches nothing but the transaction.

        Args:
            work: what is to be done.
            durable: whether it must survive a loss of power; leases need not.

        Raises:
            DatabaseUnavailable: when it cannot be reached, is full or stays busy.
        """

    def ask(self, work: Callable[[Any], T], /) -> Future[T]:
        """Ask for `work` to be run as `write` does, durably, and return at once what will have its result.

        For doors whose event loop must not wait, and whose requests are too many for a thread each.
        """


class Queue(Protocol):
    """Entries that wait for a worker: leased in fair shares, closed by token."""

    def enqueue(self, tx: Any, entries: Sequence[Entry]) -> None:
        """Add entries; they become visible with the transaction."""

    def lease(self, tx: Any, *, worker: str, count: int, guests: bool = False) -> list[Lease]:
        """Take up to `count` entries, workspaces in fair shares, within the bounds of each and of each lane.

        Args:
            tx: the transaction in which they become leases.
            worker: who takes them.
            count: at most.
            guests: take only of workspaces that run nothing anywhere, and of each one.
        """

    def finish(self, tx: Any, leases: Sequence[Lease], *, busy_s: Mapping[EntryId, float]) -> list[bool]:
        """Close leases; False for one that had expired and is another's now, or nobody's.

        Args:
            tx: the same transaction that records the outcome.
            leases: what a worker held.
            busy_s: how long each kept its worker, for fair shares and drain rates.
        """

    def heartbeat(self, tx: Any, leases: Sequence[Lease]) -> list[Lease]:
        """Make leases last again; return those that are still held."""

    def release(self, tx: Any, leases: Sequence[Lease], *, reason: str) -> None:
        """Give leases back untried: no attempt is counted."""

    def bury(self, tx: Any, worker: str) -> int:
        """Let the leases of a worker that is known to be dead end now, to be reaped; return how many."""

    def reap(self, tx: Any) -> list[Lease]:
        """Put entries of expired leases back, one attempt poorer, or remove them after the last; return the leases."""

    def promote(self, tx: Any) -> int:
        """Make scheduled entries ready whose time has come; return how many."""

    def expire(self, tx: Any) -> list[Entry]:
        """Remove entries whose deadline has passed before they started, and return them."""

    def cancel(self, tx: Any, run: RunId) -> list[Entry]:
        """Remove the waiting entries of a run and return them; leased ones go on."""

    def held(self, tx: Any, run: RunId) -> int:
        """Return how many entries of a run are leased."""

    def depth(self, tx: Any, workspace: WorkspaceId) -> Depth:
        """Return what a workspace has in the queue, in time that does not grow with it."""

    def explain(self, tx: Any, run: RunId) -> Waiting | None:
        """Return why a run's foremost entry waits; None when none waits."""

    def bound_workspace(self, tx: Any, workspace: WorkspaceId, *, running_max: int, weight: float = 1.0) -> None:
        """Set how many entries of a workspace may run at once, and its share beside others."""

    def bound_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, running_max: int) -> None:
        """Set how many entries of a lane may run at once."""

    def bound_of(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> int:
        """Return how many entries of a lane may run at once."""

    def count_kill(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, killed: bool) -> bool:
        """Count kills in a row; return True when this one paused the lane."""

    def resume_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> bool:
        """Let a paused lane run again; return whether it was paused."""

    def pause_of(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> Pause | None:
        """Return since when a lane is paused, and why; None when it is not."""

    def reconcile(self, tx: Any) -> int:
        """Correct the counters from the entries themselves; return how many were wrong."""

    def announce(self) -> None:
        """Wake who waits on this machine; to be called once a transaction that made entries ready is committed."""

    def wait(self, timeout_s: float) -> None:
        """Return when entries may have become ready, or the time is up."""


class Bells(Protocol):
    """Tells other processes of this machine that something was committed; a message may get lost."""

    def ring(self, name: str) -> None:
        """Wake all who wait for a bell of this name."""


class BlobWriter(Protocol):
    """A blob in the making; it exists once `commit` has returned, durably."""

    size_bytes: int

    def write(self, data: bytes, /) -> None:
        """Append data."""

    def commit(self) -> BlobPointer:
        """Make it durable and visible under its key.

        Raises:
            BlobsUnavailable: when the store cannot be reached or is full; whether the blob is there is not known then.
        """

    def discard(self) -> None:
        """Drop it, unless it is committed."""


class Blobs(Protocol):
    """Bytes by key. Keys begin with the workspace: `<workspace>/jobs/<job>/input`.

    A key is segments of letters, digits and `_ - . = +` with `/` between them, none of which begins with a dot; every
    method raises RequestInvalid for another. What is stored under a key again replaces what was there.
    """

    def create(self, key: str) -> BlobWriter:
        """Begin a blob.

        Raises:
            BlobsUnavailable: when the store cannot be reached or is full.
        """

    def put(self, key: str, data: bytes) -> BlobPointer:
        """Store bytes, durably."""

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in blocks.

        Raises:
            BlobNotFound: when there is none under the key.
            BlobsUnavailable: when the store cannot be reached.
        """

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a blob as a regular local file, fetched first when it lies elsewhere."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs; one that is not there is no error."""

    def list(self, prefix: str, *, changed_before: float | None = None) -> Iterator[BlobPointer]:
        """Yield what lies under a prefix, in no order; the SHA-256 is empty.

        Args:
            prefix: whole segments that end with `/`; empty for everything.
            changed_before: seconds since 1970; leave out what was written later.
        """

    def check(self) -> None:
        """Raise BlobsUnavailable unless the store can be written to now."""


class Audit(Protocol):
    """The record of who did what; append-only, chained by hash for each workspace."""

    def record(self, tx: Any, actor: Actor, event: AuditEvent) -> None:
        """Add an event in the transaction of what it records."""


class JobRecords(Protocol):
    """Jobs and their attempts in the records database."""

    def insert(self, tx: Any, job: Job, task: PlannedTask) -> None:
        """Record a new job: a run of a plan with one task."""

    def remember_key(
        self, tx: Any, workspace: WorkspaceId, key: str, *, body_sha256: str, job: RunId, now: float
    ) -> tuple[RunId, str] | None:
        """Bind an idempotency key to a job; or return the job and body that it is bound to already."""

    def read(self, tx: Any, workspace: WorkspaceId, job: str) -> Job:
        """Return one job.

        Raises:
            NotFound: when the workspace has none under that id.
        """

    def list(self, tx: Any, workspace: WorkspaceId, wanted: JobFilter) -> list[Job]:
        """Return jobs, newest first."""

    def ask_cancel(self, tx: Any, job: RunId, *, now: float) -> None:
        """Record that a running job is to end."""

    def past_attempts(self, tx: Any, workspace: WorkspaceId, job: RunId) -> Sequence[PastAttempt]:
        """Return the tries that have ended, the first first."""

    def ended(self, tx: Any, job_ids: Sequence[str]) -> Sequence[Job]:
        """Return those of some jobs that have ended, whosever they are: for those who wait inside the service."""


class WorkRecords(Protocol):
    """What a worker's round reads and writes of jobs."""

    def close_attempts(self, tx: Any, ended: Sequence[Ended]) -> None:
        """Record attempts that have ended."""

    def close_jobs(self, tx: Any, endings: Sequence[Ending]) -> None:
        """Record how jobs ended, with their accounts, results and dead letters."""

    def start(self, tx: Any, run_ids: Sequence[RunId], *, now: float) -> None:
        """Record that jobs run, those that did not yet."""

    def work(self, tx: Any, run_ids: Sequence[RunId]) -> Mapping[RunId, Work]:
        """Return what it takes to go on with some jobs."""

    def policy(self, tx: Any, workspace: WorkspaceId) -> Policy:
        """Return what a workspace's work may reach outside."""

    def insert_pieces(self, tx: Any, work: Work, pieces: Sequence[Piece], *, skipped: Sequence[Sequence[str]]) -> None:
        """Record the chunks of a job, and what was left out when it was cut into them."""

    def close_piece(self, tx: Any, work: Work, number: int, report: AttemptReport) -> PiecesDone | None:
        """Record the end of a chunk and return what has been done of the job; None when it had been recorded before."""

    def begin_join(self, tx: Any, run_id: RunId) -> bool:
        """Record that the chunks are to be put together; False when somebody has already."""

    def pieces(self, tx: Any, run_id: RunId, *, number: int | None = None) -> tuple[Piece, ...]:
        """Return the chunks of a job in order, or one of them."""

    def add_usage(self, tx: Any, workspace: WorkspaceId, *, day: str, cpu_s: float, jobs: int, records: int) -> None:
        """Count what was used on a day."""

    def put_done(self, tx: Any, done: Sequence[tuple[Entry, int]], *, now: float) -> None:
        """Record how many of their records attempts have done that run."""

    def add_stored(self, tx: Any, stored: Mapping[RunId, int]) -> None:
        """Count bytes that jobs have stored."""

    def add_delivery(self, tx: Any, work: Work) -> None:
        """Record that a webhook is to be sent."""

    def close_delivery(self, tx: Any, run_id: RunId, *, state: str, error: str | None, now: float) -> None:
        """Record how a try to send a webhook ended: `waiting`, `delivered` or `failed`."""

    def cancelled(self, tx: Any, run_ids: Sequence[RunId]) -> frozenset[RunId]:
        """Return those of some jobs that somebody asked to cancel."""

    def put_worker(self, tx: Any, worker: WorkerState, *, now: float) -> None:
        """Record that a worker is alive."""

    def remove_worker(self, tx: Any, worker: str) -> None:
        """Record that a worker has left."""


class SmallBlobs(Protocol):
    """Blobs of a few kilobytes, stored in the transaction of what points to them.

    Their keys begin with `db:` (`core.jobs.small_blob`), so that whoever has a pointer reads them through `Blobs`.
    """

    def store(self, tx: Any, blobs: Mapping[str, bytes]) -> None:
        """Store bytes by key; a key that is there already is replaced."""

    def load(self, tx: Any, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the bytes of those keys that are there."""

    def delete(self, tx: Any, keys: Sequence[str]) -> None:
        """Delete rows; one that is not there is no error."""


class QuotaKeeper(Protocol):
    """What a workspace may use, and what it does."""

    def check_submit(self, tx: Any, workspace: WorkspaceId, *, depth: Depth, size_bytes: int) -> None:
        """Return when one more job fits.

        Raises:
            TooMany: when a quota is used up, with an honest time to come back.
        """

    def usage(self, tx: Any, workspace: WorkspaceId) -> Usage:
        """Return what a workspace may use and uses, a second old at most."""

    def add_stored(self, tx: Any, workspace: WorkspaceId, size_bytes: int) -> None:
        """Count bytes that are kept; negative ones are given back."""


class SecretReader(Protocol):
    """The secrets of workspaces, for those who act in their name."""

    def resolve(self, tx: Any, workspace: WorkspaceId, name: str) -> bytes:
        """Return a secret's value.

        Raises:
            NotFound: when the workspace has none under that name.
        """
