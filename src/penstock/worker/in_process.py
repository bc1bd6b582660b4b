"""A worker inside the process of a command: it carries out runs without supervisor and runners.

It shares the queue with whoever else works in the same folder, as workers on a server do: leases are kept alive by a
thread, and what a killed command has left is picked up by the next one that works.

A thread that has carried out an attempt records its end by itself, and goes on with the first of what it is given in
the same transaction: in a chain of tasks no thread waits for another to wake up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from penstock.base.ids import new_id
from penstock.base.logs import get_log
from penstock.core import limits
from penstock.core.errors import TransientError
from penstock.core.jobs import AttemptReport, EntryId, Lease
from penstock.core.ports import Sandbox
from penstock.core.work import Ended, WorkerState
from penstock.execution.stopping import StopSign
from penstock.execution.task_attempts import TaskAttempts
from penstock.usecases.work import Work
from penstock.worker.bugs import as_bug

_PAUSE_S: Final = 0.1
_END_S: Final = 10.0


class _Held(NamedTuple):
    """An attempt that this worker has."""

    lease: Lease
    stop: StopSign
    sandbox: Any


@dataclass(slots=True)
class InProcessWorker:
    """Carries out attempts of runs in threads of this process; a context manager.

    Attributes:
        sandbox: gives the strict sandbox of one attempt.
        wait: returns when the queue may have something, or its time in seconds is up.
        places: how many attempts at once.
    """

    work: Work
    attempts: TaskAttempts
    sandbox: Callable[[Lease], Any]
    wait: Callable[[float], None]
    places: int
    clock: Callable[[], float] = time.time
    id: str = field(default_factory=lambda: new_id("wrk"))
    _threads: ThreadPoolExecutor = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _round: threading.Lock = field(default_factory=threading.Lock)  # held from one count of places to the next
    _running: dict[tuple[EntryId, int], _Held] = field(default_factory=dict)
    _ended: list[Ended] = field(default_factory=list)
    _wrong: Exception | None = None
    _bell: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _helpers: list[threading.Thread] = field(default_factory=list)
    _ticked_s: float = 0.0

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.places, thread_name_prefix="attempt")

    def __enter__(self) -> Self:
        self._bell.set()
        for target in (self._beat, self._wake):
            thread = threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            self._helpers.append(thread)
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop what runs, and give it back."""
        with self._lock:
            self._over.set()
            held = list(self._running.values())
        for each in held:
            each.stop.ask()
        self._threads.shutdown(wait=True, cancel_futures=True)
        with contextlib.suppress(TransientError):  # leases expire by themselves
            self._record(taking=False)
            self.work.release(self.id, [each.lease for each in self._running.values()], reason="worker_drained")
            self.work.leave(self.id)
        for thread in self._helpers:
            thread.join(_END_S)

    def look(self) -> None:
        """Let the next turn begin at once: there is something."""
        self._bell.set()

    def turn(self) -> bool:
        """Wait for something, record what no thread has recorded, begin what is next; return whether anything runs."""
        self._bell.wait(_PAUSE_S)
        self._bell.clear()
        if self._wrong is not None:
            raise self._wrong
        self._tick()
        self._begin(self._record())
        return bool(self._running)

    def _record(self, *, taking: bool = True) -> list[_Held]:
        """Record what has ended, and return what was taken with it."""
        with self._round:
            with self._lock:
                ended, self._ended = self._ended, []
                count = self.places - len(self._running) + len(ended) if taking else 0
            try:
                made = self.work.round(self.id, ended, count=count)
            except TransientError:
                with self._lock:
                    self._ended = ended + self._ended
                raise
            leases = [assignment.lease for assignment in made.assignments]
            taken = [
                _Held(lease, StopSign(held_until_s=lease.expires_at, clock=self.clock), self.sandbox(lease))
                for lease in leases
            ]
            with self._lock:
                for each in ended:
                    self._running.pop(_key(each.lease), None)
                self._running.update((_key(each.lease), each) for each in taken)
        return taken

    def _begin(self, taken: Sequence[_Held]) -> None:
        with self._lock:
            for each in taken if not self._over.is_set() else ():  # else they are given back
                self._threads.submit(self._carry_out, each)

    def _carry_out(self, held: _Held | None) -> None:
        while held is not None and not self._over.is_set():
            ended = self._attempt(*held)
            with self._lock:
                self._ended.append(ended)
            held = self._go_on()

    def _go_on(self) -> _Held | None:
        """Record what has ended, begin what follows, and return the first of it; ring when there is none."""
        taken: Sequence[_Held] = ()
        try:
            if not self._over.is_set() and self._ended:  # else another thread has recorded it with its own
                taken = self._record()
        except TransientError:
            pass  # the next turn meets the same, and says so
        except Exception as error:  # noqa: BLE001  # the door of a thread: the next turn raises it
            self._wrong = error
        self._begin(taken[1:])
        if taken:
            return taken[0]
        self._bell.set()
        return None

    def _attempt(self, lease: Lease, stop: StopSign, sandbox: Sandbox) -> Ended:
        started_at = self.clock()
        try:
            with stop.watched(sandbox.stop):  # type: ignore[attr-defined]  # of one attempt: it can be stopped
                report = self.attempts.carry_out(lease.entry, sandbox=sandbox, stop=stop)
        except Exception as error:  # noqa: BLE001  # the door of an attempt: whatever it was, the others go on
            told = as_bug(error)  # without its words, which may hold values
            get_log().error("attempt.failed", run=lease.entry.run, task=lease.entry.task, error=told["message"])
            report = AttemptReport("crashed", error=told)
        return Ended(lease, report, started_at, self.clock())

    def _tick(self) -> None:
        if time.monotonic() - self._ticked_s >= limits.REAP.value / 1000:
            self.work.tick()
            self._ticked_s = time.monotonic()

    def _beat(self) -> None:
        """Keep leases alive, and stop what was cancelled."""
        state = WorkerState(self.id, socket.gethostname(), os.getpid(), "active", self.places, 0, "none", self.clock())
        while not self._over.wait(limits.HEARTBEAT.value / 1000):
            with self._lock:
                held = dict(self._running)
            try:
                found = self.work.heartbeat(state, [each.lease for each in held.values()])
            except Exception as error:  # noqa: BLE001  # a worker loop: it goes on whatever happens
                get_log().warning("heartbeat.failed", error=str(error))
                continue
            kept = {_key(lease): lease.expires_at for lease in found.leases}
            for key, (lease, stop, _) in held.items():
                if key not in kept or lease.entry.run in found.cancelled:
                    stop.ask()
                else:
                    stop.held_until_s = kept[key]

    def _wake(self) -> None:
        """Ring when the queue has something, while nothing runs here: what ends takes what follows by itself."""
        while not self._over.is_set():
            if self._running:
                self._over.wait(_PAUSE_S)
            else:
                self.wait(_PAUSE_S)
                self._bell.set()


def _key(lease: Lease) -> tuple[EntryId, int]:
    """Return what tells a lease from another of the same entry: one that this worker had lost, and has again."""
    return lease.entry.id, lease.token
