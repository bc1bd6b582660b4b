"""Runs, jobs, attempts, and what hangs on them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, Table, Text, text

from penstock.database.schema.naming import KEY, SERIAL, metadata

runs: Final = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("kind", Text, nullable=False),  # job, pipeline
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("cancel_asked_at", Double),
    Column("error", Text),
    Index(None, "workspace", "kind", "state", "id"),
    Index("ix_runs_finished_at", "finished_at"),
)
tasks: Final = Table(
    "tasks",
    metadata,
    Column("run", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("parts", Integer),  # chunks, once they are known
    Column("parts_done", Integer, nullable=False, server_default="0"),
)
jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("script", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("input_bytes", BigInteger, nullable=False),
    Column("input_key", Text),  # null when it is a row of this database
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),  # its part of the workspace's
    Column("account", Text),  # JSON: counts of records and their causes
    Column("records_done", BigInteger, nullable=False, server_default="0"),
    Column("result_key", Text),
    Column("result_bytes", BigInteger),
    Column("result_sha256", Text),
    Column("letters_key", Text),
    Column("letters_bytes", BigInteger),
    Column("letters_sha256", Text),
    Column("replay_of", Text),
    Index(None, "workspace", "script", "id"),
    Index(
        "ix_jobs_input_key",
        "input_key",
        sqlite_where=Column("input_key").is_not(None),
        postgresql_where=Column("input_key").is_not(None),
    ),
    Index(
        "ix_jobs_replay_of",
        "replay_of",
        sqlite_where=Column("replay_of").is_not(None),
        postgresql_where=Column("replay_of").is_not(None),
    ),
)
job_labels: Final = Table(
    "job_labels",
    metadata,
    Column("job", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("value", Text, nullable=False),
    Index(None, "workspace", "name", "value", "job"),
)
parts: Final = Table(
    "parts",
    metadata,
    Column("run", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("report", Text),
    Index(  # one row for each job that was cut into chunks, so that those that have ended are found
        "ix_parts_first", "run", sqlite_where=text("number = 0"), postgresql_where=text("number = 0")
    ),
)
attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("part_number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error", Text),
    Column("cpu_s", Double, nullable=False),
    Index(None, "run", "id"),
)
idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_sha256", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("forget_at", Double),  # set when the job is removed
    Index(None, "job"),
    Index(
        "ix_idempotency_forget_at",
        "forget_at",
        sqlite_where=Column("forget_at").is_not(None),
        postgresql_where=Column("forget_at").is_not(None),
    ),
)
small_blobs: Final = Table(
    "small_blobs",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("run", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, delivered, failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    Column("delivered_at", Double),
)
workers: Final = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("state", Text, nullable=False),  # active, draining
    Column("slots", Integer, nullable=False),
    Column("busy", Integer, nullable=False, server_default="0"),
    Column("sandbox_level", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("heartbeat_at", Double, nullable=False),
    Column("clock_ahead_s", Double, nullable=False, server_default="0"),  # of the database's; behind when negative
)
