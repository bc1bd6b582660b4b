"""As the first row, QuickJS and Python in turn: three rounds of 10 s each."""

from __future__ import annotations

from typing import Final

from benchmarks import sandboxed
from benchmarks.figures import Figure, number
from benchmarks.open_loop import latencies_s
from benchmarks.timing import median, quantile

NUMBER: Final = 4
TITLE: Final = "isolated QuickJS run"
_PER_S: Final = 100


def measure(*, quick: bool) -> list[Figure]:
    """Return quantiles of the added latency, and its ratio to Python's."""
    rounds, seconds = (1, 0.5) if quick else (3, 10)
    javascript: list[float] = []
    python: list[float] = []
    with (
        sandboxed.opened(sandboxed.TRIVIAL_JAVASCRIPT) as quickjs,
        sandboxed.opened(sandboxed.TRIVIAL_PYTHON) as cpython,
    ):
        for _ in range(rounds):
            javascript += latencies_s(lambda: sandboxed.run(quickjs), per_s=_PER_S, seconds=seconds)
            python += latencies_s(lambda: sandboxed.run(cpython), per_s=_PER_S, seconds=seconds)
    p50, python_p50 = median(javascript) * 1e3, median(python) * 1e3
    how = f"p50 {number(p50)} ms / {number(python_p50)} ms"
    return [
        Figure("added p50", p50, "ms"),
        Figure("added p99", quantile(javascript, 0.99) * 1e3, "ms"),
        Figure("slower than an isolated Python run", p50 / python_p50, "x", how, at_most=2.0),
    ]
