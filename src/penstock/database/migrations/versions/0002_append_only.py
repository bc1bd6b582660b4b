"""Audit events can only be added, and the queue's tables stay small on PostgreSQL."""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

_NEVER_CHANGES: Final = (
    "id workspace at actor actor_name action subject outcome origin request_id details".split()
)  # of an audit event; number and hash are given once, when it is sealed

_FILL: Final = {
    "queue_entries": 60,
    "queue_changes": 90,
    "queue_turn": 10,
    "queue_workspaces": 30,
    "queue_lanes": 30,
}
_SQLITE: Final = [
    f"""
    CREATE TRIGGER audit_events_append_only_update BEFORE UPDATE ON audit_events
    WHEN OLD.number IS NOT NULL OR OLD.hash IS NOT NULL
        OR {" OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _NEVER_CHANGES)}
    BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END
    """,
    """
    CREATE TRIGGER audit_events_append_only_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit events are never deleted'); END
    """,
]
_POSTGRESQL: Final = [
    f"""
    CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'UPDATE' THEN
            RAISE EXCEPTION 'audit events are never deleted' USING ERRCODE = 'integrity_constraint_violation';
        ELSIF OLD.number IS NOT NULL OR OLD.hash IS NOT NULL
            OR ({", ".join(f"NEW.{column}" for column in _NEVER_CHANGES)})
            IS DISTINCT FROM ({", ".join(f"OLD.{column}" for column in _NEVER_CHANGES)})
        THEN
            RAISE EXCEPTION 'audit events are never changed' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_append_only()
    """,
    """
    CREATE TRIGGER audit_events_append_only_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only()
    """,
    # Rows of the queue live for milliseconds: room in each page for their next state, and a vacuum that comes early.
    *(
        f"ALTER TABLE {table} SET (fillfactor = {fill}, autovacuum_vacuum_scale_factor = 0.02,"
        " autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
        for table, fill in _FILL.items()
    ),
]


def upgrade() -> None:
    """Add the triggers and the settings of the tables."""
    for statement in _SQLITE if op.get_context().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement.replace(":", "\\:"))
