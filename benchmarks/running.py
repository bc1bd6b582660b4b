"""Runs benchmarks one after the other."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Iterator, Sequence

from benchmarks import machine, rows
from benchmarks.figures import Noise, Row


def run(names: Sequence[str], *, quick: bool) -> Iterator[Row]:
    """Yield the row of each benchmark that is named, of all when none is, in the order of the table."""
    for name, row in rows.discover().items():
        if not names or name in names:
            began_s, stolen_s, load = time.monotonic(), machine.stolen_s(), machine.load()
            figures = tuple(rows.measure(row, quick=quick))
            elapsed_s = time.monotonic() - began_s
            stolen = (machine.stolen_s() - stolen_s) / elapsed_s / (os.cpu_count() or 1)
            noise = Noise(load, machine.load(), stolen)
            yield Row(name, row.TITLE, inspect.getdoc(row) or "", figures, noise, elapsed_s)
