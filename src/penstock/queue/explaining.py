"""Why an entry waits, in a sentence with figures: decided from what the queue knows of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from penstock.core import limits
from penstock.core.errors import TransientError
from penstock.core.jobs import Entry, Waiting

_OWN_CODES: Final = frozenset(["quota_cpu", *(error.code for error in TransientError.__subclasses__())])


@dataclass(frozen=True, slots=True)
class Bound:
    """How many run, of how many that may."""

    running: int
    running_max: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.running:,} of {self.running_max:,} running"


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides when an entry goes.

    Attributes:
        workers: how many are alive and take new work.
        slots: how many attempts they can carry out at once, and `busy` of these are taken.
        before_it: entries of its workspace that go first; one more than is counted at most.
    """

    scheduled: bool
    workspace: Bound
    lane: Bound
    paused_at: float | None
    paused_reason: str | None
    workers: int
    slots: int
    busy: int
    before_it: int


def explain(entry: Entry, situation: Situation, *, now: float) -> Waiting:
    """Return why an entry waits."""
    if situation.scheduled:
        return _until(entry, now)
    if situation.paused_at is not None:
        since = _time(situation.paused_at)
        reason = situation.paused_reason or "somebody paused it"
        return Waiting("script_paused", f"The script is paused since {since}: {reason}. It waits until it is resumed.")
    if not situation.workers:
        seen_s = limits.WORKER_SEEN.value
        return Waiting("no_worker", f"No worker has been heard of in the last {seen_s} s; it starts when there is one.")
    before = situation.before_it
    if situation.workspace.running >= situation.workspace.running_max:
        return Waiting("workspace_limit", f"The workspace has {situation.workspace}; {_before(before)}", None, before)
    if situation.lane.running >= situation.lane.running_max:
        return Waiting("script_limit", f"The script has {situation.lane}; {_before(before)}", None, before)
    workers = "1 worker" if situation.workers == 1 else f"{situation.workers:,} workers"
    places = f"{situation.busy:,} of {situation.slots:,} places of {workers} are taken"
    return Waiting("its_turn", f"It is ready, and {places}; {_before(before)}", None, before)


def _until(entry: Entry, now: float) -> Waiting:
    until = entry.not_before or now
    when = f"{_time(until)}, in {_span(until - now)}"
    if entry.reason is None:
        return Waiting(
            "not_before", f"It was asked not to start before {_time(until)}, in {_span(until - now)}.", until
        )
    if entry.reason in _OWN_CODES:
        return Waiting(entry.reason, f"It was put back untried ({entry.reason}); it is tried again at {when}.", until)
    tried = f"Attempt {entry.attempt - 1:,} of {entry.attempts_max:,} ended with {entry.reason}"
    return Waiting("back_off", f"{tried}; the next begins at {when}.", until)


def _before(count: int) -> str:
    most = limits.COUNTED_BEFORE.value
    if count > most:
        return f"more than {most:,} others of its workspace go first."
    if count == 0:
        return "no other of its workspace goes first."
    return f"{count:,} {'other' if count == 1 else 'others'} of its workspace {'goes' if count == 1 else 'go'} first."


def _time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
