"""The tables of the lake."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "lake_inputs",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("input_snapshot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "name", "snapshot", "input", name=op.f("pk_lake_inputs")),
    )
    with op.batch_alter_table("lake_inputs", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_lake_inputs_workspace_input_input_snapshot"),
            ["workspace", "input", "input_snapshot"],
            unique=False,
        )

    op.create_table(
        "lake_leases",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "name", name=op.f("pk_lake_leases")),
    )
    op.create_table(
        "lake_orphans",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "name", "path", name=op.f("pk_lake_orphans")),
    )
    op.create_table(
        "lake_pins",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "workspace", "name", "snapshot", name=op.f("pk_lake_pins")),
    )
    with op.batch_alter_table("lake_pins", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_lake_pins_workspace_name_snapshot"), ["workspace", "name", "snapshot"], unique=False
        )

    op.create_table(
        "lake_snapshots",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rows_added", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("published_at", sa.Double(), nullable=True),
        sa.Column("expired_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("workspace", "name", "snapshot", name=op.f("pk_lake_snapshots")),
    )
    with op.batch_alter_table("lake_snapshots", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lake_snapshots_run_name"), ["run", "name"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_lake_snapshots_workspace_name_published_at"),
            ["workspace", "name", "published_at"],
            unique=False,
        )

    op.create_table(
        "lake_tables",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=True),
        sa.Column("published_at", sa.Double(), nullable=True),
        sa.Column("published_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("workspace", "name", name=op.f("pk_lake_tables")),
    )
    op.create_table(
        "lake_writes",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=True),
        sa.Column("head", sa.BigInteger(), nullable=True),
        sa.Column("schema", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("depends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_lake_writes")),
    )
    with op.batch_alter_table("lake_writes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lake_writes_state"), ["state"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_lake_writes_workspace_name_state"), ["workspace", "name", "state"], unique=False
        )
