"""Idempotency keys in the records database: each is bound to what the first request with it has made."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from penstock.core.access import WorkspaceId
from penstock.database.statements import Statement

_INSERT: Final = Statement(
    "INSERT INTO idempotency (workspace, key, body_sha256, job, created_at)"
    " VALUES (:workspace, :key, :body_sha256, :made, :created_at)"
    " ON CONFLICT (workspace, key) DO NOTHING"
)
_FIND: Final = Statement("SELECT job, body_sha256 FROM idempotency WHERE workspace = :workspace AND key = :key")


def find_key(tx: Connection, workspace: WorkspaceId, key: str) -> tuple[str, str] | None:
    """Return what a key is bound to, and the hash of the body that it came with."""
    for made, body_sha256 in _FIND.fetch(tx, {"workspace": workspace, "key": key}):
        return made, body_sha256
    return None


def bind_key(
    tx: Connection, workspace: WorkspaceId, key: str, *, body_sha256: str, made: str, now: float
) -> tuple[str, str] | None:
    """Bind a key to what a request makes; or return what it is bound to already."""
    values = {"workspace": workspace, "key": key, "body_sha256": body_sha256, "made": made, "created_at": now}
    if _INSERT.do(tx, values):
        return None
    bound = find_key(tx, workspace, key)
    assert bound is not None, "what could not be inserted is there"
    return bound
