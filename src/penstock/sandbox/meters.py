"""Whose CPU time is whose: meters, and what the kernel says that a child has used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

_CPU_CLOCK: Final = 2  # source: CPUCLOCK_SCHED in include/linux/posix-timers_types.h


class Meter:
    """The CPU time that children have used for one user of theirs, as the kernel tells it; safe to use from threads.

    Args:
        late: is told what is found after `take`: children that have given their reply still have to end.
    """

    def __init__(self, late: Callable[[float], None]) -> None:
        self._late = late
        self._lock = threading.Lock()
        self._cpu_s = 0.0
        self._taken = False

    def add(self, cpu_s: float) -> None:
        """Count so many seconds more."""
        with self._lock:
            if not self._taken:
                self._cpu_s += cpu_s
                return
        self._late(cpu_s)

    def take(self) -> float:
        """Return what has been counted; what is found from now on is late."""
        with self._lock:
            self._taken = True
            return self._cpu_s


def cpu_s_of(pid: int) -> float:
    """Return the CPU time that a process has used which nobody has waited for yet; 0 when it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | _CPU_CLOCK)
    except OSError:
        return 0.0
