"""Taking time: quantiles, the CPU time of a process tree, and keeping to one core."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """Return the middle one."""
    return quantile(values, 0.5)


def elapsed_s(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def tree(root: int) -> list[int]:
    """Return a process and everything below it."""
    parents = {pid: int(fields[1]) for pid in _processes() if (fields := _stat(pid))}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def tree_cpu_s(root: int) -> float:
    """Return the CPU time that a process tree has used, with all children that were waited for.

    The kernel knows it exactly and tells it in ticks of 10 ms, so windows have to be seconds long.
    """
    ticks = (fields[11:15] for pid in tree(root) if (fields := _stat(pid)))
    return sum(int(field) for four in ticks for field in four) * _TICK_S


@contextlib.contextmanager
def on_cores(number: int) -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on so many cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[-number:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the name; nothing when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
