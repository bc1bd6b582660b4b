"""A run that failed, as data: of one task with records, one with SQL and one with a suite."""

from __future__ import annotations

from penstock.core.access import WorkspaceId
from penstock.core.jobs import BlobPointer
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import CheckResult, PipelineRun, Revision, RunTask, TaskProgress
from penstock.core.tables import SnapshotId, TableName

NOW = 1_790_000_000.0
RUN = RunId("run_01J0000000000000000000000A")
SNAPSHOT = SnapshotId(9_007_199_254_740_993)  # one more than a number of JavaScript keeps

CHECK = CheckResult(
    run=RUN,
    task=TaskName("check"),
    table=TableName("marts.daily"),
    snapshot=SNAPSHOT,
    suite="expectations/daily.json",
    success=False,
    evaluated=12,
    failed=1,
    blocks=True,
    at=NOW + 6,
    verdicts=[
        {"success": True, "expectation_config": {"type": "expect_column_to_exist", "kwargs": {"column": "total"}}},
        {
            "success": False,
            "expectation_config": {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": "total", "min_value": 0, "max_value": None},
            },
            "result": {"unexpected_count": 3, "element_count": 400, "partial_unexpected_list": [-4.2, -1.0]},
        },
    ],
)
REVISION = Revision(
    workspace=WorkspaceId("ws_1"),
    project="shop",
    revision="3f2a9c1e55aa" * 5,
    blob=BlobPointer("ws_1/projects/3f2a9c1e", 1234, "ab" * 32),
    files=12,
    created_at=NOW - 3600,
    created_by="bob",
    active=True,
    note="fix totals",
)


def task(name: str, kind: str = "sql", state: str = "succeeded", **more) -> RunTask:
    """Return a task of a run."""
    return RunTask(TaskName(name), kind, more.pop("spec", {}), state=state, **more)  # type: ignore[arg-type]  # as is


def failed_run() -> PipelineRun:
    """Return the run."""
    return PipelineRun(
        id=RUN,
        workspace=WorkspaceId("ws_1"),
        project="shop",
        pipeline="sales",
        revision=REVISION.revision,
        state="failed",
        trigger="manual",
        created_at=NOW,
        created_by="ada",
        date="2026-01-31",
        started_at=NOW,
        finished_at=NOW + 12.3,
        worked_s=12.3,
        tasks=(
            task(
                "shopify",
                "ingest",
                report={"rows": 12_400, "rejected": 2, "published": True},
                wrote={TableName("raw.orders"): SNAPSHOT},
                started_at=NOW,
                finished_at=NOW + 3.1,
            ),
            task("daily", state="skipped", reason="up to date: same code, settings and inputs"),
            task(
                "totals",
                state="failed",
                attempt=2,
                spec={"file": "sql/totals.sql"},
                error={
                    "code": "task_failed",
                    "message": "there is no column nope",
                    "hint": "Correct it.",
                    "figures": {"line": 3},
                },
            ),
            task(
                "check",
                "expectations",
                state="failed",
                attempt=1,
                spec={"suite": "expectations/daily.json"},
                error={"code": "check_failed", "message": "1 of 12 expectations not met", "hint": "Look at the rows."},
            ),
            task("export", "export", "blocked", after=(TaskName("check"),), reason="check did not succeed"),
        ),
    )


def running_run() -> tuple[PipelineRun, list[TaskProgress]]:
    """Return a run of three tasks, the second half done."""
    tasks = (
        task("land", "ingest", report={"rows": 10}, started_at=NOW, finished_at=NOW + 1),
        task("clean", "script", "running", started_at=NOW + 1, attempt=1),
        task("daily", "sql", "waiting", after=(TaskName("land"), TaskName("clean")), reason="it is new"),
    )
    run = PipelineRun(
        RUN, WorkspaceId("ws_1"), "shop", "sales", "abc", "running", "manual", NOW, "ada", started_at=NOW, tasks=tasks
    )
    return run, [TaskProgress(TaskName("clean"), 0, 600, 1200, "rows", NOW + 4)]
