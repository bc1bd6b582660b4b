"""Runs of a trivial script one after the other in one warm child; service and child share one core. Median of 5 rounds.

The lock costs nothing here: it was put on once, when the child was parked. A round through the channel is the floor:
the same two sockets and processes, one message there and one back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from benchmarks import sandboxed
from benchmarks.figures import Figure
from benchmarks.timing import elapsed_s, median, on_cores

NUMBER: Final = 3
TITLE: Final = "warm run"


def measure(*, quick: bool) -> list[Figure]:
    """Return how many runs a core does in a second."""
    rounds, times = (1, 1_000) if quick else (5, 20_000)
    with on_cores(1), sandboxed.opened(replace(sandboxed.TRIVIAL_PYTHON, tier="warm"), parallel=1) as runner:
        taken_s = [elapsed_s(lambda: [sandboxed.run(runner) for _ in range(times)]) for _ in range(rounds)]
    return [Figure("warm runs a second and core", times / median(taken_s), "/s", at_least=40_000.0)]
