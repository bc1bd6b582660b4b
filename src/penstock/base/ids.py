"""Ids: a prefix that says what they name, and a ULID, so that later ids sort after earlier ones."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _CROCKFORD for low in _CROCKFORD]
_RANDOM_BITS: Final = 80
_PAIR_BITS: Final = 10
_SHIFTS: Final = tuple(range(12 * _PAIR_BITS, -1, -_PAIR_BITS))


class _Numbers:
    """Numbers that grow: within a millisecond by one, so that what one process makes sorts in the order of making."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """Return 48 bits of milliseconds and 80 more."""
        now = time.time_ns() // 1_000_000 << _RANDOM_BITS
        with self._lock:
            if now > self._last:  # in a new millisecond only: to draw is a call of the system
                self._last = now | secrets.randbits(_RANDOM_BITS - 1)  # one bit is left for growing
            else:
                self._last += 1
            return self._last


_NUMBERS: Final = _Numbers()


def new_id(prefix: str) -> str:
    """Return `<prefix>_<ULID>`, greater than every one that this process made before. Source: github.com/ulid/spec."""
    number = _NUMBERS.next()
    return prefix + "_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
