"""Times of a cron expression in a time zone, also on days that have an hour twice or not at all.

An expression with a fixed hour and minute means the clock on the wall. A time that a day does not have comes when the
clock has jumped, once; a time that a day has twice comes the first time only. An expression whose hour or minute begins
with `*` means time that passes, so it goes on through both. Debian's cron does the same.

`cronsim` is asked for what clocks show, never for times: it takes every change of a clock for one of an hour, and loses
times where it is half of one, as on Lord Howe Island.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import heapq
import itertools
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

# Each field's name, its values, and the names that stand for some.
FIELDS: Final = (
    ("minute", "0-59", ()),
    ("hour", "0-23", ()),
    ("day of month", "1-31, L for the last", ()),
    ("month", "1-12 or JAN-DEC", tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())),
    ("day of week", "0-7 or SUN-SAT", tuple("SUN MON TUE WED THU FRI SAT".split())),
)
_SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MINUTE: Final = dt.timedelta(minutes=1)
_DAY: Final = dt.timedelta(days=1, hours=1)
_DAY_S: Final = 25 * 3600.0  # no clock was ever changed by more than a day
_ANY_TIME: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def cron_problem(text: str) -> str | None:
    """Return what is wrong with a cron expression and what would be valid, None when nothing is."""
    fields = text.split()
    if fields and fields[0].startswith("@"):
        return f"{text!r} is no cron expression; write {_shorthand(fields[0].lower())!r}"
    if len(fields) != len(FIELDS):
        names = ", ".join(name for name, _, _ in FIELDS)
        return f"{text!r} has {len(fields)} fields; cron has {len(FIELDS)}: {names}"
    for index, (name, valid, words) in enumerate(FIELDS):
        alone = ["*"] * len(FIELDS)
        alone[index] = fields[index]
        if not _is_read(" ".join(alone)):
            return f"{text!r}: {fields[index]!r} is no {name}; valid is {valid}{_nearest(fields[index], words)}"
    if not _is_read(text) or next(times_after(text, timezone="UTC", after=0.0), None) is None:
        return f"{text!r} never comes: there is no such day in such a month"
    return None


def times_after(text: str, *, timezone: str, after: float) -> Iterator[float]:
    """Yield the times of a valid cron expression that come after one, seconds since 1970, in order, each once."""
    zone = _zone(timezone)
    shown = dt.datetime.fromtimestamp(after, zone).replace(tzinfo=None, fold=0)
    last_s = after
    for at_s in _in_order(text, zone, _begin(zone, after, shown - _MINUTE, back=True)):
        if at_s > last_s:  # of two wall-clock times, the second may be what the first was moved to
            yield at_s
            last_s = at_s


def time_before(text: str, *, timezone: str, at: float) -> float | None:
    """Return the last time of a valid cron expression that is not after one; None when there never was one."""
    zone = _zone(timezone)
    shown = dt.datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)
    passes = _passes(text)
    for moment in CronSim(text, _begin(zone, at, shown + _MINUTE, back=False), reverse=True):
        times = _times(moment, zone, passes=passes)
        if times and times[0] <= at:  # what a day has twice may come later still
            return max(
                itertools.takewhile(lambda time: time <= at, times_after(text, timezone=timezone, after=times[0])),
                default=times[0],
            )
    return None


def _in_order(text: str, zone: dt.tzinfo, begin: dt.datetime) -> Iterator[float]:
    """Yield the times of an expression in order, from what a clock shows on."""
    passes = _passes(text)
    second: list[float] = []
    for moment in CronSim(text, begin):
        times = _times(moment, zone, passes=passes)
        if not times:
            continue
        while second and second[0] < times[0]:
            yield heapq.heappop(second)
        yield times[0]
        for time in times[1:]:
            heapq.heappush(second, time)
    yield from sorted(second)


def _times(shown: dt.datetime, zone: dt.tzinfo, *, passes: bool) -> list[float]:
    """Return when a clock shows something: once, or twice; or when it has jumped over it, unless time passes."""
    first, second = (shown.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first, second] if passes else [first]
    return [] if passes else [_jump(zone, second, first)]


def _jump(zone: dt.tzinfo, before: float, after: float) -> float:
    """Return the second in which a clock jumps, between two times."""
    low, high = int(before), int(after)
    offset = dt.datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if dt.datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return float(high)


def _begin(zone: dt.tzinfo, at: float, shown: dt.datetime, *, back: bool) -> dt.datetime:
    """Return from what a clock shows on it has to be looked: farther off when it is changed within a day."""
    offsets = {dt.datetime.fromtimestamp(at + days * _DAY_S, zone).utcoffset() for days in (-1, 0, 1)}
    if len(offsets) == 1:
        return shown
    return shown - _DAY if back else shown + _DAY


def _passes(text: str) -> bool:
    """Return whether an expression means time that passes."""
    minute, hour = text.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


@functools.cache
def _zone(timezone: str) -> dt.tzinfo:
    return dt.UTC if timezone == "UTC" else ZoneInfo(timezone)


def _is_read(text: str) -> bool:
    try:
        CronSim(text, _ANY_TIME)
    except CronSimError:
        return False
    return True


def _shorthand(word: str) -> str:
    close = difflib.get_close_matches(word, _SHORTHANDS, n=1)
    return _SHORTHANDS[close[0]] if close else _SHORTHANDS["@daily"]


def _nearest(field: str, words: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(field.upper(), words, n=1)
    return f"; did you mean {close[0]}?" if close else ""
