"""Peak memory of `penstock process` and all below it, over N generated order lines and 20 N, sampled every 50 ms.

Memory is the proportional set size of the whole tree (shared pages count once, arenas too); where the kernel does not
show it to this user, the resident set size, which counts shared pages in every process. Medians of three.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import retail
from benchmarks.figures import Figure, number
from benchmarks.timing import median, tree

NUMBER: Final = 8
TITLE: Final = "memory while the input grows 20x"
_GROWTH: Final = 20
_SAMPLE_S: Final = 0.05


def measure(*, quick: bool) -> list[Figure]:
    """Return by how much the peak grows."""
    rounds, orders = (1, 200) if quick else (3, 10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = retail.generate(folder / "small.csv", orders=orders)
        large = retail.generate(folder / "large.csv", orders=orders * _GROWTH)
        peaks = [(_peak_mib(small, folder), _peak_mib(large, folder)) for _ in range(rounds)]
    of_small, of_large = (median(column) for column in zip(*peaks, strict=True))
    how = f"{number(of_large)} MiB / {number(of_small)} MiB"
    return [Figure("growth of the peak", abs(of_large / of_small - 1) * 100, "%", how, at_most=10.0)]


def _peak_mib(orders: Path, folder: Path) -> float:
    command: list[str | Path] = [sys.executable, "-m", "penstock", "process", retail.CLEANER, orders]
    command += ["-o", folder / "clean.ndjson"]
    peak = 0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(_bytes(pid) for pid in tree(process.pid)))
            time.sleep(_SAMPLE_S)
    assert process.returncode == 0, "penstock process failed"
    return peak / 2**20


def _bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return 1024 * next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    except (PermissionError, StopIteration):
        return _resident_bytes(pid)
    except OSError:  # it has ended
        return 0


def _resident_bytes(pid: int) -> int:
    try:
        return 4096 * int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
