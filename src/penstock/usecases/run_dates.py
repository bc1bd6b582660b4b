"""The dates that runs are asked for, checked."""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from penstock.core import limits
from penstock.core.errors import RequestInvalid

_WORDS: Final = {"today": 0, "yesterday": 1}  # days ago


def meant(date: str, timezone: str, *, now: float) -> str:
    """Return a date; for `today` and `yesterday` that which it is, or was, in a time zone.

    Raises:
        RequestInvalid: when it is none.
    """
    if date in _WORDS:
        here = dt.datetime.fromtimestamp(now, ZoneInfo(timezone)).date()
        return (here - dt.timedelta(days=_WORDS[date])).isoformat()
    return _date(date).isoformat()


def _date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  # a date has no zone
    except ValueError:
        raise RequestInvalid(
            f"{text[:40]!r} is not a date", hint="Write it as 2026-01-31, today or yesterday."
        ) from None


def dates_between(first: str, last: str) -> list[str]:
    """Return the dates from one to another, both included.

    Raises:
        RequestInvalid: when there are none, or too many.
    """
    begin, end = _date(first), _date(last)
    days = (end - begin).days + 1
    if days < 1:
        raise RequestInvalid(f"no date lies from {first} to {last}", hint="Give the earlier date first.")
    if days > limits.BACKFILL_DATES.value:
        raise RequestInvalid(
            f"from {first} to {last} are {days:,} dates; {limits.BACKFILL_DATES.value:,} can be back-filled at once",
            hint="Cut it into several back-fills.",
        )
    return [(begin + dt.timedelta(days=number)).isoformat() for number in range(days)]


def at_least_one(parallel: int) -> int:
    """Return how many runs at once; RequestInvalid when that is none."""
    if parallel < 1:
        raise RequestInvalid(f"{parallel} runs at once are none", hint="Give 1 or more.")
    return parallel
