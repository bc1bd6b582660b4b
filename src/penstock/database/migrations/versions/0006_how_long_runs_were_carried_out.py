"""How long runs were carried out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Take the step."""
    with op.batch_alter_table("pipeline_runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("resumed_at", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("worked_s", sa.Double(), server_default="0", nullable=False))
    op.execute(  # of those that have ended nobody knows how long they stood still
        "UPDATE pipeline_runs SET worked_s ="
        " COALESCE((SELECT r.finished_at - r.started_at FROM runs r WHERE r.id = pipeline_runs.id), 0)"
    )
