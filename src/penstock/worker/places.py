"""Where a worker's attempts run: in places that all workspaces share, and in one more that is kept for guests.

What runs long cannot be taken back from a place. So that it does not keep out others until it ends, a worker has a
guest place beyond those that its cores are worth, for an attempt of a workspace that runs nothing. Nobody else takes
it, and while there is no guest it costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.worker.holding import Holding
from penstock.worker.runners import Runner


def threads_of(runners: Sequence[Runner]) -> int:
    """Return how many places there are now, the guest place apart."""
    return sum(runner.threads for runner in runners if runner.ready)


def busy(runners: Sequence[Runner]) -> int:
    """Return how many of them are taken."""
    return sum(min(runner.threads, len(runner.at_hand)) for runner in runners)


def host_of(runners: Sequence[Runner]) -> Runner | None:
    """Return the runner that takes a guest now; None when there is one already, or no runner is ready."""
    if any(runner.guest is not None for runner in runners):
        return None
    return max((runner for runner in runners if runner.ready), key=lambda runner: runner.room, default=None)


def guest_among(waiting: Iterable[Holding], held: Iterable[Holding]) -> Holding | None:
    """Return the first of those waiting whose workspace runs nothing here."""
    at_home = {holding.lease.entry.workspace for holding in held if holding.runner is not None}
    return next((each for each in waiting if each.lease.entry.workspace not in at_home), None)
