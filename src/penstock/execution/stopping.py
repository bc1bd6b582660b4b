"""Ending an attempt from outside: because its run was cancelled, or because its time is up."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from penstock.base.logs import get_log
from penstock.core import limits
from penstock.core.errors import LeaseExpired, Stopped

_HINTS: Final = {
    "cancelled": "Run: penstock resume RUN",
    "timeout": "Raise the task's timeout, or give it less to do.",
}
_WORD_S: Final = 0.05


class _Alarms:
    """Calls functions when their time has come, all in one thread: one of its own for each costs a task more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._looks_at_s = math.inf

    @contextlib.contextmanager
    def after(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        """Call a function once, when so much time has passed and the context still lasts."""
        key, at_s = object(), time.monotonic() + seconds
        with self._changed:
            self._due[key] = at_s, call
            if self._thread is None or not self._thread.is_alive():  # a forked process has none
                self._thread = threading.Thread(target=self._watch, name="alarms", daemon=True)
                self._thread.start()
            elif at_s < self._looks_at_s:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(key, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                now_s = time.monotonic()
                over = [key for key, (at_s, _) in self._due.items() if at_s <= now_s]
                calls = [self._due.pop(key)[1] for key in over]
                if not calls:
                    self._looks_at_s = min((at_s for at_s, _ in self._due.values()), default=math.inf)
                    self._changed.wait(None if self._looks_at_s == math.inf else self._looks_at_s - now_s)
            for call in calls:
                try:
                    call()
                except Exception:  # noqa: BLE001  # a loop: other attempts have their times, too
                    get_log().error("alarm.failed", exc_info=True)


_alarms: Final = _Alarms()


class StopSign:
    """Says whether an attempt is to end, and wakes whoever waits in it.

    Attributes:
        timed_out: whether it is because its time is up.
        held_until_s: when the attempt's lease expires, as far as is known here; infinity where nobody could take it.
    """

    def __init__(self, *, held_until_s: float = math.inf, clock: Callable[[], float] = time.time) -> None:
        self.held_until_s = held_until_s
        self._clock = clock
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

        with _alarms.after(seconds, time_is_up):
            yield

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

    def confirm(self) -> None:
        """Go on only with a lease that holds: to be called right before what cannot be taken back.

        A process that was stopped, or whose supervisor was, wakes up behind the time at which its work went to another.
        So where a lease has run out as far as is known here, word of it is waited for, as long as a lease lasts.

        Raises:
            Stopped: when the attempt is to end.
            LeaseExpired: when nobody says that it holds.
        """
        self.check()
        waits_until_s = time.monotonic() + limits.LEASE.value
        while self._clock() >= self.held_until_s:
            if time.monotonic() >= waits_until_s:
                ago_s = self._clock() - self.held_until_s
                raise LeaseExpired(
                    f"the lease ran out {ago_s:.1f} s ago, and nobody says that it still holds",
                    hint="Wait: whoever has the work now does it. If it comes often, look at the worker's log.",
                )
            self.wait(_WORD_S)

    def wait(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stopped: when the attempt is to end.
        """
        self._event.wait(seconds)
        self.check()
