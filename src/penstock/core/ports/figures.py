"""The port behind /health and /metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from penstock.core.figures import EndedFigures, QueueFigures, WorkerFigures


class Figures(Protocol):
    """What the records database knows of all workspaces together; each question costs a bounded time."""

    def time(self, tx: Any) -> float | None:
        """Return the time by the database's own clock; None when that is this machine's."""

    def queues(self, tx: Any) -> Sequence[QueueFigures]:
        """Return the workspaces with the most in the queue."""

    def workers(self, tx: Any, *, alive_since: float) -> Sequence[WorkerFigures]:
        """Return the workers that were heard of since."""

    def last_attempt(self, tx: Any) -> int:
        """Return the number of the newest attempt, 0 when there is none."""

    def ended(self, tx: Any, *, after_attempt: int, after: float, until: float) -> EndedFigures:
        """Return what has ended since.

        Args:
            tx: a transaction.
            after_attempt: the number of the last attempt that is counted already.
            after: when the last job ended that is counted already, seconds since 1970.
            until: what ends later is left for the next time.
        """
