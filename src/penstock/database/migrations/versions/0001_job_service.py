"""The tables of the job service."""

from __future__ import annotations

from alembic import op

from penstock.database.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    metadata.create_all(op.get_bind())
