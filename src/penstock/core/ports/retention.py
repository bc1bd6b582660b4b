"""The port of what has been kept long enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from penstock.core.retention import Removed


class RetentionRecords(Protocol):
    """What has been kept long enough."""

    def leads(self, tx: Any, worker: str, *, seen_after: float) -> bool:
        """Return whether a worker is the first of those that were seen lately, so that one of them does it for all."""

    def remove_jobs(self, tx: Any, *, ended_before: float, forget_at: float, limit: int) -> Sequence[Removed]:
        """Remove jobs with all that is known of them, but for their idempotency keys.

        A job stays while one that repeats or replays it is there, while its webhook waits, and while it has chunks.
        """

    def remove_pieces(self, tx: Any, *, limit: int) -> Sequence[Removed]:
        """Remove some of the chunks of jobs that have ended, and that nobody carries out any more."""

    def forget(self, tx: Any, *, now: float, seen_before: float, limit: int) -> None:
        """Remove idempotency keys whose time is over, and workers that have not been seen for long."""

    def orphans(self, tx: Any, keys: Sequence[str], *, ended_before: float) -> Sequence[str]:
        """Return those of the keys that nothing points to: uploads without a job, and what attempts left behind."""
