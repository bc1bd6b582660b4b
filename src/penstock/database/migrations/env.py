"""How Alembic runs a step: on the connection that `versioning` passes, inside its transaction."""

from __future__ import annotations

from alembic import context

from penstock.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a column by copying the table
)
context.run_migrations()
