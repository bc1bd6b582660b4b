"""From a word that is not known to those that are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_SHOWN_MAX: Final = 12
_COMPARED_MAX: Final = 500  # names; comparing takes some 10 microseconds each
_WORD_MAX: Final = 100
_BEGINNING: Final = 3  # letters that tell which name was meant


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return words that lead from something unknown to what there is."""
    known = sorted(valid)
    close = difflib.get_close_matches(word[:_WORD_MAX], known[:_COMPARED_MAX], n=1, cutoff=0.6)
    close = close or [each for each in known if len(word) >= _BEGINNING and each.startswith(word)]
    shown = ", ".join(known[:_SHOWN_MAX]) + (f" and {len(known) - _SHOWN_MAX} more" if len(known) > _SHOWN_MAX else "")
    listed = f"There are: {shown}." if known else "There are none."
    return f"Did you mean {close[0]!r}? {listed}" if close else listed
