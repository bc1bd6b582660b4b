"""Every table of the records database. Times are seconds since 1970, UTC; JSON is text.

Every row belongs to a workspace, and every index that a request uses begins with it. Finished work leaves the queue's
tables, so that they stay as small as what waits.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_KEY: Final = Text().with_variant(Text(collation="C"), "postgresql")  # so that a prefix is a range
_SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts by itself in an INTEGER key only

# ---- who ----

workspaces: Final = Table(
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("quotas", Text, nullable=False, server_default="{}"),
    Column("policy", Text, nullable=False, server_default="{}"),
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),
)
members: Final = Table(
    "members",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text),
    Column("removed_at", Double),
    UniqueConstraint("workspace", "name"),
)
login_tokens: Final = Table(
    "login_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("member", Text, ForeignKey("members.id"), nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
)
api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("member", Text, ForeignKey("members.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("scopes", Text),  # JSON list of permissions; null is all of the role's
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Index(None, "workspace", "member"),
)
data_keys: Final = Table(
    "data_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("master", Text, nullable=False),  # fingerprint of the master key that wraps it
    Column("created_at", Double, nullable=False),
    Index(None, "workspace", "created_at"),
)
secrets: Final = Table(
    "secrets",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("data_key", Text, ForeignKey("data_keys.id"), nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("updated_by", Text, nullable=False),
)
usage: Final = Table(
    "usage",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("day", Text, primary_key=True),  # YYYY-MM-DD, UTC
    Column("cpu_s", Double, nullable=False, server_default="0"),
    Column("jobs", BigInteger, nullable=False, server_default="0"),
    Column("records", BigInteger, nullable=False, server_default="0"),
)
audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("details", Text),
    Column("number", BigInteger),  # its place in the workspace's chain; null until sealed
    Column("hash", Text),
    UniqueConstraint("workspace", "number"),
    Index(
        "ix_audit_events_unsealed",
        "id",
        sqlite_where=Column("number").is_(None),
        postgresql_where=Column("number").is_(None),
    ),
    sqlite_autoincrement=True,
)
audit_heads: Final = Table(
    "audit_heads",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)

# ---- scripts ----

scripts: Final = Table(
    "scripts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("language", Text, nullable=False),
    Column("active_version", Text),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("workspace", "name"),
)
versions: Final = Table(
    "versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("script", Text, ForeignKey("scripts.id"), nullable=False),
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),  # draft, published, deprecated, revoked; active is a script's pointer
    Column("profile", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("code_key", Text, nullable=False),
    Column("code_sha256", Text, nullable=False),
    Column("code_bytes", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),  # of everything that says what it does
    Column("limits", Text, nullable=False),
    Column("input_schema", Text),
    Column("output_schema", Text),
    Column("examples", Text),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("updated_by", Text, nullable=False),
    Column("published_at", Double),
    Column("published_by", Text),
    Column("state_reason", Text),
    UniqueConstraint("script", "version"),
    Index(None, "workspace", "code_sha256"),
)
activations: Final = Table(
    "activations",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("script", Text, ForeignKey("scripts.id"), nullable=False),
    Column("version", Text, nullable=False),
    Column("kind", Text, nullable=False),  # activate, rollback
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Index(None, "script", "id"),
)
approvals: Final = Table(
    "approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("version", Text, ForeignKey("versions.id"), nullable=False),
    Column("version_hash", Text, nullable=False),
    Column("asks", Text, nullable=False),  # JSON: what is beyond the default
    Column("state", Text, nullable=False),  # waiting, approved, refused, overridden, lapsed
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Double),
    Column("decision_reason", Text),
    Index(None, "workspace", "state", "id"),
    Index(None, "version"),
)

# ---- runs ----

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
)
attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
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
    Column("key", _KEY, primary_key=True),
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
)

# ---- the queue: explained in docs/explanation/queue.md ----

_READY: Final = text("state = 'ready'")
_IS_READY: Final = text("ready_at IS NOT NULL")
_SCHEDULED: Final = text("state = 'scheduled'")
_LEASED: Final = text("state = 'leased'")
_HAS_DEADLINE: Final = text("deadline IS NOT NULL")

queue_entries: Final = Table(
    "queue_entries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("rank", Integer, nullable=False),  # minus the priority: the least (rank, id) goes first
    Column("attempt", Integer, nullable=False),
    Column("attempts_max", Integer, nullable=False),
    Column("not_before", Double),
    Column("deadline", Double),
    Column("reason", Text),
    Column("state", Text, nullable=False),  # scheduled, ready, leased
    Column("ready_at", Double),  # null while it is not ready
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("worker", Text),
    Column("leased_at", Double),
    Column("expires_at", Double),
    Column("charged_s", Double, nullable=False, server_default="0"),  # to the workspace's virtual time, so far
    Index("ix_queue_entries_turn", "workspace", "lane", "rank", "id", sqlite_where=_READY, postgresql_where=_READY),
    # Not by its state, or PostgreSQL may take it for the other and sort a whole backlog.
    Index("ix_queue_entries_ready_at", "workspace", "ready_at", sqlite_where=_IS_READY, postgresql_where=_IS_READY),
    Index("ix_queue_entries_not_before", "not_before", sqlite_where=_SCHEDULED, postgresql_where=_SCHEDULED),
    Index("ix_queue_entries_deadline", "deadline", sqlite_where=_HAS_DEADLINE, postgresql_where=_HAS_DEADLINE),
    Index("ix_queue_entries_worker", "worker", sqlite_where=_LEASED, postgresql_where=_LEASED),
    Index("ix_queue_entries_run", "run"),
)
queue_changes: Final = Table(  # what was not yet added to the two tables below
    "queue_changes",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("scheduled", Integer, nullable=False),
    Column("ready", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("finished", Integer, nullable=False),
    Column("busy_s", Double, nullable=False),
    Column("charged_s", Double, nullable=False),
)
queue_turn: Final = Table(  # one row; who holds it may lease, and write the two tables below
    "queue_turn",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("virtual_time", Double, nullable=False),
)
queue_workspaces: Final = Table(
    "queue_workspaces",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("scheduled", Integer, nullable=False, server_default="0"),
    Column("ready", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("running_max", Integer, nullable=False),
    Column("weight", Double, nullable=False, server_default="1"),
    Column("virtual_time", Double, nullable=False, server_default="0"),
    Column("finished", BigInteger, nullable=False, server_default="0"),
    Column("drained_per_s", Double, nullable=False, server_default="0"),
    Column("drained_at", Double, nullable=False, server_default="0"),
)
queue_lanes: Final = Table(
    "queue_lanes",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("lane", Text, primary_key=True),
    Column("ready", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("running_max", Integer, nullable=False),
    Column("mean_s", Double, nullable=False, server_default="0"),
    Column("finished", BigInteger, nullable=False, server_default="0"),
    Column("kills_in_a_row", Integer, nullable=False, server_default="0"),
    Column("paused_at", Double),
    Column("paused_reason", Text),
)
# Rows that live for milliseconds: room in each page for their next state, and a vacuum that comes early.
for _table, _fill in (
    (queue_entries, 60),
    (queue_changes, 90),
    (queue_turn, 10),
    (queue_workspaces, 30),
    (queue_lanes, 30),
):
    event.listen(
        _table,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy's own
            f"ALTER TABLE {_table.name} SET (fillfactor = {_fill}, autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
        ).execute_if(dialect="postgresql"),
    )

# ---- the lake ----

lake_tables: Final = Table(
    "lake_tables",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("project", Text, nullable=False),  # with the task: who alone writes it
    Column("task", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("snapshot", BigInteger),  # the published one: what readers see
    Column("published_at", Double),
    Column("published_by", Text),  # a run
)
lake_leases: Final = Table(
    "lake_leases",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text),
    Column("expires_at", Double, nullable=False),
)
lake_writes: Final = Table(  # the journal: a run's writing to a table
    "lake_writes",
    metadata,
    Column("run", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("state", Text, nullable=False),  # open, written, published (main is yet to be moved), done, dropped
    Column("base", BigInteger),
    Column("head", BigInteger),
    Column("schema", Integer),
    Column("fingerprint", Text, nullable=False),  # of the work that the run's branch holds, or will
    Column("depends", Integer, nullable=False, server_default="0"),
    Column("at", Double, nullable=False),
    Index(None, "workspace", "name", "state"),
    Index(None, "state"),
)
lake_snapshots: Final = Table(
    "lake_snapshots",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("snapshot", BigInteger, primary_key=True),
    Column("run", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("parent", BigInteger),
    Column("rows", BigInteger, nullable=False),
    Column("rows_added", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("published_at", Double),
    Column("expired_at", Double),
    Index(None, "run", "name"),
    Index(None, "workspace", "name", "published_at"),
)
lake_inputs: Final = Table(
    "lake_inputs",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("snapshot", BigInteger, primary_key=True),
    Column("input", Text, primary_key=True),
    Column("input_snapshot", BigInteger, nullable=False),
    Index(None, "workspace", "input", "input_snapshot"),
)
lake_pins: Final = Table(
    "lake_pins",
    metadata,
    Column("run", Text, primary_key=True),
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("snapshot", BigInteger, primary_key=True),
    Index(None, "workspace", "name", "snapshot"),
)
lake_orphans: Final = Table(
    "lake_orphans",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),  # when nothing was found to refer to it
)
