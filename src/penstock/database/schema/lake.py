"""The lake: its tables, who writes them, and what readers see."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table, Text

from penstock.database.schema.naming import metadata

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
    Column("number", Integer, nullable=False),  # how often the run has begun anew with the table
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
    Column("number", Integer, nullable=False),  # of the run's writing that it belongs to
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
