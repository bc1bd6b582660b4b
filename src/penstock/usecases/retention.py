"""Removing what has been kept long enough: jobs with their results, chunks of ended jobs, and blobs that are nobody's.

Rows go first, in one transaction with the bytes that a workspace gets back and the audit event; from then on nobody can
reach the blobs, and they are deleted. A crash or an outage in between leaves blobs that nothing points to: a sweep over
the whole store, once a day, finds them, as it finds uploads that never became jobs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import Actor, AuditEvent, MemberId, WorkspaceId
from penstock.core.errors import TransientError
from penstock.core.jobs import BlobPointer
from penstock.core.ports import Audit, Blobs, Clock, Database, QuotaKeeper, RetentionRecords
from penstock.core.retention import Removed, Retained

_DAY_S: Final = 86_400.0
_LEFTOVERS_S: Final = limits.LEFTOVERS.value * 3600.0
_SWEEP_AGAIN_S: Final = 600.0  # after an outage


@dataclass(slots=True)
class _Sweep:
    """How far the sweep over the store has come."""

    found: Iterator[BlobPointer] | None = None
    due_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Retention:
    """What a worker does between attempts for all workspaces."""

    database: Database
    records: RetentionRecords
    blobs: Blobs
    quotas: QuotaKeeper
    audit: Audit
    clock: Clock
    days: int = limits.RETENTION.value
    batch: int = limits.RETENTION_BATCH.value
    _sweep: _Sweep = field(default_factory=_Sweep)

    def tick(self, worker: str) -> Retained:
        """Remove the next of what has been kept long enough; to be called every few seconds, by every worker.

        Only the first of the workers that are alive does anything.

        Raises:
            DatabaseUnavailable: when nothing could be removed.
            BlobsUnavailable: when rows are gone and their blobs are not yet; the sweep will find them.
        """
        now = self.clock()
        with self.database.read() as tx:
            if not self.records.leads(tx, worker, seen_after=now - limits.WORKER_SEEN.value):
                return Retained()
        seen_before = now - _LEFTOVERS_S
        self.database.write(
            lambda tx: self.records.forget(tx, now=now, seen_before=seen_before, limit=limits.SWEEP_BATCH.value)
        )
        pieces = self._rounds(self._remove_pieces)
        jobs = self._rounds(self._remove_jobs)
        swept = self._sweep_on()
        return Retained(
            jobs=len(jobs),
            pieces_of=len({each.run for each in pieces}),
            blobs=sum(len(each.keys) for each in (*jobs, *pieces)) + swept,
            stored_bytes=sum(each.stored_bytes for each in (*jobs, *pieces)),
            more=len(jobs) >= self.batch * limits.RETENTION_ROUNDS.value or self._sweep.found is not None,
        )

    def _rounds(self, remove: Callable[[], Sequence[Removed]]) -> list[Removed]:
        """Remove batch after batch, each with its blobs, until there is nothing left or it is time for others."""
        removed: list[Removed] = []
        for _ in range(limits.RETENTION_ROUNDS.value):
            batch = remove()
            self.blobs.delete(key for each in batch for key in each.keys)
            removed += batch
            if not batch:
                break
        return removed

    def _remove_jobs(self) -> Sequence[Removed]:
        now = self.clock()

        def remove(tx: Any) -> Sequence[Removed]:
            removed = self.records.remove_jobs(
                tx,
                ended_before=now - self.days * _DAY_S,
                forget_at=now + limits.TOMBSTONE.value * _DAY_S,
                limit=self.batch,
            )
            for job in removed:
                self.quotas.add_stored(tx, job.workspace, -job.stored_bytes)
                details = {"stored_bytes": job.stored_bytes, "days": self.days}
                self.audit.record(tx, _keeper(job.workspace), AuditEvent("job.remove", job.run, details=details))
            return removed

        return self.database.write(remove)

    def _remove_pieces(self) -> Sequence[Removed]:
        def remove(tx: Any) -> Sequence[Removed]:
            removed = self.records.remove_pieces(tx, limit=limits.PIECES_BATCH.value)
            for pieces in removed:
                self.quotas.add_stored(tx, pieces.workspace, -pieces.stored_bytes)
            return removed

        return self.database.write(remove)

    def _sweep_on(self) -> int:
        """Look at the next page of the store, delete what is nobody's, and return how many blobs that were."""
        now, sweep = self.clock(), self._sweep
        if sweep.found is None:
            if now < sweep.due_at:
                return 0
            sweep.found = self.blobs.list("", changed_before=now - _LEFTOVERS_S)
            sweep.due_at = now + _DAY_S
        try:
            page = [blob.key for blob in itertools.islice(sweep.found, limits.SWEEP_BATCH.value)]
            with self.database.read() as tx:
                orphans = self.records.orphans(tx, page, ended_before=now - _LEFTOVERS_S)
            self.blobs.delete(orphans)
        except TransientError:
            sweep.found, sweep.due_at = None, now + _SWEEP_AGAIN_S
            raise
        if len(page) < limits.SWEEP_BATCH.value:
            sweep.found = None
        return len(orphans)


def _keeper(workspace: WorkspaceId) -> Actor:
    """Return who removes what nobody asked to remove."""
    return Actor(workspace, MemberId("system"), "retention", "admin", frozenset())
