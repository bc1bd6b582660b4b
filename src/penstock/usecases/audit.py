"""The audit log: reading it, checking that it is whole, sealing it, and noting who was refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from penstock.base.logs import get_log
from penstock.core import limits
from penstock.core.access import Actor, AuditEvent, AuditFilter, AuditRow, ChainReport, WorkspaceId
from penstock.core.errors import TransientError
from penstock.core.ports import Audit, Database
from penstock.core.ports.access import AuditChain
from penstock.usecases.permissions import require

_WORKSPACES_MAX = 10_000


@dataclass(slots=True)
class _Refusals:
    """How many refusals of each workspace were noted in this second, and how many were not."""

    second: int = 0
    noted: dict[WorkspaceId, int] = field(default_factory=dict)
    left_out: dict[WorkspaceId, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, workspace: WorkspaceId) -> int | None:
        """Return how many were left out before this one; None when this one is too."""
        with self.lock:
            now = int(time.monotonic())
            if now != self.second:
                self.second = now
                self.noted.clear()
            if len(self.left_out) >= _WORKSPACES_MAX:
                self.left_out.clear()
            if self.noted.get(workspace, 0) >= limits.AUDIT_REFUSALS.value:
                self.left_out[workspace] = self.left_out.get(workspace, 0) + 1
                return None
            self.noted[workspace] = self.noted.get(workspace, 0) + 1
            return self.left_out.pop(workspace, 0)


@dataclass(frozen=True, slots=True)
class AuditLog:
    """What can be asked of the audit log."""

    database: Database
    chain: AuditChain
    audit: Audit
    _refusals: _Refusals = field(default_factory=_Refusals)

    def list(self, wanted: AuditFilter, *, actor: Actor) -> Sequence[AuditRow]:
        """Return events of the actor's workspace, the newest first; that it was read is an event too."""
        require(actor, "audit:read")
        with self.database.read() as tx:
            rows = self.chain.list(tx, actor.workspace, wanted)
        event = AuditEvent("audit.read", actor.workspace, details={"events": len(rows)})
        self.database.write(lambda tx: self.audit.record(tx, actor, event))
        return rows

    def verify(
        self, *, actor: Actor, start: tuple[int, str] | None = None, known: tuple[int, str] | None = None
    ) -> ChainReport:
        """Check a stretch of the chain; when the report is not complete, go on from its number and head.

        Args:
            actor: who asks.
            start: number and head of the report before.
            known: a number and a hash that were noted elsewhere.
        """
        require(actor, "audit:read")
        with self.database.read() as tx:
            report = self.chain.verify(tx, actor.workspace, start=start, known=known)
        if report.complete:
            details = {"number": report.number, "whole": report.whole}
            event = AuditEvent("audit.verify", actor.workspace, details=details)
            self.database.write(lambda tx: self.audit.record(tx, actor, event))
        return report

    def refused(self, actor: Actor, event: AuditEvent) -> None:
        """Note that somebody was refused; past a bound a second they are only counted, with the next that is noted."""
        left_out = self._refusals.take(actor.workspace)
        if left_out is None:
            return
        if left_out:
            event = replace(event, details={**(event.details or {}), "left_out": left_out})
        try:
            self.database.write(lambda tx: self.audit.record(tx, actor, event), durable=False)
        except TransientError as error:  # who was refused has had the answer; the log line tells too
            get_log().warning("refusal.not_audited", workspace=actor.workspace, code=error.code)

    def seal(self) -> int:
        """Give new events their places in the chains, for the tick of workers; return how many there were."""
        sealed = 0
        for _ in range(limits.SEAL_ROUNDS.value):
            count = self.database.write(lambda tx: self.chain.seal(tx, limit=limits.SEAL_BATCH.value))
            sealed += count
            if count < limits.SEAL_BATCH.value:
                break
        return sealed
