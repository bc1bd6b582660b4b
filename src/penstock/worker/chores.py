"""What a worker does besides attempts, again and again: each chore is short, and doing it twice harms nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from penstock.core.errors import PenstockError, TransientError

_JOIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Chore:
    """One chore.

    Attributes:
        every_s: the pause between two times.
        do: raises TransientError where it could not be done now.
    """

    name: str
    every_s: float
    do: Callable[[], Any]


class Chores:
    """Does chores beside each other, each in a thread of its own, so that a long one delays no other.

    A context manager: they begin with it and end with it.
    """

    def __init__(self, chores: Sequence[Chore], *, log: Any) -> None:
        self._log = log
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(chore,), name=chore.name, daemon=True) for chore in chores
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _repeat(self, chore: Chore) -> None:
        failing = False
        while True:
            try:
                chore.do()
                failing = False
            except Exception as error:  # noqa: BLE001  # a worker loop: the next time may be better
                if not failing:  # an outage is told once
                    expected = isinstance(error, TransientError)
                    code = error.code if isinstance(error, PenstockError) else type(error).__name__
                    self._log.warning(
                        "chore.failed", chore=chore.name, code=code, error=str(error), exc_info=not expected
                    )
                failing = True
            if self._over.wait(chore.every_s):
                return


class Patient:
    """A chore that judges who is alive: after an outage it lets everybody say so first.

    Args:
        do: the chore.
        reach: raises TransientError while the outage lasts.
        pause_s: how long it then waits.
    """

    def __init__(self, do: Callable[[], Any], *, reach: Callable[[], Any], pause_s: float) -> None:
        self._do = do
        self._reach = reach
        self._pause_s = pause_s
        self._is_out = False
        self._again_s = 0.0

    def __call__(self) -> None:
        """Do the chore, unless there was an outage a moment ago."""
        if self._is_out:
            self._reach()
            self._is_out = False
            self._again_s = time.monotonic() + self._pause_s
        if time.monotonic() < self._again_s:
            return
        try:
            self._do()
        except TransientError:
            self._is_out = True
            raise
