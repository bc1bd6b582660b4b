"""Who has shown which API key within the last second, so that not every request asks the database.

A key that is ended, and a role that is changed, count at once in the process that does it, and within `key_age`
everywhere else. A key's text is not kept: what stands for it is its SHA-256.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Final

from penstock.core import limits
from penstock.core.access import Actor

_KEPT_MAX: Final = 10_000


class RecentKeys:
    """What was found of keys lately.

    Args:
        clock_s: seconds that only grow.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._kept: dict[bytes, tuple[Actor, float]] = {}
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often something was forgotten; to be noted before the database is asked."""
        return self._changes

    def get(self, text: str) -> Actor | None:
        """Return who shows a key, as it was found within the last second; None when that is not known."""
        found = self._kept.get(_digest(text))
        if found is None or self._clock_s() - found[1] >= limits.KEY_AGE.value:
            return None
        return found[0]

    def keep(self, text: str, actor: Actor, *, changes: int, asked_s: float) -> None:
        """Keep who shows a key, unless something was forgotten while the database was asked.

        Args:
            text: of the key.
            actor: whose it is.
            changes: as noted before the database was asked.
            asked_s: when that was.
        """
        with self._lock:
            if changes != self._changes:
                return
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[_digest(text)] = actor, asked_s

    def now_s(self) -> float:
        """Return the time that ages are counted by."""
        return self._clock_s()

    def forget(self) -> None:
        """Forget all; to be called once a key was ended or a role changed."""
        with self._lock:
            self._changes += 1
            self._kept.clear()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
