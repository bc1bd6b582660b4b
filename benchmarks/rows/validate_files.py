"""A project of 200 SQL files in 10 pipelines, as `penstock validate` looks at it.

In a process that has done it before, the median of ten; and the whole command, with the start of Python and the reading
of the folder, its CPU time and all of it. A peer parses as many models.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.projects import project
from benchmarks.timing import elapsed_s, median

NUMBER: Final = 44
TITLE: Final = "`validate`: 200 files of SQL"
_PENSTOCK: Final = Path(sys.executable).with_name("penstock")


def measure(*, quick: bool) -> list[Figure]:
    """Return how long a look at a project takes."""
    from penstock.wiring.folder import check_files

    files = project(pipelines=10, tasks=2 if quick else 20)
    count = sum(name.endswith(".sql") for name in files)
    check_files(files)
    warm_s = [elapsed_s(lambda: check_files(files)) for _ in range(2 if quick else 10)]
    wall_s, cpu_s = _command(files)
    return [
        Figure(f"{count} files, warm", median(warm_s) * 1e3, "ms"),
        Figure("the whole command", wall_s * 1e3, "ms", f"of that, CPU {cpu_s * 1e3:.0f} ms"),
    ]


def _command(files: dict[str, bytes]) -> tuple[float, float]:
    """Return wall and CPU time of `penstock validate` in a folder of these files."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        for path, content in files.items():
            target = Path(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        before, started_s = os.times(), time.perf_counter()
        subprocess.run([_PENSTOCK, "validate"], cwd=name, check=True, capture_output=True, timeout=300)
        wall_s, after = time.perf_counter() - started_s, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return wall_s, cpu_s
