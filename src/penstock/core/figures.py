"""What operators look at: how much waits, who works, and whether the server is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from penstock.core.access import WorkspaceId


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """What one workspace has in the queue.

    Attributes:
        oldest_ready_at: seconds since 1970, None when nothing is ready.
    """

    workspace: WorkspaceId
    scheduled: int
    ready: int
    running: int
    oldest_ready_at: float | None


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker, as its last heartbeat left it."""

    id: str
    state: str
    slots: int
    busy: int
    sandbox_level: str
    heartbeat_at: float
    clock_ahead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EndedFigures:
    """What ended since one looked before.

    Attributes:
        last_attempt: the number of the last attempt that is counted.
        last_job_at: when the last job ended whose records are counted, seconds since 1970.
        attempts: how many ended in each way, by outcome.
        errors: how many attempts and records failed, by the code of their error.
    """

    last_attempt: int
    last_job_at: float
    attempts: Mapping[str, int]
    errors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the server is well.

    Attributes:
        state: `ok`; `degraded` takes jobs that wait for something; `unavailable` takes none.
        checks: a sentence for each part that is not well, by its name.
        workers: how many are alive.
        sandbox_level: the weakest of all workers, None when there is none.
        queue_lag_s: how long the foremost ready entry has waited.
    """

    state: Literal["ok", "degraded", "unavailable"]
    checks: Mapping[str, str]
    workers: int = 0
    sandbox_level: str | None = None
    queue_lag_s: float = 0.0
