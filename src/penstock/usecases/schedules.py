"""Runs that begin by themselves: what schedules say is due becomes runs, each once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.core import limits
from penstock.core.access import MemberId
from penstock.core.errors import NotFound, ProjectInvalid
from penstock.core.ports import Clock, Database, Queue
from penstock.core.ports.runs import ProjectRecords, RunRecords
from penstock.core.runs import ScheduleState
from penstock.planning.schedules import due
from penstock.usecases.run_work import RunWork

if TYPE_CHECKING:
    from penstock.usecases.runs import Runs

BY: Final = MemberId("schedule")


@dataclass(frozen=True, slots=True)
class Schedules:
    """What a worker does for schedules.

    Attributes:
        runs: made when something is due: what it takes to read a project takes a moment to load.
    """

    database: Database
    projects: ProjectRecords
    records: RunRecords
    work: RunWork
    queue: Queue
    runs: Callable[[], Runs]
    clock: Clock

    def tick(self) -> int:
        """Begin the runs that are due; return how many."""
        with self.database.read() as tx:
            states = self.projects.due(tx, now=self.clock(), limit=limits.SCHEDULES_AT_ONCE.value)
        begun = sum(self._begin(state) for state in states)
        if begun:
            self.queue.announce()
        return begun

    def _begin(self, state: ScheduleState) -> int:
        from penstock.planning.pipelines import Occasion
        from penstock.usecases.projects import pipeline_of

        runs = self.runs()
        try:
            project = runs.projects.loaded(state.workspace, state.project)
            pipeline = pipeline_of(project, state.pipeline)
        except (NotFound, ProjectInvalid):  # another revision is being deployed: its schedules come with it
            return 0

        def write(tx: Any) -> int:
            now = self.clock()
            known = {each.pipeline: each for each in self.projects.schedules(tx, state.workspace, state.project)}
            current = known.get(state.pipeline)
            if current is None or current.next_at != state.next_at:  # another worker was here
                return 0
            active = len(self.records.active(tx, state.workspace, state.project, state.pipeline))
            found = due(current.schedule, next_at=current.next_at, now=now, active=active, paused=current.paused)
            runs.bound(tx, state.workspace, project)
            for occasion in found.occasions:
                run = runs.undecided(project, pipeline, Occasion(occasion.date), workspace=state.workspace, by=BY)
                run = replace(run, trigger="schedule")
                self.records.insert(tx, run)
                self.work.start(tx, run, now=now)
            last = found.occasions[-1].date if found.occasions else current.last_date
            self.projects.move_schedule(tx, replace(current, next_at=found.next_at, last_date=last))
            return len(found.occasions)

        return self.database.write(write)
