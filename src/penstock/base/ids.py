"""Ids: a prefix that says what they name, and a ULID, so that later ids sort after earlier ones."""

from __future__ import annotations

import secrets
import time
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _CROCKFORD for low in _CROCKFORD]
_RANDOM_BITS: Final = 80
_PAIR_BITS: Final = 10


def new_id(prefix: str) -> str:
    """Return `<prefix>_<ULID>`: 48 bits of milliseconds, 80 random ones. Source: github.com/ulid/spec."""
    number = time.time_ns() // 1_000_000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(12 * _PAIR_BITS, -1, -_PAIR_BITS)]
    return f"{prefix}_{''.join(pairs)}"
