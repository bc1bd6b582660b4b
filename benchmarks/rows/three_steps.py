"""A pipeline of three steps from its being asked for to its end: a day's file of 1,800 lines lands, two SELECTs follow.

All of it is counted: the plan, three locked children that read the file and run the queries, Parquet, three commits to
the lake, publication, and word of the end. Warm; each run is of another date; medians of nine. `penstock up`: asked for
over HTTP, its end heard of by its events. The peers carry out a chain of three functions that do nothing: they
read, write and publish nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import orchestrators, pipelines
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure
from benchmarks.timing import median

NUMBER: Final = 49
TITLE: Final = "three steps, files -> sql -> sql, asked for to done"
_FIRST: Final = dt.date(2024, 1, 1)
_ROWS: Final = 1_800


def measure(*, quick: bool) -> list[Figure]:
    """Return how long three steps take, here and by others."""
    rounds = 1 if quick else 9
    dates = [str(_FIRST + dt.timedelta(days=number)) for number in range(rounds + 1)]
    files = pipelines.days(rows=_ROWS, dates=dates)
    with pipelines.here(files) as runs:
        here_s = _run_s(runs, dates)
        assert runs.rows("staging.orders") == len(dates) * _ROWS
    with pipelines.on_a_server(files) as runs:
        server_s = _run_s(runs, dates)
    figures = [Figure("`penstock run`", here_s * 1e3, "ms"), Figure("`penstock up`", server_s * 1e3, "ms")]
    return figures if quick else [*figures, *_beside()]


def _run_s(runs: pipelines.Runs, dates: Sequence[str]) -> float:
    taken_s = [runs.run_s(date=date) for date in dates]
    return median(taken_s[1:])


def _beside() -> Iterator[Figure]:
    for peer in orchestrators.PEERS:
        try:
            chain = orchestrators.measured(peer)[orchestrators.SHORT]
            yield Figure(f"{peer}, doing nothing", chain.run_s * 1e3, "ms")
        except PeerMissing as missing:
            yield Figure(f"{peer}, doing nothing", 0.0, "ms", str(missing))
