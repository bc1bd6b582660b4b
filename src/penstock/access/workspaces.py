"""Workspaces and their policies in the records database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from penstock.access.quotas import read_quotas
from penstock.base.ids import new_id
from penstock.core.access import Policy, Workspace, WorkspaceId
from penstock.core.errors import Conflict, NotFound
from penstock.core.ports.service import Clock
from penstock.database.statements import Statement

_COLUMNS: Final = "SELECT id, name, created_at, quotas, policy, stored_bytes FROM workspaces"
_LIST: Final = Statement(f"{_COLUMNS} ORDER BY name")
_GET: Final = Statement(f"{_COLUMNS} WHERE id = :id")
_FIND: Final = Statement(f"{_COLUMNS} WHERE name = :name")
_INSERT: Final = Statement(
    "INSERT INTO workspaces (id, name, created_at) VALUES (:id, :name, :at) ON CONFLICT (name) DO NOTHING"
)
_POLICY: Final = Statement("UPDATE workspaces SET policy = :policy WHERE id = :id")
_LOCK: Final = Statement(
    "SELECT id FROM workspaces WHERE id = :id", postgresql="SELECT id FROM workspaces WHERE id = :id FOR UPDATE"
)


class SqlWorkspaces:
    """Workspaces in the table of that name."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def create(self, tx: Any, name: str) -> Workspace:
        """Make an empty workspace.

        Raises:
            Conflict: when there is one of that name.
        """
        workspace = Workspace(WorkspaceId(new_id("ws")), name, self.clock())
        if not _INSERT.run(tx, {"id": workspace.id, "name": name, "at": workspace.created_at}).rowcount:
            raise Conflict(f"there is a workspace {name!r} already", hint="Choose another name.")
        return workspace

    def list(self, tx: Any) -> Sequence[Workspace]:
        """Return every workspace, by name."""
        return [_workspace(row) for row in _LIST.run(tx)]

    def get(self, tx: Any, workspace: WorkspaceId) -> Workspace:
        """Return a workspace by its id, or raise NotFound."""
        row = _GET.run(tx, {"id": workspace}).one_or_none()
        if row is None:
            raise NotFound(f"there is no workspace {workspace!r}", hint="See: penstock workspaces list")
        return _workspace(row)

    def find(self, tx: Any, name: str) -> Workspace:
        """Return a workspace by its name, or raise NotFound."""
        row = _FIND.run(tx, {"name": name}).one_or_none()
        if row is None:
            raise NotFound(f"there is no workspace {name!r}", hint="See: penstock workspaces list")
        return _workspace(row)

    def set_policy(self, tx: Any, workspace: WorkspaceId, policy: Policy) -> None:
        """Store a policy."""
        _POLICY.run(tx, {"id": workspace, "policy": json.dumps({"egress": list(policy.egress)})})

    def lock(self, tx: Any, workspace: WorkspaceId) -> None:
        """Keep others from changing the workspace's members and secrets until this transaction ends."""
        lock_workspace(tx, workspace)


def lock_workspace(tx: Any, workspace: WorkspaceId) -> None:
    """Take the workspace's row; on SQLite whoever writes has everything already."""
    _LOCK.run(tx, {"id": workspace}).all()


def _workspace(row: Any) -> Workspace:
    policy = json.loads(row.policy)
    return Workspace(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        quotas=read_quotas(row.quotas),
        policy=Policy(egress=tuple(policy.get("egress", ()))),
        stored_bytes=row.stored_bytes,
    )
