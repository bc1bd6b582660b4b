"""Writing audit events; sealing and checking them is in `chain.py`."""

from __future__ import annotations

from typing import Any, Final

import orjson

from penstock.core.access import Actor, AuditEvent
from penstock.core.ports.service import Clock
from penstock.database.statements import Statement

_INSERT: Final = Statement(
    "INSERT INTO audit_events"
    " (workspace, at, actor, actor_name, action, subject, outcome, origin, request_id, details)"
    " VALUES (:workspace, :at, :actor, :actor_name, :action, :subject, :outcome, :origin, :request_id, :details)"
)


class SqlAudit:
    """Events in the table `audit_events`, each in the transaction of what it records."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def record(self, tx: Any, actor: Actor, event: AuditEvent) -> None:
        """Add an event; the key that the actor showed is among its details."""
        details = dict(event.details or {})
        if actor.key is not None:
            details["key"] = actor.key
        _INSERT.do(
            tx,
            {
                "workspace": actor.workspace,
                "at": self.clock(),
                "actor": actor.member,
                "actor_name": actor.name,
                "action": event.action,
                "subject": event.subject,
                "outcome": event.outcome,
                "origin": actor.origin,
                "request_id": actor.request_id,
                "details": orjson.dumps(details, option=orjson.OPT_SORT_KEYS).decode() if details else None,
            },
        )
