"""The gate before each connection: how many pass at once and how fast, what is tried again, and when it rests.

One gate stands before a connection for all tasks of this process; a pool bounds the processes together.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from penstock.core import limits
from penstock.core.errors import ConnectionResting, TooMany, TransientError
from penstock.core.ports import PipelineContext

AnswerT = TypeVar("AnswerT")

_WAITED_S: Final = 0.25  # for a turn, before it is looked whether the run was stopped
_GATES_MAX: Final = 10_000


class Settings(BaseModel):
    """What every connection may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_once: int = Field(4, ge=1, le=64, description="How many calls or reads go through it at once, in one process.")
    per_second: float | None = Field(None, gt=0, le=10_000, description="How many calls a second at most.")
    tries: int = Field(
        5, ge=1, le=limits.CONNECTION_TRIES.value, description="How often a call is made that fails for a while."
    )
    rests_after: int = Field(10, ge=1, le=1_000, description="After so many failures in a row nobody calls it.")
    rests_for: float = Field(30, gt=0, le=3_600, description="So many seconds; then one call tries it out.")


@dataclass(slots=True)
class Clock:
    """Time and chance, to be set by hand in tests."""

    now: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Gate:
    """The gate before one connection; all its methods may be called from several threads.

    Args:
        name: of the connection, for words.
        settings: see `Settings`.
        clock: of its waits.
    """

    def __init__(self, name: str, settings: Settings, clock: Clock | None = None) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock or Clock()
        self._turns = threading.BoundedSemaphore(settings.at_once)
        self._lock = threading.Lock()
        self._next_s = 0.0  # when the rate allows the next call
        self._failures = 0
        self._rests_until_s = 0.0
        self._tried_out = False  # somebody calls to see whether it works again
        self._last = ""

    def call(self, ctx: PipelineContext, work: Callable[[], AnswerT]) -> AnswerT:
        """Return what some work gives, tried again after a while when it fails with a TransientError.

        Raises:
            ConnectionResting: when the connection has failed too often in a row.
            TransientError: the last one, when all tries have failed.
            Stopped: when the run was cancelled meanwhile.
        """
        for attempt in range(1, self._settings.tries + 1):
            try:
                return self._call_once(ctx, work)
            except ConnectionResting:
                raise
            except TransientError as error:
                wait_s = self._back_off_s(attempt, error.retry_after_s)
                if attempt == self._settings.tries or wait_s > limits.CONNECTION_WAIT.value:
                    raise
                ctx.log("a call failed and is made again", level="warning", code=error.code, wait_s=round(wait_s, 2))
                ctx.wait(wait_s)
        raise AssertionError("the last try returns or raises")

    @contextlib.contextmanager
    def turn(self, ctx: PipelineContext) -> Iterator[None]:
        """Keep one of the places of those that go through at once."""
        while not self._turns.acquire(timeout=_WAITED_S):
            ctx.wait(0)  # whoever was stopped does not wait on
        try:
            yield
        finally:
            self._turns.release()

    def _call_once(self, ctx: PipelineContext, work: Callable[[], AnswerT]) -> AnswerT:
        with self.turn(ctx):
            tries_out = self._enter()
            try:
                ctx.wait(self._rate_s())
                answer = work()
            except TransientError as error:
                self._failed(error)
                raise
            finally:
                if tries_out:
                    self._tried_out = False
            with self._lock:
                self._failures = 0
            return answer

    def _enter(self) -> bool:
        """Pass when the connection does not rest; return whether this call is the one that tries it out."""
        with self._lock:
            if self._failures < self._settings.rests_after:
                return False
            left_s = self._rests_until_s - self._clock.now()
            if left_s <= 0 and not self._tried_out:
                self._tried_out = True
                return True
        raise ConnectionResting(
            f"the connection {self._name!r} has failed {self._failures} times in a row and rests;"
            f" the last time: {self._last}",
            hint="Look at what it leads to. It is tried out again by itself, and the run can be resumed.",
            retry_after_s=max(1, round(left_s)),
        )

    def _failed(self, error: TransientError) -> None:
        if isinstance(error, TooMany):
            return  # it works, and says when to come back
        with self._lock:
            self._failures += 1
            self._last = error.message
            self._rests_until_s = self._clock.now() + self._settings.rests_for

    def _rate_s(self) -> float:
        """Return how long to wait so that calls are not faster than allowed."""
        if self._settings.per_second is None:
            return 0.0
        with self._lock:
            now = self._clock.now()
            at = max(now, self._next_s)
            self._next_s = at + 1 / self._settings.per_second
            return at - now

    def _back_off_s(self, attempt: int, asked_s: float | None) -> float:
        """Return a wait between nothing and a bound that doubles, so that many callers do not come back together.

        Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter").
        """
        bound_s = min(float(limits.CONNECTION_BACKOFF.value), 0.5 * 2.0 ** (attempt - 1))
        return (asked_s or 0.0) + bound_s * self._clock.chance()


_gates: dict[tuple[str, str, str], tuple[Settings, Gate]] = {}
_making = threading.Lock()


def gate(ctx: PipelineContext, name: str, settings: Settings) -> Gate:
    """Return the gate of a connection of the run's project; another one when its settings have changed."""
    key = (ctx.occurrence.workspace, ctx.occurrence.project, name)
    own = own_settings(settings)
    with _making:
        known = _gates.get(key)
        if known is None or known[0] != own:
            if len(_gates) >= _GATES_MAX:
                _gates.pop(next(iter(_gates)))
            known = _gates[key] = own, Gate(name, own)
        return known[1]


def own_settings(settings: Settings) -> Settings:
    """Return what a gate needs of a connection's settings."""
    return Settings.model_validate({name: getattr(settings, name) for name in Settings.model_fields})
