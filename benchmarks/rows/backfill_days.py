"""A back-fill of 305 days, one after the other: a day's file of 1,800 lines lands, two SELECTs follow, all published.

By `Runs.backfill` and a worker in this process. A day is what its run took from its start to its end, as the records
have it; the last 30 days are set against the first 30. Every day has as many lines, so that what grows with the tables,
their histories and the records is all that can make the last ones slower.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Final

from benchmarks import pipelines
from benchmarks.figures import Figure, number
from benchmarks.timing import median

NUMBER: Final = 50
TITLE: Final = "305 days as a back-fill"
_FIRST: Final = dt.date(2024, 1, 1)
_ROWS: Final = 1_800


def measure(*, quick: bool) -> list[Figure]:
    """Return how much slower the last days are than the first."""
    count, window = (2, 1) if quick else (305, 30)
    dates = [str(_FIRST + dt.timedelta(days=number)) for number in range(count)]
    with pipelines.here(pipelines.days(rows=_ROWS, dates=dates)) as runs:
        began_s = time.perf_counter()
        taken_s = runs.backfill_s(dates[0], dates[-1])
        whole_s = time.perf_counter() - began_s
        assert runs.rows("staging.orders") == count * _ROWS
    first_s, last_s = median(taken_s[:window]), median(taken_s[-window:])
    how = f"{number(last_s * 1e3)} ms / {number(first_s * 1e3)} ms"
    return [
        Figure(f"median of the last {window} / the first {window}", last_s / first_s, "x", how, at_most=1.5),
        Figure(f"all {count} days", whole_s, "s"),
    ]
