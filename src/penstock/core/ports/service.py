"""Ports of the job service: the records database, the queue, blobs, audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol, TypeVar

from penstock.core.access import Actor, AuditEvent, WorkspaceId
from penstock.core.jobs import BlobPointer, Depth, Entry, EntryId, Lane, Lease, Waiting
from penstock.core.plan import RunId

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


class Queue(Protocol):
    """Entries that wait for a worker: leased in fair shares, closed by token."""

    def enqueue(self, tx: Any, entries: Sequence[Entry]) -> None:
        """Add entries; they become visible with the transaction."""

    def lease(self, tx: Any, *, worker: str, count: int) -> list[Lease]:
        """Take up to `count` entries, workspaces in fair shares, within the bounds of each and of each lane."""

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

    def reap(self, tx: Any) -> list[Entry]:
        """Put entries of expired leases back, one attempt poorer; return those that have no attempt left, removed."""

    def promote(self, tx: Any) -> int:
        """Make scheduled entries ready whose time has come; return how many."""

    def expire(self, tx: Any) -> list[Entry]:
        """Remove entries whose deadline has passed before they started, and return them."""

    def cancel(self, tx: Any, run: RunId) -> list[Entry]:
        """Remove the waiting entries of a run and return them; leased ones go on."""

    def depth(self, tx: Any, workspace: WorkspaceId) -> Depth:
        """Return what a workspace has in the queue, in time that does not grow with it."""

    def explain(self, tx: Any, run: RunId) -> Waiting | None:
        """Return why a run's foremost entry waits; None when none waits."""

    def bound_workspace(self, tx: Any, workspace: WorkspaceId, *, running_max: int, weight: float = 1.0) -> None:
        """Set how many entries of a workspace may run at once, and its share beside others."""

    def bound_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, running_max: int) -> None:
        """Set how many entries of a lane may run at once."""

    def count_kill(self, tx: Any, workspace: WorkspaceId, lane: Lane, *, killed: bool) -> bool:
        """Count kills in a row; return True when this one paused the lane."""

    def resume_lane(self, tx: Any, workspace: WorkspaceId, lane: Lane) -> bool:
        """Let a paused lane run again; return whether it was paused."""

    def reconcile(self, tx: Any) -> int:
        """Correct the counters from the entries themselves; return how many were wrong."""

    def wait(self, timeout_s: float) -> None:
        """Return when entries may have become ready, or the time is up."""


class BlobWriter(Protocol):
    """A blob in the making; it exists once `commit` has returned, durably."""

    size_bytes: int

    def write(self, data: bytes, /) -> None:
        """Append data."""

    def commit(self) -> BlobPointer:
        """Make it durable and visible under its key."""

    def discard(self) -> None:
        """Drop it, unless it is committed."""


class Blobs(Protocol):
    """Bytes by key. Keys begin with the workspace: `<workspace>/jobs/<job>/input`."""

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

    def list(self, prefix: str) -> Iterator[BlobPointer]:
        """Yield what lies under a prefix; the SHA-256 is empty."""

    def check(self) -> None:
        """Raise BlobsUnavailable unless the store can be written to now."""


class Audit(Protocol):
    """The record of who did what; append-only, chained by hash for each workspace."""

    def record(self, tx: Any, actor: Actor, event: AuditEvent) -> None:
        """Add an event in the transaction of what it records."""
