"""Whole commands over a project's folder, from the start of Python to its end, beside dbt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import dbt, queues
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number
from benchmarks.pipelines import write
from benchmarks.timing import median

_PENSTOCK: Final = Path(sys.executable).with_name("penstock")
_PATIENCE_S: Final = 300.0
_ROUNDS: Final = 3


def beside_dbt(words: Sequence[str], files: Mapping[str, bytes], models: int, *, quick: bool) -> list[Figure]:
    """Return how long a command takes in a folder of these files, and how long `dbt parse` takes for so many models."""
    taken, theirs_s, missing = [], [], ""
    for _ in range(1 if quick else _ROUNDS):
        taken.append(_command_s(words, files))
        try:
            theirs_s += [] if quick or missing else [dbt.parse_s(models)]
        except PeerMissing as reason:
            missing = str(reason)
    wall_s, cpu_s = (median(column) for column in zip(*taken, strict=True))
    figures = [Figure("the whole command", wall_s * 1e3, "ms", f"of that, CPU {number(cpu_s * 1e3)} ms")]
    if theirs_s:
        how = f"{number(median(theirs_s))} s / {number(wall_s)} s"
        return [*figures, Figure("faster than `dbt parse`", median(theirs_s) / wall_s, "x", how)]
    return [*figures, *([Figure("faster than `dbt parse`", 0.0, "x", missing)] if missing else [])]


def _command_s(words: Sequence[str], files: Mapping[str, bytes]) -> tuple[float, float]:
    """Return wall and CPU time."""
    with queues.folder() as place:
        write(place, files)
        before, began_s = os.times(), time.perf_counter()
        subprocess.run([_PENSTOCK, *words], cwd=place, check=True, capture_output=True, timeout=_PATIENCE_S)
        wall_s, after = time.perf_counter() - began_s, os.times()
    return wall_s, after.children_user + after.children_system - before.children_user - before.children_system
