"""Closing leases: the entries leave, and how long they took is noted for their lanes and workspaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock.core.jobs import EntryId, Lease
from penstock.database.statements import Statement
from penstock.queue.counting import Changes
from penstock.queue.entries import held, naming

_CLOSE: Final = held("DELETE FROM queue_entries WHERE HELD RETURNING id, token, workspace, lane, charged_s")
_CLOSE_AND_NOTE: Final = Statement(  # in one trip
    "",
    postgresql="""
    WITH closed AS (
        DELETE FROM queue_entries
        USING unnest(:ids::text[], :tokens::bigint[], :took_s::float8[]) AS given (given_id, given_token, took_s)
        WHERE id = given_id AND token = given_token AND state = 'leased'
        RETURNING id, token, workspace, lane, charged_s, took_s
    ), noted AS (
        INSERT INTO queue_changes (workspace, lane, scheduled, ready, running, finished, busy_s, charged_s)
        SELECT workspace, lane, 0, 0, -COUNT(*), COUNT(*), SUM(took_s), SUM(took_s - charged_s)
        FROM closed GROUP BY workspace, lane
    )
    SELECT id, token FROM closed""",
)


def close(tx: Any, leases: Sequence[Lease], *, took_s: Mapping[EntryId, float]) -> set[tuple[EntryId, int]]:
    """Remove the entries of leases that are still held, and return which these were, each by id and token."""
    named = naming(tx, leases)
    if tx.dialect.name == "postgresql":
        rows = _CLOSE_AND_NOTE.fetch(tx, named | {"took_s": [took_s[lease.entry.id] for lease in leases]})
        return {(entry_id, token) for entry_id, token in rows}
    changes, closed = Changes(), set()
    for entry_id, token, workspace, lane, charged_s in _CLOSE.fetch(tx, named):
        closed.add((entry_id, token))
        change = changes.of(workspace, lane)
        change.running -= 1
        change.finished += 1
        change.busy_s += took_s[entry_id]
        change.charged_s += took_s[entry_id] - charged_s
    changes.note(tx)
    return closed
