"""Times in JSON: ISO 8601, UTC, to the millisecond."""

from __future__ import annotations

import datetime as dt
from typing import overload


@overload
def iso(at: float) -> str: ...
@overload
def iso(at: None) -> None: ...
@overload
def iso(at: float | None) -> str | None: ...


def iso(at: float | None) -> str | None:
    """Return seconds since 1970 as `2026-01-31T12:00:00.000Z`."""
    if at is None:
        return None
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
