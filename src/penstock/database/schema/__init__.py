"""Every table of the records database. Times are seconds since 1970, UTC; JSON is text.

Every row belongs to a workspace, and every index that a request uses begins with it. Finished work leaves the queue's
tables, so that they stay as small as what waits.
"""

from penstock.database.schema.lake import (
    lake_inputs,
    lake_leases,
    lake_orphans,
    lake_pins,
    lake_snapshots,
    lake_tables,
    lake_writes,
)
from penstock.database.schema.members import (
    api_keys,
    audit_events,
    audit_heads,
    data_keys,
    login_tokens,
    members,
    secrets,
    usage,
    workspaces,
)
from penstock.database.schema.naming import metadata
from penstock.database.schema.queue import (
    queue_changes,
    queue_entries,
    queue_lanes,
    queue_turn,
    queue_workspaces,
)
from penstock.database.schema.runs import (
    attempts,
    deliveries,
    idempotency,
    job_labels,
    jobs,
    parts,
    runs,
    small_blobs,
    tasks,
    workers,
)
from penstock.database.schema.scripts import (
    activations,
    approvals,
    scripts,
    versions,
)

__all__ = [
    "activations",
    "api_keys",
    "approvals",
    "attempts",
    "audit_events",
    "audit_heads",
    "data_keys",
    "deliveries",
    "idempotency",
    "job_labels",
    "jobs",
    "lake_inputs",
    "lake_leases",
    "lake_orphans",
    "lake_pins",
    "lake_snapshots",
    "lake_tables",
    "lake_writes",
    "login_tokens",
    "members",
    "metadata",
    "parts",
    "queue_changes",
    "queue_entries",
    "queue_lanes",
    "queue_turn",
    "queue_workspaces",
    "runs",
    "scripts",
    "secrets",
    "small_blobs",
    "tasks",
    "usage",
    "versions",
    "workers",
    "workspaces",
]
