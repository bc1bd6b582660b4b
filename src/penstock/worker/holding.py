"""What a worker holds: leases by entry, with where each stands. Shared by the rounds and the heartbeat."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import AttemptReport, EntryId, Lease
from penstock.core.work import Assignment, Ended, Told
from penstock.worker.runners import Runner

_WEIGHT: Final = 0.1  # of the newest attempt in the mean


@dataclass(slots=True)
class Holding:
    """One leased attempt.

    Attributes:
        runner: who has it at hand; None while it waits here or has ended.
        ended: its end, until that is recorded.
        recalled: whether its runner was asked to give it back, unless it has begun.
        done: how many records it has done, as far as is known.
        told: the same, as it was given on last.
    """

    assignment: Assignment
    taken_s: float
    runner: Runner | None = None
    ended: Ended | None = None
    stopping: bool = False
    recalled: bool = False
    done: int = 0
    told: int = 0

    @property
    def lease(self) -> Lease:
        """The lease."""
        return self.assignment.lease


@dataclass(slots=True)
class Holdings:
    """All of a worker's leases; safe to use from several threads."""

    _by_entry: dict[EntryId, Holding] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    mean_s: float = 0.05
    late: deque[tuple[WorkspaceId, float]] = field(default_factory=deque)  # CPU seconds of attempts that had ended

    def __len__(self) -> int:
        return len(self._by_entry)

    def add(self, assignments: Iterable[Assignment]) -> list[Holding]:
        """Take what was leased."""
        now_s = time.monotonic()
        new = [Holding(assignment, now_s) for assignment in assignments]
        with self._lock:
            self._by_entry.update((holding.lease.entry.id, holding) for holding in new)
        return new

    def of(self, assignments: Iterable[Assignment]) -> list[Holding]:
        """Return what is held of the same entries by other leases."""
        found = [self._by_entry.get(assignment.lease.entry.id) for assignment in assignments]
        return [holding for holding in found if holding is not None]

    def find(self, entry: EntryId, token: int) -> Holding | None:
        """Return a lease that is still held, None when it is not or is another lease of that entry."""
        holding = self._by_entry.get(entry)
        return holding if holding is not None and holding.lease.token == token else None

    def leases(self) -> list[Lease]:
        """Return every lease, ended ones that are not recorded yet too."""
        with self._lock:
            return [holding.lease for holding in self._by_entry.values()]

    def all(self) -> list[Holding]:
        """Return everything that is held."""
        with self._lock:
            return list(self._by_entry.values())

    def hear(self, header: Mapping[str, Any]) -> None:
        """Keep what a runner says of what goes on."""
        self.late.extend(header["late"].items())
        for entry, token, records in header["done"]:
            if (holding := self.find(EntryId(entry), token)) is not None:
                holding.done = max(holding.done, records)  # a chunk that a record has killed begins anew

    def take_told(self) -> Told:
        """Return what has been heard and was not given on yet."""
        late = [self.late.popleft() for _ in range(len(self.late))]
        done = []
        for holding in self.all():
            if holding.done != holding.told:
                holding.told = holding.done
                done.append((holding.lease.entry, holding.told))
        return Told(late, done)

    def drop(self, leases: Sequence[Lease]) -> None:
        """Forget leases."""
        with self._lock:
            for lease in leases:
                if self.find(lease.entry.id, lease.token) is not None:
                    del self._by_entry[lease.entry.id]

    def learn(self, took_s: float) -> None:
        """Note how long an attempt took."""
        self.mean_s += _WEIGHT * (took_s - self.mean_s)

    def wanted(self, *, threads: int) -> int:
        """Return how many leases to hold: what runs, and as much as will have begun in a moment."""
        ahead = int(threads * limits.LEASED_AHEAD.value / 1000 / max(self.mean_s, 1e-4))
        return threads + min(ahead, limits.LEASE_BATCH.value * threads)


def account_of(ended: Ended, *, refused: bool) -> dict[str, Any]:
    """Return what is logged of an attempt's end; nothing of it is a tenant's."""
    entry, report = ended.lease.entry, ended.report
    return {
        "workspace": entry.workspace,
        "run": entry.run,
        "part": entry.part,
        "number": entry.number,
        "attempt": entry.attempt,
        "worker": ended.lease.worker,
        "outcome": "refused" if refused else report.outcome,
        "code": (report.error or {}).get("code"),
        "wall_ms": round((ended.finished_at - ended.started_at) * 1000, 1),
        "cpu_ms": round(report.cpu_s * 1000, 1),
        "waited_ms": round((ended.started_at - ended.lease.leased_at) * 1000, 1),
        "records": report.report.get("records"),
        "failed": report.report.get("failed"),
        "killed": report.killed,
    }


def unrecordable() -> AttemptReport:
    """Return how an attempt ended whose report cannot be recorded."""
    error = {"code": "bug", "message": "its report could not be recorded", "hint": "Look at the worker's log."}
    return AttemptReport("crashed", error=error)
