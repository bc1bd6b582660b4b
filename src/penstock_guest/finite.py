"""Numbers that JSON has no form for: NaN and the infinities, which orjson writes as null without a word."""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import sys
from collections.abc import Iterable
from typing import Any

_PLAIN = frozenset([str, int, bool, type(None), bytes])
_NOT_LEAVES = (float, dict, list, tuple, set, frozenset, enum.Enum)


def require_finite(value: Any, line: bytes) -> None:
    """Make sure that no null in a line of JSON stands for a number.

    Args:
        value: what the line was made of; as it has been written, it is not deeper than JSON may be.
        line: the line. Most have no null, and to look for one costs less than to look at each value.

    Raises:
        TypeError: when one does; the message says which, and where.
    """
    if line.find(b"null") < 0:  # `in` would try it as a number first, and raise
        return
    if not _is_finite(value) and (found := _not_finite(value, "")) is not None:
        place, number = found
        raise TypeError(
            f"a record cannot hold {number} (at {place}): JSON has no form for it; valid: a finite number, None, text"
        )


def _is_finite(value: Any) -> bool:
    """Return whether a value is a record, or a list of them, of plain values and finite numbers.

    That is what most are, and this costs less than to know the place of each value; the others are looked into.
    """
    if type(value) is list:
        return all(map(_is_finite, value))
    if type(value) is not dict:
        return False
    for part in value.values():
        kind: Any = type(part)
        if kind in _PLAIN or (math.isfinite(part) if kind is float else _is_leaf(kind)):
            continue
        return False
    return True


@functools.lru_cache(maxsize=64)
def _is_leaf(kind: Any) -> bool:
    """Return whether values of a type hold no others and are no floats: Decimal, UUID, dates."""
    of_numpy = kind.__module__.partition(".")[0] == "numpy"
    return not (issubclass(kind, _NOT_LEAVES) or dataclasses.is_dataclass(kind) or of_numpy)


def _not_finite(value: Any, place: str) -> tuple[str, str] | None:
    """Return the place of the first such number, as a JSON pointer, and its name."""
    if type(value) in _PLAIN:
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else (place, _name(value))
    for name, part in _parts(value):
        if (found := _not_finite(part, f"{place}/{name}")) is not None:
            return found
    return None


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return what a value holds, as orjson sees it."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    if isinstance(value, enum.Enum):
        return [("value", value.value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    numpy = sys.modules.get("numpy")  # loaded where the profile has it
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic) and value.dtype.kind == "f":
        plain = value.tolist()
        return enumerate(plain) if isinstance(plain, list) else [("", plain)]
    return ()


def _name(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"
