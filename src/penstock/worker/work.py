"""What a supervisor asks of the use case of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from penstock.core.jobs import Lease
from penstock.core.work import Ended, Held, Round, Told, WorkerState

_NOTHING: Final = Told()


class Work(Protocol):
    """The use case of a worker (`usecases.work.Work`)."""

    def round(self, worker: str, ended: Sequence[Ended], *, count: int, guests: bool = False) -> Round:
        """Record ends and what follows from them, and take up to `count` new attempts, guests if it is to be those."""

    def heartbeat(self, worker: WorkerState, leases: Sequence[Lease], *, told: Told = _NOTHING) -> Held:
        """Make leases last again, record what was told, and say which are held and what is cancelled."""

    def release(self, worker: str, leases: Sequence[Lease], *, reason: str) -> None:
        """Give leases back untried."""

    def leave(self, worker: str) -> None:
        """Take the worker's row away."""
