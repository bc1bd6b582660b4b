"""Incidents of pipelines, and the alerts that are on their way."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Double, Index, Integer, Table, Text, text

from penstock.database.schema.naming import metadata

incidents: Final = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("kind", Text, nullable=False),  # failed, late, check_failed
    Column("revision", Text, nullable=False),
    Column("run", Text),  # null when one is late that nobody has made
    Column("date", Text),
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("closed_by", Text),
    Column("runs", Integer, nullable=False, server_default="1"),
    Index(None, "workspace", "id"),
    Index(  # one at a time of each kind
        "uq_incidents_open",
        "workspace",
        "project",
        "pipeline",
        "kind",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)
alert_deliveries: Final = Table(
    "alert_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("incident", Text, nullable=False),
    Column("target", Text, nullable=False),  # empty until somebody has looked whom the pipeline names
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, sent, failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("last_error", Text),
    Column("sent_at", Double),
    Index(None, "workspace", "incident"),
    Index(
        "ix_alert_deliveries_due_at",
        "due_at",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)
