"""What a change of a run does to those that wait beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import Backfill, BackfillId, PipelineRun, RunTask
from penstock.storage.run_records import SqlRunRecords
from tests.service import Service

WORKSPACE = WorkspaceId("ws_1")
DATES = 9


@pytest.fixture
def service(fresh_database: Callable[[str], object]) -> Service:
    service = Service(fresh_database("sqlite"))  # type: ignore[arg-type]  # an SqlDatabase
    service.actor(str(WORKSPACE))
    return service


def test_a_back_fill_is_stopped_without_a_look_at_all_of_it_for_each_of_its_dates(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    records, runs, looks = SqlRunRecords(), service.work.runs, []
    of = (BackfillId("bf_1"), WORKSPACE, "shop", "main", "rev", "2026-01-01", "2026-01-09", 1, 0.0, "mem_1")
    waiting = [
        PipelineRun(
            id=RunId(f"run_{number}"),
            workspace=WORKSPACE,
            project="shop",
            pipeline="main",
            revision="rev",
            state="queued",
            trigger="backfill",
            created_at=service.clock(),
            created_by="mem_1",
            tasks=(RunTask(TaskName("land"), "ingest", {}),),
            backfill=BackfillId("bf_1"),
        )
        for number in range(DATES)
    ]

    def begin(tx: Any) -> None:
        records.insert_backfill(tx, Backfill(*of))
        for run in waiting:
            records.insert(tx, run)
        runs.start(tx, waiting[0], now=service.clock())

    service.database.write(begin)
    backfills = SqlRunRecords.backfills

    def looking(*args: Any, **more: Any) -> Any:
        looks.append(more)
        return backfills(*args, **more)

    monkeypatch.setattr(SqlRunRecords, "backfills", looking)

    def stop(tx: Any) -> None:
        known = records.load(tx, [run.id for run in waiting], to_change=True)
        for run in (*waiting[1:], waiting[0]):
            runs.stop(tx, known[run.id], now=service.clock())

    service.database.write(stop)
    assert len(looks) <= 1
    with service.database.read() as tx:
        assert backfills(records, tx, WORKSPACE, backfill="bf_1")[0].counts == {"cancelled": DATES}
