"""Scripts, their versions, and approvals."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Table, Text, UniqueConstraint

from penstock.database.schema.naming import SERIAL, metadata

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
    Column("id", SERIAL, primary_key=True, autoincrement=True),
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
