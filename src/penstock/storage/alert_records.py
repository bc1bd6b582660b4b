"""Incidents, and alerts on their way, in the records database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection

from penstock.core.access import WorkspaceId
from penstock.core.alerts import Alert, Delivery, Incident, IncidentFilter, IncidentId
from penstock.core.errors import NotFound
from penstock.core.plan import RunId
from penstock.database.schema import alert_deliveries, incidents
from penstock.database.statements import ManyStatement, Statement

_INCIDENT: Final = tuple(field.name for field in fields(Incident))
_DELIVERY: Final = (
    *("id", "workspace", "project", "pipeline", "revision", "incident", "created_at", "due_at", "target", "state"),
    *("attempts", "last_error", "sent_at", "subject", "body"),
)
_SELECT: Final = f"SELECT {', '.join(_INCIDENT)} FROM incidents WHERE "
_OF_PIPELINE: Final = "workspace = :workspace AND project = :project AND pipeline = :pipeline"
_OPEN: Final = Statement(f"{_SELECT}{_OF_PIPELINE} AND closed_at IS NULL ORDER BY id")
_INSERT: Final = Statement(
    f"INSERT INTO incidents ({', '.join(_INCIDENT)}) VALUES ({', '.join(f':{name}' for name in _INCIDENT)})"
    " ON CONFLICT (workspace, project, pipeline, kind) WHERE closed_at IS NULL DO NOTHING"
)
_AGAIN: Final = Statement(
    f"UPDATE incidents SET runs = runs + 1 WHERE {_OF_PIPELINE} AND kind = :kind AND closed_at IS NULL"
)
_CLOSE: Final = Statement("UPDATE incidents SET closed_at = :now, closed_by = :by WHERE id = :id AND closed_at IS NULL")
_READ: Final = Statement(f"{_SELECT}workspace = :workspace AND id = :id")
_ADD: Final = Statement(
    f"INSERT INTO alert_deliveries ({', '.join(_DELIVERY)}) VALUES ({', '.join(f':{name}' for name in _DELIVERY)})"
)
_DUE: Final = Statement(
    f"SELECT {', '.join(_DELIVERY)} FROM alert_deliveries WHERE state = 'waiting' AND due_at <= :now"
    " ORDER BY due_at LIMIT :limit"
)
_CLAIM: Final = Statement(
    "UPDATE alert_deliveries SET due_at = :until WHERE id = :id AND state = 'waiting' AND due_at = :due_at"
)
_SAVE: Final = Statement(
    "UPDATE alert_deliveries SET state = :state, attempts = :attempts, due_at = :due_at, last_error = :last_error,"
    " sent_at = :sent_at WHERE id = :id"
)
_OLD: Final = Statement("SELECT id FROM incidents WHERE closed_at < :before ORDER BY closed_at LIMIT :limit")
_FORGET: Final = Statement("DELETE FROM incidents WHERE id = :id")
_FORGET_ALERTS: Final = Statement("DELETE FROM alert_deliveries WHERE incident = :id AND workspace = :workspace")
_OWNERS: Final = ManyStatement("SELECT id, workspace FROM incidents WHERE id IN (:keys)")
_PUBLISHED: Final = Statement(
    "SELECT 1 FROM pipeline_runs p JOIN runs r ON r.id = p.id WHERE p.workspace = :workspace AND p.project = :project"
    " AND p.pipeline = :pipeline AND p.date = :date AND (p.published_at IS NOT NULL OR r.state = 'succeeded') LIMIT 1"
)
_LATEST: Final = Statement(
    f"SELECT id, revision FROM pipeline_runs WHERE {_OF_PIPELINE} AND date = :date ORDER BY id DESC LIMIT 1"
)


class SqlAlertRecords:
    """The AlertRecords of a server."""

    def open_incidents(self, tx: Connection, workspace: WorkspaceId, project: str, pipeline: str) -> list[Incident]:
        """Return the incidents of a pipeline that are not over, the oldest first."""
        of = {"workspace": workspace, "project": project, "pipeline": pipeline}
        return [_incident(row) for row in _OPEN.fetch(tx, of)]

    def open(self, tx: Connection, incident: Incident) -> bool:
        """Record a new incident; False when there is one of its kind already, which is then counted once more."""
        values = {name: getattr(incident, name) for name in _INCIDENT}
        if _INSERT.do(tx, values) == 1:
            return True
        _AGAIN.do(tx, {name: values[name] for name in ("workspace", "project", "pipeline", "kind")})
        return False

    def close(self, tx: Connection, incidents: Sequence[Incident], *, by: RunId, now: float) -> None:
        """Record that incidents are over."""
        for incident in incidents:
            _CLOSE.do(tx, {"id": incident.id, "now": now, "by": by})

    def incidents(self, tx: Connection, workspace: WorkspaceId, wanted: IncidentFilter) -> list[Incident]:
        """Return incidents, the newest first."""
        conditions = [incidents.c.workspace == workspace]
        if wanted.project is not None:
            conditions.append(incidents.c.project == wanted.project)
        if wanted.pipeline is not None:
            conditions.append(incidents.c.pipeline == wanted.pipeline)
        if wanted.over is not None:
            conditions.append(incidents.c.closed_at.is_not(None) if wanted.over else incidents.c.closed_at.is_(None))
        if wanted.before is not None:
            conditions.append(incidents.c.id < wanted.before)
        query = sqlalchemy.select(*(incidents.c[name] for name in _INCIDENT)).where(*conditions)
        found = tx.execute(query.order_by(incidents.c.id.desc()).limit(wanted.limit))
        return [_incident(tuple(row)) for row in found]

    def incident(self, tx: Connection, workspace: WorkspaceId, incident: str) -> Incident:
        """Return an incident."""
        for row in _READ.fetch(tx, {"workspace": workspace, "id": incident}):
            return _incident(row)
        raise NotFound(f"there is no incident {incident[:100]!r} in this workspace", hint="See: penstock alerts list")

    def deliveries(self, tx: Connection, workspace: WorkspaceId, incident_ids: Sequence[IncidentId]) -> list[Delivery]:
        """Return the alerts of incidents, the oldest first."""
        query = sqlalchemy.select(*(alert_deliveries.c[name] for name in _DELIVERY)).where(
            alert_deliveries.c.workspace == workspace, alert_deliveries.c.incident.in_(incident_ids)
        )
        return [_delivery(tuple(row)) for row in tx.execute(query.order_by(alert_deliveries.c.id))]

    def add(self, tx: Connection, deliveries: Sequence[Delivery]) -> None:
        """Record alerts that are to be sent."""
        for delivery in deliveries:
            values = {name: getattr(delivery, name) for name in _DELIVERY if name not in ("subject", "body")}
            _ADD.do(tx, values | {"subject": delivery.alert.subject, "body": delivery.alert.text})

    def due(self, tx: Connection, *, now: float, limit: int) -> list[Delivery]:
        """Return alerts of all workspaces that are to be sent now, the oldest first."""
        return [_delivery(row) for row in _DUE.fetch(tx, {"now": now, "limit": limit})]

    def claim(self, tx: Connection, delivery: Delivery, *, until: float) -> bool:
        """Keep an alert from other senders for a while; False when another one has it."""
        return _CLAIM.do(tx, {"id": delivery.id, "until": until, "due_at": delivery.due_at}) == 1

    def save(self, tx: Connection, delivery: Delivery) -> None:
        """Record what has become of an alert."""
        names = ("id", "state", "attempts", "due_at", "last_error", "sent_at")
        _SAVE.do(tx, {name: getattr(delivery, name) for name in names})

    def forget(self, tx: Connection, *, before: float, limit: int) -> int:
        """Remove closed incidents that are older, with their alerts; return how many."""
        old = [row[0] for row in _OLD.fetch(tx, {"before": before, "limit": limit})]
        for row in _OWNERS.run(tx, old):
            _FORGET_ALERTS.do(tx, {"id": row.id, "workspace": row.workspace})
            _FORGET.do(tx, {"id": row.id})
        return len(old)

    def published(self, tx: Connection, workspace: WorkspaceId, project: str, pipeline: str, *, date: str) -> bool:
        """Return whether some run of a date is published, or has succeeded."""
        of = {"workspace": workspace, "project": project, "pipeline": pipeline, "date": date}
        return bool(_PUBLISHED.fetch(tx, of))

    def latest_run(
        self, tx: Connection, workspace: WorkspaceId, project: str, pipeline: str, *, date: str
    ) -> tuple[RunId, str] | None:
        """Return the last run of a date with its revision, None when there is none."""
        of = {"workspace": workspace, "project": project, "pipeline": pipeline, "date": date}
        found = _LATEST.fetch(tx, of)
        return (RunId(found[0][0]), str(found[0][1])) if found else None


def _incident(row: tuple[Any, ...]) -> Incident:
    return Incident(**dict(zip(_INCIDENT, row, strict=True)))


def _delivery(row: tuple[Any, ...]) -> Delivery:
    values = dict(zip(_DELIVERY, row, strict=True))
    alert = Alert(values.pop("subject"), values.pop("body"))
    return Delivery(**values | {"alert": alert, "incident": IncidentId(values["incident"])})
