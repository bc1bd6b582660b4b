"""Spans of time as people write them: 90, 90s, 10m, 2h, 1d."""

from __future__ import annotations

import re
from typing import Final

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, None: 1}


def parse_duration(text: str | float) -> float:
    """Return seconds.

    Raises:
        ValueError: when it is no span of time; its words say what would be.
    """
    found = _SPAN.fullmatch(str(text).strip())
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"{text!r} is no span of time; valid are 90, 90s, 10m, 2h, 1d")
    return float(found[1]) * _SECONDS[found[2]]
