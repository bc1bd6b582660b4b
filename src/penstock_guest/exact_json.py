"""JSON whose integers keep every digit, whatever their size.

orjson reads an integer past 64 bits as a double, and says nothing; it refuses to write one. Such integers are rare, and
to look for them costs 1.5 ns a byte, so only what has one goes through the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import orjson

_DIGITS: Final = bytes(ord("0") if byte in b"0123456789" else 0 for byte in range(256))
_LONG_INTEGER: Final = b"0" * 19  # digits from which on an integer may be past 64 bits


def loads_for(text: bytes) -> Callable[[bytes], Any]:
    """Return what reads every value in a text exactly."""
    return _loads if may_hold_long_integer(text) else orjson.loads


def dumps(value: Any) -> bytes:
    """Return a plain value as JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        return dumps_refused(value, error)


def dumps_refused(value: Any, error: orjson.JSONEncodeError, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return what orjson has refused as JSON, when that was for an integer past 64 bits.

    Raises:
        JSONEncodeError: the one given, when it was for something else.
        ValueError: when there is a NaN besides, or half a character.
    """
    if "64-bit" not in str(error):
        raise error

    def plain(part: Any) -> Any:
        return orjson.loads(orjson.dumps(part, default, orjson.OPT_SERIALIZE_NUMPY))

    return json.dumps(value, default=plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def may_hold_long_integer(text: bytes) -> bool:
    """Return whether a text has so many digits in a row that an integer in it may be past 64 bits."""
    return text.translate(_DIGITS).find(_LONG_INTEGER) >= 0  # `in` would try it as a number first, and raise


def _loads(text: bytes) -> Any:
    value = orjson.loads(text)  # first, because it is the stricter one
    if not may_hold_long_integer(text):
        return value
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise orjson.JSONDecodeError("a number or the nesting is too long", "", 0) from error
