"""Ports of alerts: their records, and who sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from penstock.core.access import Policy, WorkspaceId
from penstock.core.alerts import Alert, Delivery, Incident, IncidentFilter, IncidentId
from penstock.core.plan import RunId


class AlertRecords(Protocol):
    """Incidents, and alerts on their way, in the records database."""

    def open_incidents(self, tx: Any, workspace: WorkspaceId, project: str, pipeline: str) -> Sequence[Incident]:
        """Return the incidents of a pipeline that are not over, the oldest first."""

    def open(self, tx: Any, incident: Incident) -> bool:
        """Record a new incident; False when there is one of its kind already, which is then counted once more."""

    def close(self, tx: Any, incidents: Sequence[Incident], *, by: RunId, now: float) -> None:
        """Record that incidents are over."""

    def incidents(self, tx: Any, workspace: WorkspaceId, wanted: IncidentFilter) -> Sequence[Incident]:
        """Return incidents, the newest first."""

    def incident(self, tx: Any, workspace: WorkspaceId, incident: str) -> Incident:
        """Return an incident.

        Raises:
            NotFound: when the workspace has none under that id.
        """

    def deliveries(self, tx: Any, workspace: WorkspaceId, incident_ids: Sequence[IncidentId]) -> Sequence[Delivery]:
        """Return the alerts of incidents, the oldest first."""

    def add(self, tx: Any, deliveries: Sequence[Delivery]) -> None:
        """Record alerts that are to be sent."""

    def due(self, tx: Any, *, now: float, limit: int) -> Sequence[Delivery]:
        """Return alerts of all workspaces that are to be sent now, the oldest first."""

    def claim(self, tx: Any, delivery: Delivery, *, until: float) -> bool:
        """Keep an alert from other senders for a while; False when another one has it."""

    def save(self, tx: Any, delivery: Delivery) -> None:
        """Record what has become of an alert."""

    def forget(self, tx: Any, *, before: float, limit: int) -> int:
        """Remove closed incidents that are older, with their alerts; return how many."""

    def published(self, tx: Any, workspace: WorkspaceId, project: str, pipeline: str, *, date: str) -> bool:
        """Return whether some run of a date is published, or has succeeded."""

    def latest_run(
        self, tx: Any, workspace: WorkspaceId, project: str, pipeline: str, *, date: str
    ) -> tuple[RunId, str] | None:
        """Return the last run of a date with its revision, None when there is none."""


class AlertSender(Protocol):
    """Brings an alert to where it is to be read."""

    def send(self, url: str, alert: Alert, *, policy: Policy) -> None:
        """Send an alert.

        Args:
            url: as apprise reads it, with its secrets.
            alert: what to say.
            policy: what the workspace's work may reach.

        Raises:
            AlertRefused: when it can never be sent so: the URL is not understood, or the receiver refuses it.
            EgressRefused: when it may not be reached.
            DestinationUnavailable: when it cannot be reached now.
        """
