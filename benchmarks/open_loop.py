"""An open loop: calls begin by the clock, however long the ones before them take."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_THREADS: Final = 4


def latencies_s(call: Callable[[], object], *, per_s: int, seconds: float) -> list[float]:
    """Return how long each call takes from when it is due.

    The threads take turns. One that still waits for its last call when the next is due begins late, and the delay
    counts; one that slept until then is clocked from when it wakes, because its sleep is not what is measured.
    """
    began_s = time.perf_counter() + 0.01
    due_s = [began_s + number / per_s for number in range(int(per_s * seconds))]

    def take_turns(first: int) -> list[float]:
        return [_latency_s(call, at_s) for at_s in due_s[first::_THREADS]]

    with ThreadPoolExecutor(_THREADS) as threads:
        return [latency for part in threads.map(take_turns, range(_THREADS)) for latency in part]


def _latency_s(call: Callable[[], object], due_s: float) -> float:
    ahead_s = due_s - time.perf_counter()
    if ahead_s > 0:
        time.sleep(ahead_s)
        due_s = time.perf_counter()
    call()
    return time.perf_counter() - due_s
