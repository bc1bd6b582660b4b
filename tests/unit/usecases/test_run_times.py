"""How long a run took: what it was carried out, without the time in which it stood still."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.core.access import WorkspaceId
from penstock.core.jobs import AttemptReport, RunState
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import Backfill, BackfillId, PipelineRun, RunTask, TaskProgress
from penstock.core.work import Ended
from penstock.storage.attempt_records import SqlAttemptRecords
from penstock.storage.run_records import SqlRunRecords
from tests.service import Service

RUN = RunId("run_1")
WORKSPACE = WorkspaceId("ws_1")
HOUR_S = 3600.0


@pytest.fixture
def service(fresh_database: Callable[[str], object]) -> Service:
    service = Service(fresh_database("sqlite"))  # type: ignore[arg-type]  # an SqlDatabase
    service.actor(str(WORKSPACE))
    return service


def put(service: Service, **more: object) -> None:
    """Record a run with one task."""
    run = PipelineRun(
        id=RUN,
        workspace=WORKSPACE,
        project="shop",
        pipeline="main",
        revision="rev",
        state="queued",
        trigger="manual",
        created_at=service.clock(),
        created_by="mem_1",
        tasks=(RunTask(TaskName("land"), "ingest", {}),),
        **more,  # type: ignore[arg-type]  # its fields
    )
    service.database.write(lambda tx: SqlRunRecords().insert(tx, run))


def load(service: Service) -> PipelineRun:
    with service.database.read() as tx:
        return SqlRunRecords().load(tx, [RUN])[RUN]


def begin(service: Service) -> None:
    service.database.write(lambda tx: service.work.runs.start(tx, load(service), now=service.clock()))


def resume(service: Service) -> None:
    service.database.write(lambda tx: service.work.runs.resume(tx, load(service), now=service.clock()))


def work(service: Service, seconds: float, outcome: str) -> RunState:
    """Carry out the task for a while, and end it."""
    [taken] = service.round(count=1).assignments
    began = service.clock()
    service.clock.advance(seconds)
    error = {"code": "script_failed", "message": "no", "hint": "Look."}
    told: dict[str, object] = {} if outcome == "failed" else {"report": {}}
    report = AttemptReport(outcome, told, error=error if outcome == "failed" else None)  # type: ignore[arg-type]  # a word
    service.round(Ended(taken.lease, report, began, service.clock()), count=0)
    return load(service).state


def test_a_pause_before_a_resume_does_not_count(service: Service):
    put(service)
    begin(service)
    assert work(service, 1.0, "failed") == "failed"
    first = load(service)
    assert (first.worked_s, first.resumed_at) == (1.0, None)
    service.clock.advance(5 * HOUR_S)
    resume(service)
    resumed_at = service.clock()
    assert work(service, 1.5, "succeeded") == "succeeded"
    ended = load(service)
    assert (ended.worked_s, ended.resumed_at, ended.started_at) == (2.5, resumed_at, first.started_at)
    [task] = ended.tasks
    assert (task.finished_at or 0) - (task.started_at or 0) == 1.5


def test_a_run_of_a_backfill_that_waits_to_be_resumed_stands_still(service: Service):
    of = (BackfillId("bf_1"), WORKSPACE, "shop", "main", "rev", "2026-01-01", "2026-01-01", 1, 0.0, "mem_1")
    service.database.write(lambda tx: SqlRunRecords().insert_backfill(tx, Backfill(*of)))
    put(service, backfill=BackfillId("bf_1"))
    begin(service)
    work(service, 1.0, "failed")
    started_at = load(service).started_at
    service.clock.advance(HOUR_S)
    service.database.write(lambda tx: service.work.runs.put_back(tx, load(service)))
    service.clock.advance(HOUR_S)
    begin(service)
    work(service, 0.5, "succeeded")
    assert (load(service).worked_s, load(service).started_at) == (1.5, started_at)


def test_a_run_whose_process_was_killed_worked_until_it_was_last_heard_of(service: Service):
    put(service)
    begin(service)
    service.round(count=1)
    service.clock.advance(1.0)
    progress = TaskProgress(TaskName("land"), 0, 10, None, "rows", service.clock())
    service.database.write(lambda tx: SqlAttemptRecords().put_progress(tx, WORKSPACE, RUN, progress))
    service.clock.advance(HOUR_S)
    service.database.write(lambda tx: service.work.runs.interrupt(tx, load(service), now=service.clock()))
    assert (load(service).state, load(service).worked_s) == ("failed", 1.0)


def test_a_run_that_never_began_took_no_time(service: Service):
    put(service)
    service.clock.advance(HOUR_S)
    service.database.write(lambda tx: service.work.runs.stop(tx, load(service), now=service.clock()))
    assert (load(service).state, load(service).worked_s) == ("cancelled", 0.0)
