"""Whether the server is well, and its figures for monitoring."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock.base.disks import low
from penstock.base.logs import get_log
from penstock.core import limits
from penstock.core.errors import BlobsUnavailable, DatabaseUnavailable, SettingInvalid, TransientError
from penstock.core.figures import Health, QueueFigures, WorkerFigures
from penstock.core.ports import Blobs, Clock, Database
from penstock.core.ports.figures import Figures

_ALIVE_S: Final = 5.0  # ten heartbeats
_BLOBS_CHECKED_S: Final = 5.0  # a check writes to the store
_SETTLED_S: Final = 5.0
_LEVELS: Final = ("none", "seccomp", "landlock+seccomp")  # the weakest first


@dataclass(frozen=True, slots=True)
class Scrape:
    """What is measured now, and what was counted since this process began."""

    queues: tuple[QueueFigures, ...]
    workers: tuple[WorkerFigures, ...]
    attempts: Counter[str]
    errors: Counter[str]


@dataclass(slots=True)
class HealthChecks:
    """What monitoring asks for. Needs no actor: it tells nothing of a workspace but the depth of its queue.

    Attributes:
        folders: of this machine, whose disks must not become full.
        seen: the newest attempt and the end of the newest job that are counted, None before the first look.
    """

    database: Database
    blobs: Blobs
    figures: Figures
    clock: Clock
    folders: Sequence[str] = ()
    seen: tuple[int, float] | None = None
    attempts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    _blobs_checked_at: float = 0.0
    _blobs_problem: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> Health:
        """Return whether the server is well."""
        now = self.clock()
        checks = {"blobs": problem} if (problem := self._check_blobs(now)) else {}
        if (room := self._low_disk()) is not None:
            checks["disk"] = room
        try:
            with self.database.read() as tx:
                workers = self.figures.workers(tx, alive_since=now - _ALIVE_S)
                queues = self.figures.queues(tx)
        except DatabaseUnavailable as error:
            _note("database", error)
            return Health("unavailable", {**checks, "database": "the records database cannot be used now"})
        if not workers:
            checks["workers"] = "no worker is alive: jobs are taken and wait"
        levels = {worker.sandbox_level for worker in workers}
        level = next((level for level in _LEVELS if level in levels), None)
        if level == "none":
            checks["sandbox"] = "a worker cannot run scripts safely and refuses them"
        if apart := [worker.clock_ahead_s for worker in workers if is_apart(worker.clock_ahead_s)]:
            checks["clock"] = (
                f"the clock of a worker is {_told(max(apart, key=abs))}: work may be taken from who does it"
            )
        oldest = [queue.oldest_ready_at for queue in queues if queue.oldest_ready_at is not None]
        lag_s = max(0.0, now - min(oldest)) if oldest else 0.0
        return Health(
            "unavailable" if "blobs" in checks else "degraded" if checks else "ok",
            checks,
            workers=len(workers),
            sandbox_level=level,
            queue_lag_s=lag_s,
        )

    def require_same_time(self) -> None:
        """Hold this machine's clock to the database's: every host judges by its own whether a lease has expired.

        Raises:
            SettingInvalid: when they are further apart than a lease bears.
        """
        ahead_s = self.clock_ahead_s()
        if is_apart(ahead_s):
            raise SettingInvalid(
                f"the clock of this machine is {_told(ahead_s)};"
                f" {limits.CLOCK_APART.value} s may be, the limit `clock_apart`",
                hint="Let both keep their time by NTP: a worker whose clock is ahead would take work from others.",
            )

    def clock_ahead_s(self) -> float:
        """Return how far this machine's clock is ahead of the database's at least; negative when it is behind."""
        with self.database.read() as tx:
            self.figures.time(tx)  # the first question opens a connection, which takes its time
            before, there, after = self.clock(), self.figures.time(tx), self.clock()
        if there is None or before <= there <= after:  # what the question took is nobody's fault
            return 0.0
        return before - there if before > there else after - there

    def scrape(self) -> Scrape:
        """Return the figures of now."""
        now = self.clock()
        with self._lock, self.database.read() as tx:
            queues = tuple(self.figures.queues(tx))
            workers = tuple(self.figures.workers(tx, alive_since=now - _ALIVE_S))
            last_attempt, last_job_at = self.seen or (self.figures.last_attempt(tx), now - _SETTLED_S)
            until = now - _SETTLED_S
            more = self.figures.ended(tx, after_attempt=last_attempt, after=last_job_at, until=until)
            self.seen = more.last_attempt, more.last_job_at
            self.attempts.update(more.attempts)
            self.errors.update(more.errors)
            return Scrape(queues, workers, Counter(self.attempts), Counter(self.errors))

    def _low_disk(self) -> str | None:
        found = disk_low(self.folders)
        if found is None:
            return None
        folder, room = found
        get_log().warning("health.disk_low", folder=str(folder), room=room)
        return f"a disk is nearly full: {room}; make room before it is"

    def _check_blobs(self, now: float) -> str | None:
        if not 0 <= now - self._blobs_checked_at < _BLOBS_CHECKED_S:
            try:
                self.blobs.check()
                self._blobs_problem = None
            except BlobsUnavailable as error:
                _note("blobs", error)
                self._blobs_problem = "the blob store cannot be written to now"
            self._blobs_checked_at = now
        return self._blobs_problem


def disk_low(folders: Sequence[str]) -> tuple[Path, str] | None:
    """Return the folder of a disk that is nearly full, and how much is free on it; None when there is none."""
    return low(folders, free_bytes=limits.DISK_FREE.value * 2**20, free_share=limits.DISK_FREE_SHARE.value / 100)


def is_apart(ahead_s: float) -> bool:
    """Return whether clocks are further apart than a lease bears."""
    return abs(ahead_s) > limits.CLOCK_APART.value


def _told(ahead_s: float) -> str:
    return f"{abs(ahead_s):,.1f} s {'ahead of' if ahead_s > 0 else 'behind'} the database's"


def _note(part: str, error: TransientError) -> None:
    """Write what is wrong into the log: anybody may ask for the health, and it may name folders and hosts."""
    get_log().warning("health.failed", part=part, why=error.message)
