"""Who: workspaces, their members, keys and secrets, what they use, and the audit log."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint

from penstock.database.schema.naming import SERIAL, metadata

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
    Column("id", SERIAL, primary_key=True, autoincrement=True),
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
