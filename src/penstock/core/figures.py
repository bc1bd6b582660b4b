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


@dataclass(frozen=True, slots=True)
class AttemptFigures:
    """Attempts that ended since one looked before.

    Attributes:
        last_id: where to go on looking.
        by_outcome: how many ended in each way.
        by_code: how many ended with each error.
    """

    last_id: int
    by_outcome: Mapping[str, int]
    by_code: Mapping[str, int]


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
