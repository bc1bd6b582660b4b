"""Carrying out runs of a project's folder in the process of a command."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from penstock.core import limits
from penstock.core.errors import StillHeld
from penstock.core.jobs import ENDED
from penstock.core.runs import Backfill, PipelineRun, TaskProgress
from penstock.wiring.local import FOLDER, Local
from penstock.wiring.pipelines import cores
from penstock.worker.in_process import InProcessWorker

T = TypeVar("T")
Watch = Callable[[PipelineRun, Sequence[TaskProgress]], None]
_WATCH_S: Final = 0.12
_LOCK: Final = "working.lock"


@dataclass(frozen=True, slots=True)
class LocalWork:
    """A folder in which this process works.

    Attributes:
        interrupted: runs and back-fills that a process had begun, and left without an end.
    """

    local: Local
    worker: InProcessWorker
    interrupted: Sequence[str]

    def carry_on(self, run: str, *, watch: Watch) -> PipelineRun:
        """Work until a run has ended, and return it as it stands then.

        Args:
            run: its id.
            watch: told how the run stands, some eight times a second, and at the end.
        """
        runs, actor = self.local.runs, self.local.actor
        told_s = 0.0
        self.worker.look()
        while True:
            at_work = self.worker.turn()
            if at_work and time.monotonic() - told_s < _WATCH_S:
                continue
            found = runs.get(run, actor=actor)
            watch(found, runs.progress(run, actor=actor))
            told_s = time.monotonic()
            if found.state in ENDED:
                return found

    def resume_backfill(self, backfill: str) -> Backfill:
        """Begin to go on with a back-fill."""
        return self._once_let_go(partial(self.local.runs.resume_backfill, backfill, actor=self.local.actor))

    def resume(self, run: str) -> PipelineRun:
        """Begin to go on with a run."""
        return self._once_let_go(partial(self.local.runs.resume, run, actor=self.local.actor))

    def _once_let_go(self, resume: Callable[[], T]) -> T:
        """Resume something, once what a killed process has held has expired."""
        until_s = time.monotonic() + 2 * limits.LEASE.value
        while True:
            try:
                return resume()
            except StillHeld:
                if time.monotonic() > until_s:
                    raise
                self.worker.turn()


def close_left(local: Local) -> Sequence[str]:
    """Close the runs and back-fills that a process has left without an end, unless somebody works; return their ids."""
    with open(local.folder / FOLDER / _LOCK, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ()
        return local.runs.close_interrupted(actor=local.actor)


@contextlib.contextmanager
def working(local: Local) -> Iterator[LocalWork]:
    """Work in a project's folder; runs that were left without an end are closed first, unless others work there."""
    server, workspace = local.server, local.actor.workspace
    worker = InProcessWorker(
        server.work,
        local.attempts,
        lambda _lease: local.versions.for_part(workspace),
        server.queue.wait,
        places=cores() + 1,
    )
    with open(local.folder / FOLDER / _LOCK, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            interrupted = local.runs.close_interrupted(actor=local.actor)
        except BlockingIOError:
            interrupted = []
        fcntl.flock(lock, fcntl.LOCK_SH)
        with worker:
            yield LocalWork(local, worker, interrupted)
