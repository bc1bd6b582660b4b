"""When a pipeline is due, for which logical date, and when its run is late. Pure: the clock is passed in.

A schedule is as far as its `next_at`: the first of its times that nobody has made a run for.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from penstock.base.cron import time_before, times_after
from penstock.core.projects import Schedule


@dataclass(frozen=True, slots=True)
class Occasion:
    """One time of a schedule.

    Attributes:
        date: the logical date of its run, `YYYY-MM-DD`: the day of that time in the schedule's zone.
        at: seconds since 1970.
    """

    date: str
    at: float


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be run now.

    Attributes:
        occasions: the oldest first.
        next_at: how far the schedule is then; None when it never comes again.
    """

    occasions: tuple[Occasion, ...]
    next_at: float | None


def next_at(schedule: Schedule, *, after: float) -> float | None:
    """Return the first time after another, None when there is none: where a new schedule begins."""
    return next(times_after(schedule.cron, timezone=schedule.timezone, after=after), None)


def occasion(schedule: Schedule, *, at: float) -> Occasion:
    """Return a time with its logical date."""
    return Occasion(dt.datetime.fromtimestamp(at, ZoneInfo(schedule.timezone)).date().isoformat(), at)


def due(schedule: Schedule, *, next_at: float | None, now: float, active: int, paused: bool = False) -> Due:
    """Return what is to be run now, and how far the schedule is then.

    With `catch_up` every time that has passed gets its run, the oldest first. Without, only the last one does. What
    finds no room, because `runs_max` runs are active, waits; while the schedule is paused, everything does.

    Args:
        schedule: as the active revision says it.
        next_at: how far it is.
        now: seconds since 1970.
        active: how many runs of the pipeline have not ended.
        paused: by somebody, whatever the project says.
    """
    room = schedule.runs_max - active
    if next_at is None or next_at > now or room <= 0 or paused or schedule.paused:
        return Due((), next_at)
    if not schedule.catch_up:
        latest = time_before(schedule.cron, timezone=schedule.timezone, at=now)
        next_at = next_at if latest is None else max(next_at, latest)
        room = 1
    times = itertools.chain([next_at], times_after(schedule.cron, timezone=schedule.timezone, after=next_at))
    passed = list(itertools.takewhile(lambda at: at <= now, itertools.islice(times, room)))
    following = next(times_after(schedule.cron, timezone=schedule.timezone, after=passed[-1]), None)
    return Due(tuple(occasion(schedule, at=at) for at in passed), following)


def deadline_at(schedule: Schedule, *, deadline: str, at: float) -> float:
    """Return when the run of a time is late: when the clock in the schedule's zone next shows the deadline.

    Args:
        schedule: whose zone.
        deadline: `HH:MM`. A time that a day does not have is as long after the jump as it is after the hour that is
            missing; of one that it has twice, the first counts.
        at: the time of the schedule, seconds since 1970.
    """
    zone = ZoneInfo(schedule.timezone)
    begun = dt.datetime.fromtimestamp(at, zone)
    for days in range(3):  # the day after is early enough, unless the clock jumps over its deadline as well
        day = begun.date() + dt.timedelta(days=days)
        moment = dt.datetime.combine(day, dt.time.fromisoformat(deadline), tzinfo=zone)
        if moment.timestamp() >= at:
            return moment.timestamp()
    raise AssertionError(f"no {deadline} within two days after {begun}")


def overdue(schedule: Schedule, *, deadline: str, since: float, now: float) -> Occasion | None:
    """Return the last occasion whose deadline has passed, None when there is none.

    Args:
        schedule: as the active revision says it.
        deadline: `HH:MM`.
        since: occasions before it are nobody's business, seconds since 1970.
        now: seconds since 1970.
    """
    at = time_before(schedule.cron, timezone=schedule.timezone, at=now)
    while at is not None and at >= since:
        if deadline_at(schedule, deadline=deadline, at=at) <= now:
            return occasion(schedule, at=at)
        at = time_before(schedule.cron, timezone=schedule.timezone, at=at - 1)
    return None
