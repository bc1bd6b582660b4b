"""Who goes next: workspaces take turns by the time they have used, each within its bounds.

Each workspace has a virtual time: the seconds of workers it was charged, divided by its weight. The one that is
furthest behind goes first. The queue has a virtual time of its own, that of whoever went last, and it only grows. A
workspace that could not go for a while, because it had nothing to do, was at its bound or was paused, is behind; it is
lifted to the queue's time when it goes again, so that nobody saves up turns. One that is far ahead because it had the
workers to itself is brought back to a minute ahead.

Source: start-time fair queueing, Goyal, Vin and Cheng, SIGCOMM 1996; the bound on what is held back is ours.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.jobs import EntryId, Lane

LEAST_CHARGE_S: Final = 0.001  # an attempt costs at least its round
FIRST_CHARGE_S: Final = 0.05  # in a lane that nothing has finished in yet
MOST_CHARGE_S: Final = 10.0  # in advance; what runs longer is charged while it runs
DRAIN_WINDOW_S: Final = 30.0  # what "lately" means in a drain rate
REMEMBERED: Final = 4.0  # a lane's mean is that of so many attempts and of the newest ones


@dataclass(frozen=True, slots=True)
class Head:
    """An entry near the front of its workspace, and what it will be charged."""

    id: EntryId
    lane: Lane
    charge_s: float


@dataclass(frozen=True, slots=True)
class Share:
    """A workspace that has something ready and may run more.

    Attributes:
        room: how many more it may run.
        heads: what may go next, in order; each lane within its own bound.
    """

    workspace: WorkspaceId
    virtual_time: float
    weight: float
    room: int
    heads: Sequence[Head]


@dataclass(frozen=True, slots=True)
class Turns:
    """Who goes.

    Attributes:
        heads: each with its workspace, in the order in which they were chosen.
        virtual_times: of the workspaces that go, after their charges.
        virtual_time: the queue's own.
    """

    heads: tuple[tuple[WorkspaceId, Head], ...]
    virtual_times: dict[WorkspaceId, float]
    virtual_time: float


def take_turns(shares: Sequence[Share], *, virtual_time: float, count: int) -> Turns:
    """Choose up to `count` entries, each time from the workspace that is furthest behind."""
    turns = [(max(share.virtual_time, virtual_time), share.virtual_time, share.workspace, 0, share) for share in shares]
    heapq.heapify(turns)
    heads: list[tuple[WorkspaceId, Head]] = []
    virtual_times: dict[WorkspaceId, float] = {}
    while turns and len(heads) < count:
        start, _, workspace, taken, share = heapq.heappop(turns)
        if taken >= min(share.room, len(share.heads)):
            continue
        head = share.heads[taken]
        heads.append((workspace, head))
        virtual_time = max(virtual_time, start)
        after = start + head.charge_s / share.weight
        virtual_times[workspace] = after
        heapq.heappush(turns, (after, after, workspace, taken + 1, share))
    return Turns(tuple(heads), virtual_times, virtual_time)


def charge_s(mean_s: float) -> float:
    """Return what an attempt is charged in advance, in a lane where one takes so long."""
    return min(max(mean_s, LEAST_CHARGE_S), MOST_CHARGE_S) if mean_s else FIRST_CHARGE_S


def furthest_ahead(virtual_time: float) -> float:
    """Return the most that a workspace's virtual time may be, by the queue's."""
    return virtual_time + limits.QUEUE_DEBT.value


def drain_rate(rate_per_s: float, *, finished: int, elapsed_s: float) -> float:
    """Return how many finish a second lately, after so many more in so long."""
    return (rate_per_s * DRAIN_WINDOW_S + finished) / (DRAIN_WINDOW_S + max(0.0, elapsed_s))
