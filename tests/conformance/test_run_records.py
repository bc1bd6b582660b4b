"""Projects, schedules, runs, and what attempts leave, on both databases."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from penstock.core.access import WorkspaceId
from penstock.core.errors import NotFound
from penstock.core.jobs import BlobPointer, RunState
from penstock.core.plan import RunId, TaskName
from penstock.core.projects import Schedule
from penstock.core.runs import (
    Backfill,
    BackfillId,
    CheckResult,
    Item,
    LogLine,
    PipelineRun,
    Revision,
    RunFilter,
    RunTask,
    ScheduleState,
    TaskProgress,
)
from penstock.core.tables import SnapshotId, TableName
from penstock.database.schema import lake_pins, lake_tables, lake_writes
from penstock.storage.attempt_records import SqlAttemptRecords
from penstock.storage.project_records import SqlProjectRecords
from penstock.storage.run_records import SqlRunRecords
from penstock.storage.run_upkeep_records import SqlRunUpkeepRecords
from tests.servers import KINDS

OURS, THEIRS = WorkspaceId("ws_1"), WorkspaceId("ws_2")
RUNS, PROJECTS, ATTEMPTS = SqlRunRecords(), SqlProjectRecords(), SqlAttemptRecords()
OWNER = (OURS, "shop", "sales", TaskName("land"))
LAND = RunTask(
    TaskName("land"), "ingest", {"to": "raw.orders", "from": {"connection": "é"}}, retries=2, timeout_s=1.5, pool="few"
)
CLEAN = RunTask(
    TaskName("clean"),
    "script",
    {"window": "day"},
    after=(TaskName("land"),),
    when="date > '2026'",
    for_each={"values": [1]},
    trigger="all_done",
    action="decide",
    reason="new",
)
RUN = PipelineRun(
    id=RunId("run_1"),
    workspace=OURS,
    project="shop",
    pipeline="sales",
    revision="abc",
    state="queued",
    trigger="manual",
    created_at=1.0,
    created_by="mem_1",
    date="2026-01-31",
    timezone="America/Sao_Paulo",
    params={"region": "é", "most": None},
    again=True,
    selected=("clean+",),
    tasks=(LAND, CLEAN),
)


@pytest.fixture(params=KINDS)
def database(request, fresh_database):
    return fresh_database(request.param)


def put(database, *runs):
    def insert(tx):
        for run in runs:
            RUNS.insert(tx, run)

    database.write(insert)


def load(database, run="run_1", workspace=OURS):
    with database.read() as tx:
        return RUNS.read(tx, workspace, run)


def test_a_run_comes_back_as_it_was_given_and_as_it_was_changed(database):
    put(database, RUN)
    assert load(database) == RUN
    clean = replace(
        CLEAN,
        state="failed",
        reason="no",
        fingerprint="f",
        reads={TableName("raw.orders"): SnapshotId(2**62)},
        wrote={TableName("staging.orders"): SnapshotId(7)},
        report={"rows": 3, "share": 0.5},
        error={"code": "task_failed", "message": "é"},
        attempt=2,
        items=4,
        items_done=3,
        started_at=2.0,
        finished_at=3.0,
    )
    changed = replace(
        RUN,
        state="failed",
        started_at=2.0,
        finished_at=4.0,
        published_at=3.5,
        published={TableName("raw.orders"): SnapshotId(1)},
        resumes=1,
        resumed_at=3.2,
        worked_s=1.5,
        error={"code": "x"},
        cancel_asked_at=3.9,
        tasks=(LAND, clean),
    )
    database.write(lambda tx: RUNS.save(tx, RUN, changed))
    assert load(database) == changed


@pytest.mark.parametrize("records", [RUNS, SqlRunRecords()], ids=["who knows the run", "who has never seen it"])
def test_an_attempt_reads_its_own_task_and_no_other(database, records):
    put(database, RUN)
    with database.read() as tx:
        assert records.load_task(tx, RUN.id, CLEAN.name) == replace(RUN, tasks=(CLEAN,))


def test_a_run_of_another_workspace_is_not_found(database):
    put(database, RUN)
    for run, workspace in (("run_1", THEIRS), ("run_2", OURS)):
        with pytest.raises(NotFound, match=f"no run '{run}'"):
            load(database, run, workspace)


def test_runs_are_listed_newest_first_and_by_what_is_asked(database):
    others = [
        replace(RUN, id=RunId(f"run_{number}"), pipeline="sales" if number % 2 else "stock", tasks=())
        for number in range(2, 7)
    ]
    put(database, RUN, *others, replace(RUN, id=RunId("run_9"), workspace=THEIRS, tasks=()))
    database.write(lambda tx: RUNS.save(tx, others[0], replace(others[0], state="succeeded")))

    def listed(**wanted):
        with database.read() as tx:
            return [run.id[4:] for run in RUNS.list(tx, OURS, RunFilter(**wanted))]

    assert listed() == ["6", "5", "4", "3", "2", "1"]
    assert listed(pipeline="stock") == ["6", "4", "2"]
    assert listed(state="succeeded") == ["2"]
    assert listed(before=RunId("run_4"), limit=2) == ["3", "2"]
    assert listed(project="another") == []
    with database.read() as tx:
        assert [run.id for run in RUNS.active(tx, OURS, "shop", "stock")] == ["run_4", "run_6"]


def test_the_last_success_of_each_task_and_date_is_remembered(database):
    done = replace(LAND, fingerprint="f1")

    def note(tx):
        RUNS.note_successes(tx, RUN, [(done, "2026-01-31"), (replace(CLEAN, fingerprint="g"), None)], now=1.0)
        RUNS.note_successes(tx, RUN, [(replace(done, fingerprint="f2"), "2026-01-31"), (CLEAN, None)], now=2.0)

    database.write(note)
    with database.read() as tx:
        assert RUNS.successes(tx, OURS, "shop", "sales", date="2026-01-31") == {"land": "f2"}
        assert RUNS.successes(tx, OURS, "shop", "sales", date=None) == {"clean": "g"}
        assert RUNS.successes(tx, THEIRS, "shop", "sales", date=None) == {}


def test_items_back_fills_progress_logs_and_checks(database):
    backfill = Backfill(BackfillId("bf_1"), OURS, "shop", "sales", "abc", "2026-01-01", "2026-01-31", 2, 1.0, "mem_1")
    put(database, replace(RUN, backfill=backfill.id))
    items = [Item(0, {"name": "é"}), Item(1, "b")]
    check = CheckResult(
        RUN.id,
        TaskName("check"),
        TableName("t.x"),
        SnapshotId(5),
        "s",
        success=False,
        evaluated=2,
        failed=1,
        blocks=True,
        at=1.0,
        verdicts=[{"success": False}],
    )
    line = LogLine(LAND.name, 0, 1, 1.0, "info", "é", {"rows": 3})

    def write(tx):
        RUNS.insert_backfill(tx, backfill)
        RUNS.insert_items(tx, OURS, RUN.id, CLEAN.name, [Item(9, "gone")])
        RUNS.insert_items(tx, OURS, RUN.id, CLEAN.name, items)
        RUNS.close_item(tx, RUN.id, CLEAN.name, Item(1, None, "failed", {"rows": 1}, {"code": "x"}))
        for done in (1, 2):
            ATTEMPTS.put_progress(tx, OURS, RUN.id, TaskProgress(LAND.name, 0, done, 9, "rows", 1.0))
        ATTEMPTS.add_logs(tx, OURS, RUN.id, [line, replace(line, task=CLEAN.name)])
        ATTEMPTS.add_check(tx, OURS, check)

    database.write(write)
    with database.read() as tx:
        assert RUNS.items(tx, RUN.id, CLEAN.name) == [items[0], Item(1, "b", "failed", {"rows": 1}, {"code": "x"})]
        assert RUNS.backfills(tx, OURS) == [replace(backfill, counts={"queued": 1})]
        assert RUNS.backfills(tx, OURS, before=backfill.id) == []
        assert RUNS.backfills(tx, THEIRS) == []
        assert [run.id for run in RUNS.of_backfill(tx, backfill.id, state="queued", limit=5)] == [RUN.id]
        assert RUNS.progress(tx, RUN.id) == [TaskProgress(LAND.name, 0, 2, 9, "rows", 1.0)]
        (number, first), _ = RUNS.logs(tx, RUN.id, task=None, after=0, limit=10)
        assert first == line
        assert [each.task for _, each in RUNS.logs(tx, RUN.id, task=None, after=number, limit=10)] == ["clean"]
        assert RUNS.checks(tx, OURS, run=RUN.id, table="t.x", limit=9) == [check]
        (found,) = RUNS.checks(tx, OURS, run=None, table=None, limit=9)
        assert RUNS.checks(tx, OURS, run=None, table=None, before=found.id, limit=9) == []
        assert RUNS.checks(tx, THEIRS, run=RUN.id, table=None, limit=9) == []
    database.write(lambda tx: RUNS.clear_progress(tx, RUN.id, LAND.name))
    with database.read() as tx:
        assert RUNS.progress(tx, RUN.id) == []


def test_cursors_and_taken_files_are_of_one_task(database):
    files = [(f"in/{number}.csv", "mark") for number in range(1_100)]

    def write(tx):
        ATTEMPTS.set_cursors(tx, OWNER, {"at": {"day": 1}, "page": None}, run=RUN.id, now=1.0)
        ATTEMPTS.set_cursors(tx, OWNER, {"at": {"day": 2}}, run=RUN.id, now=1.0)
        ATTEMPTS.take(tx, OWNER, files[:1_050], run=RUN.id, now=1.0)
        ATTEMPTS.take(tx, OWNER, [("in/0.csv", "changed")], run=RUN.id, now=1.0)

    database.write(write)
    other = (*OWNER[:3], TaskName("another"))
    with database.read() as tx:
        assert ATTEMPTS.cursor(tx, OWNER, "at") == {"day": 2}
        assert ATTEMPTS.cursor(tx, other, "at") is None
        assert ATTEMPTS.taken(tx, OWNER, files) == {path for path, _ in files[1:1_050]}
        assert ATTEMPTS.taken(tx, other, files) == frozenset()


def test_a_project_has_one_active_revision_and_finds_one_by_part_of_its_hash(database):
    first = Revision(OURS, "shop", "a" * 64, BlobPointer("k", 10, "s"), 3, 1.0, "mem_1", active=False, note="é")
    second = replace(first, revision="ab" * 32, created_at=2.0)

    def deploy(tx, revision):
        PROJECTS.add_revision(tx, revision)
        PROJECTS.add_revision(tx, revision)
        PROJECTS.activate(tx, OURS, "shop", revision.revision, by="mem_1", now=3.0)

    database.write(lambda tx: (deploy(tx, first), deploy(tx, second)))
    with database.read() as tx:
        assert PROJECTS.revision(tx, OURS, "shop") == replace(second, active=True)
        assert PROJECTS.revision(tx, OURS, "shop", "aa") == first
        assert PROJECTS.revisions(tx, OURS, "shop") == [replace(second, active=True), first]
        assert PROJECTS.revisions(tx, OURS, "shop", before=second.revision) == [first]
        assert PROJECTS.revisions(tx, OURS, "shop", limit=1) == [replace(second, active=True)]
        assert PROJECTS.active_revisions(tx, OURS, after="shop") == []
        assert PROJECTS.active_revisions(tx, OURS) == [replace(second, active=True)]
        for project, revision in (("shop", "a"), ("shop", "b"), ("shop", "%"), ("other", None)):
            with pytest.raises(NotFound):
                PROJECTS.revision(tx, OURS, project, revision)
        with pytest.raises(NotFound):
            PROJECTS.revision(tx, THEIRS, "shop")


def test_the_tables_that_other_projects_of_the_workspace_write_are_known(database):
    rows = [(OURS, "raw.a", "shop"), (OURS, "raw.b", "outlet"), (THEIRS, "raw.c", "outlet")]
    named = [{"workspace": of, "name": name, "project": by, "task": "land", "created_at": 1.0} for of, name, by in rows]
    database.write(lambda tx: tx.execute(lake_tables.insert(), named))
    with database.read() as tx:
        assert PROJECTS.tables_of_others(tx, OURS, "shop") == {"raw.b": ("outlet", "land")}


def test_schedules_keep_how_far_they_are_when_a_project_is_deployed_again(database):
    nightly = ScheduleState(OURS, "shop", "sales", Schedule("0 2 * * *", "UTC"), "04:00", next_at=50.0)
    hourly = replace(nightly, pipeline="stock", schedule=Schedule("0 * * * *"), next_at=10.0)
    database.write(lambda tx: PROJECTS.put_schedules(tx, OURS, "shop", [nightly, hourly], now=5.0))

    def known():
        with database.read() as tx:
            return {state.pipeline: state for state in PROJECTS.schedules(tx, OURS, "shop")}

    assert known() == {"sales": replace(nightly, since=5.0), "stock": replace(hourly, since=5.0)}
    moved = replace(known()["stock"], paused=True, last_date="2026-01-31", next_at=20.0)
    database.write(lambda tx: PROJECTS.move_schedule(tx, moved))
    with database.read() as tx:
        assert PROJECTS.due(tx, now=60.0, limit=5) == [known()["sales"]]
    database.write(lambda tx: PROJECTS.put_schedules(tx, OURS, "shop", [replace(moved, deadline="01:00")], now=9.0))
    assert known() == {"stock": replace(moved, deadline="01:00")}


def test_a_run_is_found_by_a_branch_that_one_of_its_pieces_has_left(database):
    runs = {number: replace(RUN, id=RunId(f"run_{number}"), tasks=()) for number in (1, 10, 2)}
    put(database, *runs.values())

    def end(tx):
        for run in runs.values():
            RUNS.save(tx, run, dataclasses.replace(run, state="failed", finished_at=5.0))
        for branch, state in (("run_10.one", "written"), ("run_2.one", "done")):
            row = {"run": branch, "name": "t.x", "workspace": OURS, "state": state, "number": 1, "at": 5.0}
            tx.execute(lake_writes.insert().values(**row, fingerprint="f"))

    database.write(end)
    with database.read() as tx:
        assert SqlRunUpkeepRecords().abandoned(tx, ended_before=10.0, limit=5) == [(OURS, runs[10].id)]


def test_runs_that_nobody_resumed_are_found_and_old_words_forgotten(database):
    failed, fresh, good = (replace(RUN, id=RunId(f"run_{number}"), tasks=()) for number in (1, 2, 3))
    put(database, failed, fresh, good)
    line = LogLine(LAND.name, 0, 1, 1.0, "info", "said")

    def end(tx):
        ends: tuple[tuple[PipelineRun, RunState, float], ...]
        ends = ((failed, "failed", 5.0), (fresh, "failed", 50.0), (good, "succeeded", 5.0))
        for run, state, at in ends:
            RUNS.save(tx, run, dataclasses.replace(run, state=state, finished_at=at))
            ATTEMPTS.add_logs(tx, OURS, run.id, [line])
            tx.execute(lake_pins.insert().values(run=run.id, workspace=OURS, name="t.x", snapshot=1))

    database.write(end)
    upkeep = SqlRunUpkeepRecords()
    with database.read() as tx:
        assert upkeep.abandoned(tx, ended_before=10.0, limit=5) == [(OURS, failed.id)]
    assert database.write(lambda tx: upkeep.forget_logs(tx, ended_before=10.0, limit=5)) == 2
    with database.read() as tx:
        told = {run.id: len(RUNS.logs(tx, run.id, task=None, after=0, limit=5)) for run in (failed, fresh, good)}
    assert told == {"run_1": 0, "run_2": 1, "run_3": 0}
