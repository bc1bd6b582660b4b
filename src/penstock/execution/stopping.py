"""Ending an attempt from outside: because its run was cancelled, or because its time is up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from penstock.core.errors import Stopped

_HINTS: Final = {
    "cancelled": "Run: penstock resume RUN",
    "timeout": "Raise the task's timeout, or give it less to do.",
}


class StopSign:
    """Says whether an attempt is to end, and wakes whoever waits in it.

    Attributes:
        timed_out: whether it is because its time is up.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._watchers: list[Callable[[], None]] = []
        self._words, self._hint = "the run was cancelled", _HINTS["cancelled"]
        self.timed_out = False

    @property
    def asked(self) -> bool:
        """Whether somebody wants the attempt to end."""
        return self._event.is_set()

    def ask(self) -> None:
        """End the attempt soon: its run was cancelled."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher()

    @contextlib.contextmanager
    def after(self, seconds: float | None) -> Iterator[None]:
        """End the attempt when so much time has passed, unless it has ended before."""
        if seconds is None:
            yield
            return

        def time_is_up() -> None:
            if not self.asked:
                self.timed_out = True
                self._words, self._hint = f"it took longer than its timeout of {seconds:g} s", _HINTS["timeout"]
            self.ask()

        timer = threading.Timer(seconds, time_is_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call a function when the attempt is to end, at once if it is already, while the context lasts."""
        with self._lock:
            self._watchers.append(watcher)
            late = self._event.is_set()
        try:
            if late:
                watcher()
            yield
        finally:
            with self._lock:
                self._watchers.remove(watcher)

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Stopped: when the attempt is to end.
        """
        if self.asked:
            raise Stopped(self._words, hint=self._hint)

    def wait(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stopped: when the attempt is to end.
        """
        self._event.wait(seconds)
        self.check()
