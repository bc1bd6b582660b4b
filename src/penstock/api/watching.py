"""Waiting for jobs to end: one look at the database for all who wait, not one for each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from penstock.core import limits
from penstock.core.jobs import Job

if TYPE_CHECKING:
    from penstock.database.bells import Bell, Bells

_BELL: Final = "ended"  # as usecases.work rings it
_LOOK_MIN_S: Final = 0.02  # a bell rings earlier, unless the worker is on another machine
_LOOK_HEARING_S: Final = 0.1  # when none can be: for jobs that end without a worker, and bells that were lost
_REST_S: Final = 0.0005  # for each who waits: bells that ring close together are answered by one look
_REST_MOST_S: Final = 0.008
_LOOK_MOST_S: Final = 0.25
_LOOK_SHARE: Final = 0.1  # of the time that the newest has waited: what takes long is looked at less often
_JOBS_MAX: Final = 500  # in one look
_AT_ONCE_MAX: Final = 32  # rows by their keys, from memory: less than a thread's turn costs


class JobWatch:
    """Tells when jobs have ended. Belongs to one event loop.

    Attributes:
        watchers: how many event streams are open.
        watching: how many of them are of each workspace.
        stopping: set once the server ends; nobody is to wait any more.
    """

    def __init__(
        self, ended: Callable[[Sequence[str]], Sequence[Job]], bells: Bells | None = None, *, at_hand: bool = False
    ) -> None:
        """Begin with nobody who waits.

        Args:
            ended: returns those of some jobs that have ended.
            bells: of this machine's processes.
            at_hand: whether the database is a file of this machine, so that a few rows may be read in the event loop.
        """
        self._ended = ended
        self._at_hand = at_hand
        self._look_min_s = _LOOK_MIN_S if bells is None or not at_hand else _LOOK_HEARING_S
        self._bells = bells
        self._bell: Bell | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, set[asyncio.Future[Job | None]]] = {}
        self._newest_s = self._looked_s = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="job-watch")
        self._stirred = asyncio.Event()
        self.watchers = 0
        self.watching: Counter[str] = Counter()
        self._waiters: Counter[str] = Counter()
        self.stopping = asyncio.Event()

    async def until_end(self, job_id: str, *, timeout_s: float) -> Job | None:
        """Return a job once it has ended, None when the time is up or the server stops."""
        if self.stopping.is_set():
            return None
        ended: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(ended)
        self._newest_s = time.monotonic()
        self._listen()
        if self._looking is None or self._looking.done():
            self._looked_s = self._newest_s  # it can hardly have ended yet
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout_s):
                return await ended
        except TimeoutError:
            return None
        finally:
            self._leave(job_id, ended)

    @contextlib.contextmanager
    def watcher(self, workspace: str) -> Iterator[None]:
        """Count an event stream while it is open."""
        self.watchers += 1
        try:
            with _counted(self.watching, workspace):
                yield
        finally:
            self.watchers -= 1

    @contextlib.contextmanager
    def waiter(self, workspace: str) -> Iterator[bool]:
        """Count a request that is to wait; False when its workspace has as many already as may."""
        with _counted(self._waiters, workspace):
            yield self._waiters[workspace] <= limits.WAITERS_WORKSPACE.value

    def stop(self) -> None:
        """Let everybody go who waits."""
        self.stopping.set()
        if self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._let_go)  # it may be a signal that asks

    def _let_go(self) -> None:
        if self._bell is not None and self._loop is not None:
            self._loop.remove_reader(self._bell)
            self._bell.close()
            self._bell = None
        for futures in self._waiting.values():
            for future in futures:
                _settle(future, None)

    def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._bells is not None and self._bell is None:
            self._bell = self._bells.hang(_BELL)
            asyncio.get_running_loop().add_reader(self._bell, self._heard)

    def _heard(self) -> None:
        assert self._bell is not None, "nobody else watches it"
        self._bell.clear()
        self._stirred.set()

    def _leave(self, job_id: str, ended: asyncio.Future[Job | None]) -> None:
        futures = self._waiting.get(job_id, set())
        futures.discard(ended)
        if not futures:
            self._waiting.pop(job_id, None)

    async def _look(self) -> None:
        while self._waiting and not self.stopping.is_set():
            await self._pause()
            self._stirred.clear()
            self._looked_s = time.monotonic()
            job_ids = list(self._waiting)
            for start in range(0, len(job_ids), _JOBS_MAX):
                with contextlib.suppress(Exception):  # an outage: those who wait find out for themselves
                    for job in await self._ended_of(job_ids[start : start + _JOBS_MAX]):
                        for future in self._waiting.get(job.id, set()):
                            _settle(future, job)

    async def _ended_of(self, job_ids: Sequence[str]) -> Sequence[Job]:
        if self._at_hand and len(job_ids) <= _AT_ONCE_MAX:
            return self._ended(job_ids)
        # A thread of its own: those of the framework cost twice as much, and may all be taken.
        return await asyncio.get_running_loop().run_in_executor(self._looker, self._ended, job_ids)

    async def _pause(self) -> None:
        """Return when a bell has rung, or it is time to look without one; never at once after the last look."""
        while not self._stirred.is_set():
            age_s = (time.monotonic() - self._newest_s) * _LOOK_SHARE
            left_s = self._looked_s + min(max(age_s, self._look_min_s), _LOOK_MOST_S) - time.monotonic()
            if left_s <= 0:
                break
            with contextlib.suppress(TimeoutError):  # a short while: a newer job may have come meanwhile
                async with asyncio.timeout(min(left_s, self._look_min_s)):
                    await self._stirred.wait()
        rest_s = min(len(self._waiting) * _REST_S, _REST_MOST_S)
        await asyncio.sleep(max(0.0, self._looked_s + rest_s - time.monotonic()))


@contextlib.contextmanager
def _counted(counts: Counter[str], workspace: str) -> Iterator[None]:
    counts[workspace] += 1
    try:
        yield
    finally:
        counts[workspace] -= 1
        if not counts[workspace]:
            del counts[workspace]


def _settle(future: asyncio.Future[Job | None], job: Job | None) -> None:
    if not future.done():
        future.set_result(job)
