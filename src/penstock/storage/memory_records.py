"""Records of runs in memory: for `penstock process`, and the twin that tests use."""

from __future__ import annotations

import dataclasses
import itertools

from penstock.core.plan import Attempt, Plan, Run, RunId


class MemoryRecords:
    """Keeps runs for as long as the process lives."""

    def __init__(self) -> None:
        self._runs: dict[RunId, Run] = {}
        self._numbers = itertools.count(1)

    def start_run(self, plan: Plan) -> Run:
        """Record a new run of a plan, with nothing tried yet."""
        run = Run(RunId(f"run_{next(self._numbers)}"), plan)
        self._runs[run.id] = run
        return run

    def read_run(self, run_id: RunId) -> Run:
        """Return a run as it stands."""
        return self._runs[run_id]

    def close_attempt(self, run_id: RunId, attempt: Attempt) -> Run:
        """Record how an attempt ended, and return the run as it then stands."""
        run = self._runs[run_id]
        attempts = {**run.attempts, attempt.task: (*run.attempts.get(attempt.task, ()), attempt)}
        self._runs[run_id] = dataclasses.replace(run, attempts=attempts)
        return self._runs[run_id]
