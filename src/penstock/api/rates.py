"""How many requests a workspace may send to this process, a second and at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

_BURST_S: Final = 2.0  # a burst of what two seconds allow is let through
_NAMES_MAX: Final = 10_000


class Crowd:
    """Counts the requests of each name, such as a workspace's id, that are answered now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()

    def enter(self, name: str, *, most: int) -> bool:
        """Let one more be answered, unless so many are; return whether it is."""
        with self._lock:
            if self._running[name] >= most:
                return False
            self._running[name] += 1
            return True

    def leave(self, name: str) -> None:
        """Count one less."""
        with self._lock:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]


class RateLimiter:
    """A bucket for each name, such as a workspace's id, that fills at its rate and holds two seconds of it.

    Attributes:
        crowd: the requests that are answered now.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self.crowd = Crowd()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, *, per_s: float) -> float:
        """Take one request; return 0 when it may go on, else in how many seconds it may."""
        now_s = self._clock_s()
        burst = max(1.0, per_s * _BURST_S)
        with self._lock:
            tokens, filled_s = self._buckets.get(name, (burst, now_s))
            tokens = min(burst, tokens + (now_s - filled_s) * per_s)
            allowed = tokens >= 1
            self._make_room(now_s)
            self._buckets[name] = (tokens - 1 if allowed else tokens, now_s)
        return 0.0 if allowed else (1 - tokens) / max(per_s, 1e-3)

    def _make_room(self, now_s: float) -> None:
        if len(self._buckets) > _NAMES_MAX:  # a bucket not touched for so long is full
            self._buckets = {key: item for key, item in self._buckets.items() if now_s - item[1] < _BURST_S}
