"""The queue; explained in docs/explanation/queue.md."""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, BigInteger, Column, Double, Index, Integer, Table, Text, event, text

from penstock.database.schema.naming import SERIAL, metadata

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
    Column("id", SERIAL, primary_key=True, autoincrement=True),
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
