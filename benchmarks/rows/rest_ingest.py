"""Ingest of 100,000 rows from an HTTP API on loopback, in pages of 1,000, each of which says what the next one is.

Ours is a whole run in this process, from its being asked for to its end: pages parsed in locked children, types found
out, audit columns, hashes, Parquet, the commit and the publication. Beside it, from the same server: the loop that one
would write with httpx and pyarrow, which is told the types, and dlt's REST client to Parquet files; neither publishes,
their start and imports are not counted. In turn, five rounds after one that warms the caches; medians.
"""

from __future__ import annotations

from typing import Final

from benchmarks import environments, ingesting, pipelines
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number
from benchmarks.paged_source import source_url
from benchmarks.timing import median

NUMBER: Final = 46
TITLE: Final = "REST: ingest of 100,000 rows"


def measure(*, quick: bool) -> list[Figure]:
    """Return what an ingest costs beside others."""
    rows, rounds = (5_000, 1) if quick else (100_000, 5)
    missing = "not when it is quick" if quick else _missing()
    ours, by_hand, dlt = [], [], []
    with source_url(rows) as url, pipelines.here(pipelines.paged(url)) as runs:
        for turn in range(rounds + 1):
            ours.append(runs.run_s(again=True))
            by_hand.append(ingesting.by_hand_s(url, rows))
            dlt.append(0.0 if missing else ingesting.dlt_s(url, rows))
            assert runs.rows("raw.orders") == rows * (turn + 1)
    ours_s, by_hand_s, dlt_s = (median(taken[1:]) for taken in (ours, by_hand, dlt))
    how = f"{number(ours_s * 1e3)} ms / {number(by_hand_s * 1e3)} ms"
    beside_dlt = missing or f"{number(dlt_s * 1e3)} ms / {number(ours_s * 1e3)} ms"
    return [
        Figure("ingest / a loop of httpx and pyarrow", ours_s / by_hand_s, "x", how, at_most=1.5),
        Figure("faster than dlt to Parquet", dlt_s / ours_s, "x", beside_dlt, at_least=2),
        Figure("rows a second", rows / ours_s, "/s"),
    ]


def _missing() -> str:
    """Return why dlt is not here; make its environment."""
    try:
        environments.python_of("dlt")
    except PeerMissing as missing:
        return str(missing)
    return ""
