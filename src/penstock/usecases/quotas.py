"""Quotas: what a workspace may use, and what it uses."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.core.access import Actor, Quotas, Usage, WorkspaceId
from penstock.core.jobs import Depth
from penstock.core.ports import Database, Queue
from penstock.core.ports.access import QuotaBook
from penstock.usecases.permissions import require


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """What can be asked of quotas."""

    database: Database
    records: QuotaBook
    queue: Queue

    def known(self, workspace: WorkspaceId) -> Quotas | None:
        """Return a workspace's quotas, when they are known without asking the database."""
        usage = self.records.cached(workspace)
        return None if usage is None else usage.quotas

    def of(self, workspace: WorkspaceId) -> Quotas:
        """Return a workspace's quotas, a second old at most; for the doors, which hold every request to them."""
        usage = self.records.cached(workspace)
        if usage is None:
            with self.database.read() as tx:
                usage = self.records.usage(tx, workspace)
        return usage.quotas

    def read(self, *, actor: Actor) -> tuple[Usage, Depth]:
        """Return what the actor's workspace may use and uses, now."""
        require(actor, "quota:read")
        with self.database.read() as tx:
            return self.records.read(tx, actor.workspace), self.queue.depth(tx, actor.workspace)
