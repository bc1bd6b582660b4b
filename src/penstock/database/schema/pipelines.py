"""Projects, runs of pipelines, and what their tasks remember."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text, text

from penstock.database.schema.naming import SERIAL, metadata

projects: Final = Table(
    "projects",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("revision", Text, nullable=False),  # the active one
    Column("deployed_at", Double, nullable=False),
    Column("deployed_by", Text, nullable=False),
)
revisions: Final = Table(
    "revisions",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("revision", Text, primary_key=True),
    Column("blob_key", Text, nullable=False),
    Column("blob_sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("files", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("note", Text, nullable=False),
)
schedules: Final = Table(
    "schedules",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("schedule", Text, nullable=False),  # JSON, with the deadline
    Column("paused", Integer, nullable=False, server_default="0"),  # by somebody; the project may say it, too
    Column("since", Double, nullable=False),  # dates before it are nobody's business
    Column("last_date", Text),  # the last logical date that a run was made for
    Column("next_at", Double),
    Index(
        "ix_schedules_next_at",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
)
backfills: Final = Table(
    "backfills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("date_from", Text, nullable=False),
    Column("date_to", Text, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Index(None, "workspace", "project", "id"),
)
pipeline_runs: Final = Table(  # beside its row in `runs`
    "pipeline_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("date", Text),
    Column("timezone", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("trigger", Text, nullable=False),  # manual, schedule, backfill
    Column("again", Integer, nullable=False),
    Column("backfill", Text),
    Column("active", Integer, nullable=False),  # 0 once it has ended
    Column("selected", Text),  # JSON: the words of --select
    Column("tasks_mark", Text, nullable=False),  # another one whenever a task has changed
    Column("published_at", Double),
    Column("published", Text, nullable=False, server_default="{}"),
    Column("resumes", Integer, nullable=False, server_default="0"),
    Column("resumed_at", Double),
    Column("worked_s", Double, nullable=False, server_default="0"),
    Index(None, "workspace", "project", "pipeline", "id"),
    Index(
        "ix_pipeline_runs_active",
        "workspace",
        "project",
        "pipeline",
        "id",
        sqlite_where=text("active = 1"),
        postgresql_where=text("active = 1"),
    ),
    Index(
        "ix_pipeline_runs_backfill",
        "backfill",
        "id",
        sqlite_where=text("backfill IS NOT NULL"),
        postgresql_where=text("backfill IS NOT NULL"),
    ),
)
run_tasks: Final = Table(
    "run_tasks",
    metadata,
    Column("run", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("position", Integer, nullable=False),  # each after those that it waits for
    Column("kind", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("settings", Text, nullable=False),  # JSON: what all kinds have, such as `after` and `retries`
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("fingerprint", Text),
    Column("reads", Text, nullable=False, server_default="{}"),
    Column("wrote", Text, nullable=False, server_default="{}"),
    Column("report", Text, nullable=False, server_default="{}"),
    Column("error", Text),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("items", Integer),
    Column("items_done", Integer, nullable=False, server_default="0"),
    Column("started_at", Double),
    Column("finished_at", Double),
)
run_items: Final = Table(  # what a `for_each` is done for
    "run_items",
    metadata,
    Column("run", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("report", Text, nullable=False, server_default="{}"),
    Column("error", Text),
)
task_progress: Final = Table(  # of attempts that run
    "task_progress",
    metadata,
    Column("run", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("unit", Text, nullable=False),
    Column("at", Double, nullable=False),
)
task_logs: Final = Table(
    "task_logs",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("level", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("figures", Text, nullable=False),
    Index(None, "run", "id"),
)
check_results: Final = Table(
    "check_results",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("name", Text, nullable=False),  # of the table
    Column("snapshot", BigInteger, nullable=False),
    Column("suite", Text, nullable=False),
    Column("success", Integer, nullable=False),
    Column("evaluated", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("blocks", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("verdicts", Text, nullable=False),
    Index(None, "workspace", "name", "id"),
    Index(None, "run", "id"),
)
task_successes: Final = Table(  # the last one of each task and date
    "task_successes",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("date", Text, primary_key=True),  # empty for a run without one
    Column("fingerprint", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("at", Double, nullable=False),
)
cursors: Final = Table(  # where an ingest has come to
    "cursors",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("at", Double, nullable=False),
)
taken_files: Final = Table(  # by an ingest, each once
    "taken_files",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("mark", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("at", Double, nullable=False),
)
